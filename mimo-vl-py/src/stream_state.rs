//! What a stream does between and during its steps.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use mimo_vl_core::{Answer, Error, Event, GenerateOptions, Prompt, Result};

use crate::slot::Lease;
use crate::worker::lock;

/// A core stream between two steps.
pub(crate) type Running = Box<mimo_vl_core::Stream<Lease>>;

/// An answer that is generated step by step. It can be closed at any time and on any thread.
#[derive(Default)]
pub(crate) struct Turn {
    state: Mutex<State>,
    stop: AtomicBool,
    end_thinking: AtomicBool,
}

enum State {
    /// The next step can be taken.
    Waiting(Running),
    /// A thread is at it.
    Stepping {
        /// Whether this shall be the last one.
        closing: bool,
    },
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Stepping { closing: false }
    }
}

/// What came of a step.
pub(crate) enum Step {
    Event(Event),
    /// The last event, and the answer as a whole. The session is free again.
    End(Event, Box<Answer>),
    /// The stream was closed meanwhile.
    Closed,
}

/// Let the session take in a question, up to the first token of its answer.
pub(crate) fn start(lease: Lease, prompt: &Prompt, generate: &GenerateOptions) -> Result<Running> {
    let slot = lease.slot();
    let running = mimo_vl_core::Stream::start(lease, prompt, generate)?;
    slot.repeat_cancel();
    Ok(Box::new(running))
}

impl Turn {
    /// Take in the question: the first step.
    pub(crate) fn start(&self, lease: Lease, prompt: &Prompt, generate: &GenerateOptions) -> Result<()> {
        self.bring_back(start(lease, prompt, generate)?);
        Ok(())
    }

    /// Take the stream for a step: None when the turn is over, an error when a thread has it already.
    pub(crate) fn take(&self) -> Result<Option<Running>, &'static str> {
        let mut state = lock(&self.state);
        match &*state {
            State::Waiting(_) => {}
            State::Stepping { .. } => return Err("the stream is busy: another thread is advancing it"),
            State::Over => return Ok(None),
        }
        match std::mem::take(&mut *state) {
            State::Waiting(running) => Ok(Some(running)),
            _ => Ok(None),
        }
    }

    /// Take a step, and bring the stream back. An error rolls the turn back.
    pub(crate) fn step(&self, mut running: Running) -> Result<Step> {
        if self.end_thinking.swap(false, Ordering::Relaxed) {
            running.end_thinking()?;
        }
        if self.stop.swap(false, Ordering::Relaxed) {
            running.stop();
        }
        match running.next().transpose()? {
            Some(end @ Event::End(_)) => {
                let answer = running.answer()?;
                self.end();
                Ok(Step::End(end, Box::new(answer)))
            }
            Some(event) => Ok(if self.bring_back(running) { Step::Event(event) } else { Step::Closed }),
            None => Err(Error::Internal { reason: "a stream ended without its last event".to_owned() }),
        }
    }

    /// End the answer in the next step, and keep it.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// End the thinking in the next step.
    pub(crate) fn end_thinking(&self) {
        self.end_thinking.store(true, Ordering::Relaxed);
    }

    /// End the turn, at once or after the step that is under way. Before its last event that leaves the conversation as it
    /// was.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        match &mut *state {
            State::Stepping { closing } => *closing = true,
            _ => {
                let last = std::mem::replace(&mut *state, State::Over);
                // This gives the session back, and those who wait for it look at this turn.
                drop(state);
                drop(last);
            }
        }
    }

    /// The turn is over: its last step was taken, or failed.
    pub(crate) fn end(&self) {
        let last = std::mem::replace(&mut *lock(&self.state), State::Over);
        drop(last);
    }

    /// The session is about to come free.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(&*lock(&self.state), State::Stepping { closing: true } | State::Over)
    }

    /// Wait for the next step, unless the turn was ended meanwhile.
    fn bring_back(&self, running: Running) -> bool {
        let mut state = lock(&self.state);
        if matches!(&*state, State::Stepping { closing: false }) {
            *state = State::Waiting(running);
            return true;
        }
        *state = State::Over;
        // This gives the session back, and those who wait for it look at this turn.
        drop(state);
        drop(running);
        false
    }
}
