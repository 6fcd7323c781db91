//! `mimo_vl.Stream`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, TryLockError};

use mimo_vl_core::answer::Event;
use mimo_vl_core::error::{Error, Result};
use mimo_vl_core::prompt::Prompt;
use mimo_vl_core::sampling::Generate;
use mimo_vl_core::session::{Answer, Session};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::answer;
use crate::error::{exception, no_pickle};
use crate::worker::{Pulls, Slot, lock, stop, wait};

/// What a stream's worker sends, one for each pull after the first. An error in its place says that the turn failed and
/// was rolled back; the session is free again then.
enum Step {
    /// The prompt is accepted. The one message that is not asked for.
    Started,
    Event(Event),
    /// The last event, and the answer as a whole. The session is free again.
    End(Event, Box<Answer>),
    /// The stream was closed early.
    Closed,
}

/// What the caller wants of the answer, for the worker to see before its next step.
#[derive(Default)]
struct Wishes {
    stop: AtomicBool,
    end_thinking: AtomicBool,
}

/// An answer while it is generated: an iterator of Thinking, Text and, at last, End; also a context manager.
///
/// Closing it before its End leaves the session as it was before the call.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Stream {
    slot: Arc<Slot>,
    pulls: Pulls,
    wishes: Arc<Wishes>,
    steps: Mutex<Receiver<Result<Step>>>,
    answer: Mutex<Option<Answer>>,
}

impl Stream {
    /// Take the session from `slot` for one turn. The steps of the turn wait to be pulled.
    pub(crate) fn start(py: Python<'_>, slot: &Arc<Slot>, prompt: Prompt, generate: Generate) -> PyResult<Self> {
        let (pull, pulled) = mpsc::channel();
        let (steps, received) = mpsc::channel();
        let pulls = Arc::new(Mutex::new(Some(pull)));
        let events = steps.clone();
        let wishes = Arc::new(Wishes::default());
        let wished = Arc::clone(&wishes);
        slot.run(py, Some(Arc::clone(&pulls)), steps, move |session, slot| {
            turn(session, slot, &prompt, &generate, &wished, &pulled, &events)
        })?;
        let slot_of_it = Arc::clone(slot);
        let stream = Self { slot: slot_of_it, pulls, wishes, steps: Mutex::new(received), answer: Mutex::new(None) };
        let mut steps = lock(&stream.steps);
        match wait(py, Some(slot), &mut steps) {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(exception(py, &error)),
            Err(interrupt) => {
                stream.end();
                stop(py, slot, &mut steps);
                return Err(interrupt);
            }
        }
        drop(steps);
        Ok(stream)
    }

    fn end(&self) {
        self.slot.end_stream(&self.pulls);
    }
}

/// The worker's side: one event for each pull. Leaving early drops the core's stream, which rolls the turn back.
fn turn(
    session: &mut Session,
    slot: &Slot,
    prompt: &Prompt,
    generate: &Generate,
    wishes: &Wishes,
    pulled: &Receiver<()>,
    events: &Sender<Result<Step>>,
) -> Result<Step> {
    let mut stream = session.stream(prompt, generate)?;
    slot.repeat_cancel();
    if events.send(Ok(Step::Started)).is_err() || pulled.recv().is_err() {
        return Ok(Step::Closed);
    }
    loop {
        if wishes.end_thinking.swap(false, Ordering::Relaxed) {
            stream.end_thinking()?;
        }
        if wishes.stop.swap(false, Ordering::Relaxed) {
            stream.stop();
        }
        let Some(event) = stream.next() else { break };
        match event? {
            end @ Event::End(_) => {
                let answer = stream.answer()?;
                return Ok(Step::End(end, Box::new(answer)));
            }
            event => {
                if events.send(Ok(Step::Event(event))).is_err() || pulled.recv().is_err() {
                    return Ok(Step::Closed);
                }
            }
        }
    }
    Err(Error::Internal { reason: "a stream ended without its last event".to_owned() })
}

#[pymethods]
impl Stream {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut steps = match self.steps.try_lock() {
            Ok(steps) => steps,
            Err(TryLockError::Poisoned(steps)) => steps.into_inner(),
            Err(TryLockError::WouldBlock) => {
                return Err(PyRuntimeError::new_err("the stream is busy: another thread is advancing it"));
            }
        };
        loop {
            // A loop in C, list(stream) for example, looks for no signals of its own.
            py.check_signals()?;
            if lock(&self.pulls).as_ref().is_none_or(|pull| pull.send(()).is_err()) {
                return Ok(None);
            }
            let step = match wait(py, Some(&self.slot), &mut steps) {
                Ok(step) => step,
                Err(interrupt) => {
                    self.end();
                    stop(py, &self.slot, &mut steps);
                    return Err(interrupt);
                }
            };
            match step {
                Ok(Step::Event(event)) => {
                    if let Some(event) = answer::event(py, event)? {
                        return Ok(Some(event));
                    }
                }
                Ok(Step::End(event, answer)) => {
                    self.end();
                    *lock(&self.answer) = Some(*answer);
                    return answer::event(py, event);
                }
                Ok(Step::Started | Step::Closed) => return Ok(None),
                Err(error) => {
                    self.end();
                    return Err(exception(py, &error));
                }
            }
        }
    }

    /// The answer as a whole; None before the End.
    #[getter]
    fn answer<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        lock(&self.answer).as_ref().map(|answer| answer::answer(py, answer)).transpose()
    }

    /// End the answer here: the next event is its End, and the session keeps what was said.
    fn stop(&self) {
        self.wishes.stop.store(true, Ordering::Relaxed);
    }

    /// End the thinking here: the answer follows. Without thinking under way nothing happens.
    fn end_thinking(&self) {
        self.wishes.end_thinking.store(true, Ordering::Relaxed);
    }

    /// End the stream. Before its End this leaves the session as it was before the call; after it, it does nothing.
    fn close(&self) {
        self.end();
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(&self, exc_type: &Bound<'_, PyAny>, exc_value: &Bound<'_, PyAny>, traceback: &Bound<'_, PyAny>) {
        let _ = (exc_type, exc_value, traceback);
        self.end();
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Stream", "send the events that it gives")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end();
    }
}
