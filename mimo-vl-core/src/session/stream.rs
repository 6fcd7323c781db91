//! An answer that is read while it is written.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::DerefMut;

use super::answer::Answer;
use super::decode_loop::{DecodeLoop, State};
use super::session::Session;
use crate::answer::Event;
use crate::error::{Error, Result};
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;

/// An answer that is computed as its events are asked for.
///
/// The last event is [`Event::End`]; when it is given, the turn becomes part of the conversation. A stream that is
/// dropped before leaves the session as it was before the question. After an error nothing follows, and the
/// session is as before the question too.
///
/// `S` is the session: a loan of it, or what holds it while the stream lives, such as a `Box`.
pub struct Stream<S: DerefMut<Target = Session>> {
    session: S,
    writer: DecodeLoop,
}

impl<S: DerefMut<Target = Session>> Stream<S> {
    /// Ask, as [`Session::stream`] does, a session that the stream keeps until it is dropped.
    ///
    /// # Errors
    /// Those of [`Session::stream`]; `session` is dropped then.
    pub fn start(mut session: S, prompt: &Prompt, generate: &GenerateOptions) -> Result<Self> {
        let begun = session.start(prompt, generate)?;
        let writer = DecodeLoop::new(&session, begun)?;
        Ok(Self { session, writer })
    }

    /// End the thinking, if the model thinks, and let the answer follow.
    ///
    /// # Errors
    /// [`Error::Internal`] for a defect of this library.
    pub fn end_thinking(&mut self) -> Result<()> {
        self.writer.end_thinking(&self.session)
    }

    /// End the answer here and keep the turn as it is. The events that are left can still be read; the last is
    /// [`Event::End`] with [`StopReason::Cancelled`](crate::answer::StopReason::Cancelled). After the end of the answer this
    /// does nothing.
    pub fn stop(&mut self) {
        self.writer.stop(&mut self.session);
    }

    /// Run to the end, and give the whole answer; events that were read before are part of it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the session's flag was raised, [`Error::Internal`] for a defect of this library or
    /// when the stream has given an error already.
    pub fn answer(mut self) -> Result<Answer> {
        for event in &mut self {
            event?;
        }
        match self.writer.state() {
            State::Committed(stop) => Ok(self.writer.take_answer(&self.session, stop)),
            _ => {
                self.session.check()?;
                Err(Error::internal("the answer ended with an error"))
            }
        }
    }
}

impl<S: DerefMut<Target = Session>> Iterator for Stream<S> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.writer.event(&mut self.session) {
                return Some(Ok(event));
            }
            if self.writer.state() != State::Writing {
                return None;
            }
            if let Err(error) = self.writer.advance(&mut self.session) {
                return Some(Err(self.writer.fail(&mut self.session, error)));
            }
        }
    }
}

impl<S: DerefMut<Target = Session>> FusedIterator for Stream<S> {}

impl<S: DerefMut<Target = Session>> Drop for Stream<S> {
    fn drop(&mut self) {
        self.writer.give_up(&mut self.session);
    }
}

impl<S: DerefMut<Target = Session>> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("writer", &self.writer).finish_non_exhaustive()
    }
}
