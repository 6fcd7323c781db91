//! Answers that are read while they are generated.

use std::fmt;
use std::ptr;

use mimo_vl_core::expert::SessionGuard;
use mimo_vl_core::{Error, GenerateOptions, Prompt, Result};

use crate::answer::Answer;
use crate::boundary::{change, create, fallible};
use crate::error::{ErrorObject, Status};
use crate::event::{EventKind, LastEvent};
use crate::pointer;
use crate::region::Region;
use crate::text::Str;
use crate::unwind::{free, read};

/// Answer that is being generated.
pub struct Stream {
    /// `None` once the stream has finished or failed.
    running: Option<mimo_vl_core::Stream<SessionGuard>>,
    ended: bool,
    last: LastEvent,
}

impl Stream {
    pub(crate) fn start(session: SessionGuard, prompt: &Prompt, options: &GenerateOptions) -> Result<Self> {
        let running = mimo_vl_core::Stream::start(session, prompt, options)?;
        Ok(Self { running: Some(running), ended: false, last: LastEvent::none() })
    }

    /// Generates until the next event, which [`Self::last`] returns afterwards.
    pub(crate) fn next(&mut self) -> Result<EventKind> {
        self.last = LastEvent::none();
        if self.ended {
            return Ok(EventKind::End);
        }
        // Taken out for the step, so that an error or a panic drops it and releases the session.
        let mut running = self.running.take().ok_or_else(failed)?;
        let kind = loop {
            let Some(event) = running.next().transpose()? else { break EventKind::End };
            if let Some((kind, event)) = LastEvent::of(event) {
                self.last = event;
                break kind;
            }
        };
        self.ended = matches!(kind, EventKind::End);
        self.running = Some(running);
        Ok(kind)
    }

    /// Text and region of the last event.
    pub(crate) fn last(&self) -> &LastEvent {
        &self.last
    }

    fn end_thinking(&mut self) -> Result<()> {
        match &mut self.running {
            Some(running) => running.end_thinking(),
            None if self.ended => Ok(()),
            None => Err(failed()),
        }
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        match &mut self.running {
            Some(running) => running.stop(),
            None if self.ended => {}
            None => return Err(failed()),
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<Answer> {
        let again = "it has failed, or was finished, before: free it";
        let running = self.running.take().ok_or_else(|| pointer::refuse("stream", again))?;
        self.last = LastEvent::none();
        let answer = running.answer()?;
        self.ended = true;
        Ok(Answer::new(answer))
    }
}

fn failed() -> Error {
    pointer::refuse("stream", "it has failed before: free it")
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// Generates until the next event, and writes its kind to `*kind_out` and its text to `*text_out`. The text is valid
/// until the next call with this stream; it consists of complete UTF-8 characters, and the texts of all events together
/// are the answer. After MIMO_VL_EVENT_KIND_END, whose text is empty, every further call returns that event again.
///
/// After an error the stream can only be freed, and the conversation is as before the prompt. `*kind_out` and
/// `*text_out` are unchanged.
///
/// Errors: MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_OPTION if the stream has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_next(
    stream: *mut Stream,
    kind_out: *mut EventKind,
    text_out: *mut Str,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        fallible(error_out, || {
            let stream = pointer::borrow_mut(stream, "stream")?;
            if kind_out.is_null() {
                return Err(pointer::null("kind_out"));
            }
            if text_out.is_null() {
                return Err(pointer::null("text_out"));
            }
            kind_out.write(stream.next()?);
            text_out.write(stream.last.text());
            Ok(())
        })
    }
}

/// Returns the region of the last event, if that was a MIMO_VL_EVENT_KIND_REGION; otherwise NULL. It is valid until the
/// next call with this stream, and must not be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_region(stream: *const Stream) -> *const Region {
    // SAFETY: NULL or a living stream, as the header requires.
    unsafe { read(stream, ptr::null(), |stream| stream.last.region()) }
}

/// Ends the thinking after the tokens generated so far; the answer follows. Has no effect outside of the thinking.
///
/// Errors: MIMO_VL_STATUS_OPTION if the stream has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_end_thinking(stream: *mut Stream, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { change(stream, "stream", error_out, Stream::end_thinking) }
}

/// Ends the answer after the tokens generated so far, and keeps it in the conversation. Events that are already pending
/// follow; the last is MIMO_VL_EVENT_KIND_END, and the answer's stop reason is MIMO_VL_STOP_REASON_CANCELLED. Has no
/// effect after the end.
///
/// Errors: MIMO_VL_STATUS_OPTION if the stream has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_stop(stream: *mut Stream, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { change(stream, "stream", error_out, Stream::stop) }
}

/// Generates to the end and returns the complete answer. The session is free for the next call afterwards; the stream
/// can only be freed. Free the answer with mimo_vl_answer_free.
///
/// Errors: those of mimo_vl_stream_next; MIMO_VL_STATUS_OPTION if the stream has been finished before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_finish(
    stream: *mut Stream,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { create(answer_out, "answer_out", error_out, || pointer::borrow_mut(stream, "stream")?.finish()) }
}

/// Frees the stream. An answer that has not reached its end is dropped, and the conversation is as before the prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_free(stream: *mut Stream) {
    // SAFETY: NULL or a stream that the caller owns, as the header requires.
    unsafe { free(stream) };
}
