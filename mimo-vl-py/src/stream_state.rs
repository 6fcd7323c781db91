//! State of a stream between and during its steps.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use mimo_vl_core::expert::SessionGuard;
use mimo_vl_core::{Answer, Error, Event, Result};

use crate::worker::lock;

/// A core stream that waits for its next step.
pub(crate) type CoreStream = Box<mimo_vl_core::Stream<SessionGuard>>;

/// An answer that is generated step by step. Any thread may close it at any time.
#[derive(Default)]
pub(crate) struct StreamState {
    state: Mutex<State>,
    stop: AtomicBool,
    end_thinking: AtomicBool,
}

enum State {
    /// Between two steps.
    Idle(CoreStream),
    /// A thread runs a step, the prefill first.
    Stepping {
        /// The stream was closed during the step.
        is_closing: bool,
    },
    Ended,
}

impl Default for State {
    fn default() -> Self {
        Self::Stepping { is_closing: false }
    }
}

/// The result of a step.
pub(crate) enum Step {
    Event(Event),
    /// The last event and the answer. The session is released.
    End(Event, Box<Answer>),
    /// The stream was closed during the step.
    Closed,
}

impl StreamState {
    /// Takes the stream for a step. `None` after the end; an error while another thread runs a step.
    pub(crate) fn take(&self) -> Result<Option<CoreStream>, &'static str> {
        let mut state = lock(&self.state);
        match std::mem::take(&mut *state) {
            State::Idle(stream) => Ok(Some(stream)),
            other => {
                let is_ended = matches!(other, State::Ended);
                *state = other;
                if is_ended { Ok(None) } else { Err("the stream is busy: another thread is advancing it") }
            }
        }
    }

    /// Runs a step and puts the stream back. An error leaves the conversation as it was before the call.
    pub(crate) fn step(&self, mut stream: CoreStream) -> Result<Step> {
        if self.end_thinking.swap(false, Ordering::Relaxed) {
            stream.end_thinking()?;
        }
        if self.stop.swap(false, Ordering::Relaxed) {
            stream.stop();
        }
        match stream.next().transpose()? {
            Some(end @ Event::End(_)) => {
                let answer = stream.answer()?;
                self.end();
                Ok(Step::End(end, Box::new(answer)))
            }
            Some(event) => Ok(if self.put_back(stream) { Step::Event(event) } else { Step::Closed }),
            None => Err(Error::Internal { reason: "a stream ended without its last event".to_owned() }),
        }
    }

    /// Puts the stream back after a step, unless it was closed meanwhile; then drops it and returns false.
    pub(crate) fn put_back(&self, stream: CoreStream) -> bool {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Stepping { is_closing: false }) {
            *state = State::Idle(stream);
            return true;
        }
        *state = State::Ended;
        // Dropping the stream releases the session, and those who wait for it look at this state.
        drop(state);
        drop(stream);
        false
    }

    /// Ends the answer at the next step and keeps it.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Ends the thinking at the next step.
    pub(crate) fn end_thinking(&self) {
        self.end_thinking.store(true, Ordering::Relaxed);
    }

    /// Ends the stream, at once or after the step that runs. Before its last event, the conversation stays as it was.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Stepping { is_closing } => *is_closing = true,
            _ => {
                let last = std::mem::replace(&mut *state, State::Ended);
                // Dropping the stream releases the session, and those who wait for it look at this state.
                drop(state);
                drop(last);
            }
        }
    }

    /// Marks the stream as ended after its last step, or after one that failed.
    pub(crate) fn end(&self) {
        let last = std::mem::replace(&mut *lock(&self.state), State::Ended);
        drop(last);
    }

    /// True if the session is about to be released.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(&*lock(&self.state), State::Stepping { is_closing: true } | State::Ended)
    }
}
