//! An answer that is read while it is written.

use std::fmt;
use std::ptr;

use mimo_vl_core::{Error, Event, GenerateOptions, Prompt, Result};

use crate::answer::Answer;
use crate::error::{ErrorObject, Status};
use crate::region::Region;
use crate::session::Lease;
use crate::text::{Str, Text};
use crate::{boundary, pointer};

/// An answer that is being written.
pub struct Stream {
    /// Gone when the stream has been finished, or has failed.
    running: Option<mimo_vl_core::Stream<Lease>>,
    ended: bool,
    /// The text of the last event, which C may still read.
    text: Text,
    /// The region of the last event, which C may still read.
    region: Option<Region>,
}

/// What happened in an answer. Kinds may be added.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum EventKind {
    /// More of what the model thinks before it answers.
    Thinking = 0,
    /// More of the answer.
    Text = 1,
    /// The answer is complete.
    End = 2,
    /// A box, or one or several points, closed in the answer; mimo_vl_stream_region has it.
    Region = 3,
}

impl Stream {
    /// Put a question to the session of `lease`.
    pub(crate) fn start(lease: Lease, prompt: &Prompt, generate: &GenerateOptions) -> Result<Self> {
        let running = mimo_vl_core::Stream::start(lease, prompt, generate)?;
        Ok(Self { running: Some(running), ended: false, text: Text::new(""), region: None })
    }

    /// The kind of the next event; its text goes to `self.text`.
    pub(crate) fn next(&mut self) -> Result<EventKind> {
        self.region = None;
        if self.ended {
            self.text = Text::new("");
            return Ok(EventKind::End);
        }
        // Taken out for the step: an error or a panic drops it, and with it ends the loan of the session.
        let mut running = self.running.take().ok_or_else(failed)?;
        let (kind, text) = loop {
            match running.next().transpose()? {
                Some(Event::Thinking(text)) => break (EventKind::Thinking, text),
                Some(Event::Text(text)) => break (EventKind::Text, text),
                Some(Event::Region(region)) => {
                    self.region = Some(Region::new(region));
                    break (EventKind::Region, String::new());
                }
                Some(Event::End(_)) | None => break (EventKind::End, String::new()),
                // A kind of event that this interface does not know yet.
                Some(_) => {}
            }
        };
        self.ended = matches!(kind, EventKind::End);
        self.text = Text::new(text);
        self.running = Some(running);
        Ok(kind)
    }

    /// The text of the last event.
    pub(crate) fn text(&self) -> Str {
        self.text.lend()
    }

    /// The region of the last event, or null.
    pub(crate) fn region(&self) -> *const Region {
        self.region.as_ref().map_or(ptr::null(), ptr::from_ref)
    }

    fn end_thinking(&mut self) -> Result<()> {
        match &mut self.running {
            Some(running) => running.end_thinking(),
            None if self.ended => Ok(()),
            None => Err(failed()),
        }
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        if let Some(running) = &mut self.running {
            running.stop();
        } else if !self.ended {
            return Err(failed());
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<Answer> {
        let again = "it has failed, or was finished, before: free it";
        let running = self.running.take().ok_or_else(|| pointer::refuse("stream", again))?;
        self.text = Text::new("");
        self.region = None;
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
        f.debug_struct("Stream").field("ended", &self.ended).field("text", &self.text).finish_non_exhaustive()
    }
}

/// Wait for the next event and put its kind into `*kind_out` and its text into `*text_out`, which lives until the next
/// call with this stream. CheckpointFiles are whole UTF-8 characters; together they are the answer. After
/// MIMO_VL_EVENT_KIND_END, whose text is empty, every further call gives it again.
///
/// After an error the stream is good for mimo_vl_stream_free only, and the conversation is as it was before the
/// question. On failure `*kind_out` and `*text_out` are not changed.
///
/// Errors: MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_OPTION for NULL arguments and for a stream that has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_next(
    stream: *mut Stream,
    kind_out: *mut EventKind,
    text_out: *mut Str,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let stream = pointer::borrow_mut(stream, "stream")?;
            if kind_out.is_null() {
                return Err(pointer::null("kind_out"));
            }
            if text_out.is_null() {
                return Err(pointer::null("text_out"));
            }
            kind_out.write(stream.next()?);
            text_out.write(stream.text.lend());
            Ok(())
        })
    }
}

/// The box or points of the last event of mimo_vl_stream_next, if that was MIMO_VL_EVENT_KIND_REGION. It lives until the next call with
/// this stream, and is not to be freed. NULL for other events and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_region(stream: *const Stream) -> *const Region {
    // SAFETY: NULL or a living stream, by the header's rules.
    boundary::infallible(ptr::null(), || unsafe { stream.as_ref() }.map_or(ptr::null(), Stream::region))
}

/// End the thinking after the tokens that are there, so that the answer follows. Without effect when the model does not think.
///
/// Errors: MIMO_VL_STATUS_OPTION for a NULL stream and for one that has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_end_thinking(stream: *mut Stream, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { boundary::fallible(error_out, || pointer::borrow_mut(stream, "stream")?.end_thinking()) }
}

/// End the answer where it is, and keep it in the conversation. Events that are there already can still be read; the
/// last is MIMO_VL_EVENT_KIND_END, and the answer's reason MIMO_VL_STOP_REASON_CANCELLED. Without effect after the end.
///
/// Errors: MIMO_VL_STATUS_OPTION for a NULL stream and for one that has failed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_stop(stream: *mut Stream, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { boundary::fallible(error_out, || pointer::borrow_mut(stream, "stream")?.stop()) }
}

/// Wait for the end of the answer, if it has not come yet, and give the whole of it. The session is free for the next
/// question afterwards, though the stream is still to be freed. Free the answer with mimo_vl_answer_free.
///
/// Errors: as mimo_vl_stream_next, and MIMO_VL_STATUS_OPTION for a stream that was finished before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_finish(
    stream: *mut Stream,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { boundary::making(answer_out, "answer_out", error_out, || pointer::borrow_mut(stream, "stream")?.finish()) }
}

/// Free the stream; NULL is ignored. If its end has not been reached the answer is given up, and the conversation is as
/// it was before the question.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_stream_free(stream: *mut Stream) {
    // SAFETY: NULL or a stream that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(stream) });
}
