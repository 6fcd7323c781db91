//! An answer that is read while it is written.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::DerefMut;

use super::answer::Answer;
use super::decode_loop::{DecodeLoop, State};
use super::session::{Prefilled, Session};
use crate::answer::{Event, StopReason};
use crate::error::{Error, Result};
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;

impl Session {
    /// Ask, and wait for the whole answer.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), and [`Error::Cancelled`] or [`Error::Internal`] while the answer is written.
    pub fn ask(&mut self, prompt: &Prompt, options: &GenerateOptions) -> Result<Answer> {
        if options.best_of < 2 {
            return self.stream(prompt, options)?.answer();
        }
        let prefilled = self.start(prompt, options, options.call.start())?;
        let cached_len = prefilled.cached_len;
        let best = self.best(prefilled);
        if best.is_err() {
            self.rewind(cached_len);
        }
        best.map_err(|error| self.poison_on_internal(error))
    }

    /// The best of several answers to a question that the model has taken in.
    fn best(&mut self, prefilled: Prefilled) -> Result<Answer> {
        let Prefilled { conversation, options, timings, .. } = &prefilled;
        let mut best: Option<(Answer, f64)> = None;
        for index in 0..options.best_of {
            let seeded = options.clone().seed(options.seed.wrapping_add(index as u64));
            let options = seeded.logprobs(options.logprobs.unwrap_or(0));
            // What the model has seen of the conversation is kept for the next.
            let again = Prefilled { options, cached_len: timings.prompt_tokens, ..prefilled.clone() };
            let tried = DecodeLoop::new(self, again)?.finish_uncommitted(self)?;
            let late = tried.0.stop == StopReason::Timeout;
            // One that the deadline cut is not better than a whole one.
            if best.as_ref().is_none_or(|best| !late && tried.1 > best.1) {
                best = Some(tried);
            }
            if late {
                break;
            }
        }
        let Some((mut answer, _)) = best else { return Err(Error::internal("no answer")) };
        if options.logprobs.is_none() {
            answer.logprobs.clear();
            answer.regions.iter_mut().for_each(|region| region.confidence = None);
        }
        self.commit(conversation.clone(), options, answer.thinking.as_deref().unwrap_or_default(), &answer.text);
        answer.memory = self.memory();
        Ok(answer)
    }

    /// Ask, and read the answer while it is written.
    ///
    /// The call returns when the model has taken in the conversation; every event is computed when it is asked for.
    /// A system message at the start of `prompt` takes the place of the conversation's.
    ///
    /// # Errors
    /// - [`Error::Option`] when an option of `options` is out of its range
    /// - [`Error::Prompt`] when the prompt is empty, does not end with the user's message, or the chat template
    ///   refuses it
    /// - [`Error::Image`] when a picture cannot be used
    /// - [`Error::ContextTooLong`] when the conversation leaves no room for an answer
    /// - [`Error::Memory`] when the conversation with its answer does not fit into memory
    /// - [`Error::Cancelled`] when the token of the options was cancelled, before or during the call
    /// - [`Error::Timeout`] when the time that the options allow was is_done before the answer began
    /// - [`Error::Internal`] for a defect of this library; the session refuses to go on after it
    pub fn stream(&mut self, prompt: &Prompt, options: &GenerateOptions) -> Result<Stream<&mut Self>> {
        Stream::start(self, prompt, options)
    }
}

/// An answer that is computed as its events are asked for.
///
/// The last event is [`Event::End`]; when it is given, the message becomes part of the conversation. A stream that is
/// dropped before leaves the session as it was before the question. After an error nothing follows, and the
/// session is as before the question too.
///
/// `S` is the session: a loan of it, or what holds it while the stream lives, such as a `Box`.
pub struct Stream<S: DerefMut<Target = Session>> {
    session: S,
    decode: DecodeLoop,
}

impl<S: DerefMut<Target = Session>> Stream<S> {
    /// Ask, as [`Session::stream`] does, a session that the stream keeps until it is dropped.
    ///
    /// # Errors
    /// Those of [`Session::stream`]; `session` is dropped then.
    pub fn start(mut session: S, prompt: &Prompt, options: &GenerateOptions) -> Result<Self> {
        let prefilled = session.start(prompt, options, options.call.start())?;
        let decode = DecodeLoop::new(&session, prefilled)?;
        Ok(Self { session, decode })
    }

    /// End the thinking, if the model thinks, and let the answer follow.
    ///
    /// # Errors
    /// [`Error::Internal`] for a defect of this library.
    pub fn end_thinking(&mut self) -> Result<()> {
        self.decode.end_thinking(&self.session)
    }

    /// End the answer here and keep the message as it is. The events that are left can still be read; the last is
    /// [`Event::End`] with [`StopReason::Cancelled`](crate::answer::StopReason::Cancelled). After the end of the answer this
    /// does nothing.
    pub fn stop(&mut self) {
        self.decode.stop(&mut self.session);
    }

    /// Run to the end, and give the whole answer; events that were read before are part of it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the token of the options was cancelled, [`Error::Internal`] for a defect of this library or
    /// when the stream has given an error already.
    pub fn answer(mut self) -> Result<Answer> {
        for event in &mut self {
            event?;
        }
        match self.decode.state() {
            State::Committed(stop) => Ok(self.decode.take_answer(&self.session, stop)),
            _ => {
                self.decode.check()?;
                Err(Error::internal("the answer ended with an error"))
            }
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
