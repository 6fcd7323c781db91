//! Answers: complete ones, the best of several, and streams of events.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::DerefMut;

use super::answer::Answer;
use super::decode_loop::{Candidate, DecodeLoop, State};
use super::session::{Prefilled, Session};
use crate::answer::{Event, StopReason};
use crate::error::{Error, Result};
use crate::prompt::{Prompt, whole_answer};
use crate::sampling::GenerateOptions;

impl Session {
    /// Adds a prompt and returns its complete answer.
    ///
    /// # Errors
    /// Those of [`stream`](Self::stream), and [`Error::Cancelled`] or [`Error::Internal`] during the answer.
    pub fn ask(&mut self, prompt: &Prompt, options: &GenerateOptions) -> Result<Answer> {
        if options.best_of < 2 {
            return self.stream(prompt, options)?.answer();
        }
        let prefilled = self.prefill_prompt(prompt, options, options.call.start())?;
        let cached_len = prefilled.cached_len;
        let best = self.best_of(&prefilled);
        if best.is_err() {
            self.rewind(cached_len);
        }
        best.map_err(|error| self.poison_on_internal(error))
    }

    /// Decodes [`best_of`](GenerateOptions#structfield.best_of) answers and adds the one with the highest mean logprob
    /// to the conversation.
    fn best_of(&mut self, prefilled: &Prefilled) -> Result<Answer> {
        let Prefilled { conversation, options, timings, continued, starts_in_thinking, .. } = prefilled;
        let mut best: Option<Candidate> = None;
        for index in 0..options.best_of {
            let seeded = options.clone().seed(options.seed.wrapping_add(index as u64));
            let options = seeded.logprobs(options.logprobs.unwrap_or(0));
            // Each candidate keeps the prompt in the cache for the next one.
            let again = Prefilled { options, cached_len: timings.prompt_tokens, ..prefilled.clone() };
            let candidate = DecodeLoop::new(self, again)?.finish_uncommitted(self)?;
            let timed_out = candidate.answer.stop == StopReason::Timeout;
            // A truncated answer does not replace a complete one.
            let is_better = |best: &Candidate| !timed_out && candidate.mean_logprob > best.mean_logprob;
            if best.as_ref().is_none_or(is_better) {
                best = Some(candidate);
            }
            if timed_out {
                break;
            }
        }
        let Some(Candidate { mut answer, .. }) = best else { return Err(Error::internal("no answer")) };
        if options.logprobs.is_none() {
            answer.logprobs.clear();
            answer.regions.iter_mut().for_each(|region| region.confidence = None);
        }
        let thinking = answer.thinking.as_deref().unwrap_or_default();
        let (thinking, text) = whole_answer(continued, *starts_in_thinking, thinking, &answer.text);
        self.commit(conversation.clone(), options, &thinking, &text);
        answer.memory = self.memory();
        Ok(answer)
    }

    /// Adds a prompt and returns its answer as a stream of events.
    ///
    /// The call returns after the prefill; each event is computed when the stream is read. A system message at the
    /// start of `prompt` replaces the conversation's.
    ///
    /// # Errors
    /// - [`Error::Option`] when an option of `options` is out of its range, or `best_of` is above 1
    /// - [`Error::Prompt`] when the prompt is empty, does not end with a message of the user or of a tool, or the chat
    ///   template rejects it
    /// - [`Error::Image`] when an image or a video cannot be used
    /// - [`Error::ContextTooLong`] when the conversation leaves no room for an answer
    /// - [`Error::Memory`] when the conversation with its answer does not fit into memory
    /// - [`Error::Cancelled`] when the token of the options was cancelled, before or during the call
    /// - [`Error::Timeout`] when the time limit of the options passed before the answer began
    /// - [`Error::Internal`] for a defect of this library; every later call of the session then fails too
    pub fn stream(&mut self, prompt: &Prompt, options: &GenerateOptions) -> Result<Stream<&mut Self>> {
        Stream::start(self, prompt, options)
    }
}

/// Returns an error if the options ask for the best of several answers, of which events are not known before the end.
pub(super) fn check_best_of(options: &GenerateOptions) -> Result<()> {
    match options.best_of {
        0 | 1 => Ok(()),
        count => Err(Error::option("best_of", format!("{count}; streams and batches generate one answer: use ask"))),
    }
}

/// An answer that is computed as its events are read.
///
/// The last event is [`Event::End`]; with it, the prompt and the answer become part of the conversation. A stream that
/// is dropped earlier leaves the session as it was before the prompt. An error is the last item, and leaves the session
/// so too.
///
/// `S` is a mutable reference to the session, or an owner of it such as a `Box`.
pub struct Stream<S: DerefMut<Target = Session>> {
    session: S,
    decode: DecodeLoop,
}

impl<S: DerefMut<Target = Session>> Stream<S> {
    /// [`Session::stream`] with a session that the stream owns until it is dropped.
    ///
    /// # Errors
    /// Those of [`Session::stream`]; `session` is then dropped.
    pub fn start(mut session: S, prompt: &Prompt, options: &GenerateOptions) -> Result<Self> {
        check_best_of(options)?;
        let prefilled = session.prefill_prompt(prompt, options, options.call.start())?;
        let decode = DecodeLoop::new(&session, prefilled)?;
        Ok(Self { session, decode })
    }

    /// Ends the thinking, if the model thinks, and continues with the answer.
    ///
    /// # Errors
    /// [`Error::Internal`] for a defect of this library.
    pub fn end_thinking(&mut self) -> Result<()> {
        self.decode.end_thinking(&self.session)
    }

    /// Ends the answer here and adds it to the conversation. Pending events can still be read; the last is
    /// [`Event::End`] with [`StopReason::Cancelled`]. After the end of the answer this has no effect.
    pub fn stop(&mut self) {
        self.decode.stop(&mut self.session);
    }

    /// Reads to the end and returns the complete answer, including the events that were read before.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the token of the options was cancelled; [`Error::Internal`] for a defect of this
    /// library, or when the stream has returned an error before.
    pub fn answer(mut self) -> Result<Answer> {
        for event in &mut self {
            event?;
        }
        match self.decode.state() {
            State::Committed(stop) => Ok(self.decode.take_answer(&self.session, stop)),
            State::Failed { cancelled: true } => Err(Error::Cancelled),
            _ => Err(Error::internal("the answer ended with an error")),
        }
    }
}

impl<S: DerefMut<Target = Session>> Iterator for Stream<S> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.decode.next_event(&mut self.session) {
                return Some(Ok(event));
            }
            if self.decode.state() != State::Decoding {
                return None;
            }
            if let Err(error) = self.decode.advance(&mut self.session) {
                return Some(Err(self.decode.fail(&mut self.session, error)));
            }
        }
    }
}

impl<S: DerefMut<Target = Session>> FusedIterator for Stream<S> {}

impl<S: DerefMut<Target = Session>> Drop for Stream<S> {
    fn drop(&mut self) {
        self.decode.abandon(&mut self.session);
    }
}

impl<S: DerefMut<Target = Session>> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("decode", &self.decode).finish_non_exhaustive()
    }
}
