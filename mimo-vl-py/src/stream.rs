//! `mimo_vl.Stream`.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mimo_vl_core::{Answer, GenerateOptions, Prompt};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::answer;
use crate::error::{OrRaise, no_pickle};
use crate::slot::Slot;
use crate::stream_state::{Running, Step, Turn};
use crate::worker::{Tell, contain, interruptible, lock};

/// Longest step of a stream whose steps are done on the thread that asks for them, where no signal is noticed meanwhile. A
/// thread for each step would cost more than a short step takes.
const SHORT: Duration = Duration::from_millis(20);

/// Steps that must all have been short before: the first ones may only choose a token, or give an event that was there.
const TRIED: u32 = 4;

/// An answer while it is generated: an iterator of Thinking, Text and, at last, End; also a context manager.
///
/// Closing it before its End leaves the session as it was before the call.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Stream {
    slot: Arc<Slot>,
    turn: Arc<Turn>,
    /// How many steps were short, up to the first that was not.
    short: AtomicU32,
    /// Whether one was not.
    is_slow: AtomicBool,
    answer: Mutex<Option<Answer>>,
}

impl Stream {
    /// Take the session from `slot` for one turn.
    pub(crate) fn start(
        py: Python<'_>,
        slot: &Arc<Slot>,
        prompt: Prompt,
        generate: GenerateOptions,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let turn = Arc::new(Turn::default());
        let mut lease = slot.lend(py, Some(&turn))?;
        let this = Self {
            slot: Arc::clone(slot),
            turn: Arc::clone(&turn),
            short: AtomicU32::new(0),
            is_slow: AtomicBool::new(false),
            answer: Mutex::new(None),
        };
        let started = interruptible(py, slot, progress, move |tell| {
            lease.report_to(tell);
            turn.start(lease, &prompt, &generate)
        });
        started.inspect_err(|_| this.turn.end())?;
        Ok(this)
    }

    fn step(&self, py: Python<'_>, running: Running) -> PyResult<Step> {
        let turn = Arc::clone(&self.turn);
        let work = move || {
            let start = Instant::now();
            Ok((turn.step(running)?, start.elapsed()))
        };
        let here = self.short.load(Ordering::Relaxed) >= TRIED && !self.is_slow.load(Ordering::Relaxed);
        let step = if here {
            py.detach(|| contain(work).flatten()).or_raise(py)
        } else {
            interruptible(py, &self.slot, None, move |_: &Tell<()>| work())
        };
        let (step, time) = step?;
        if time < SHORT {
            self.short.fetch_add(1, Ordering::Relaxed);
        } else {
            self.is_slow.store(true, Ordering::Relaxed);
        }
        Ok(step)
    }

    /// One step, and the event that it gives, if Python has a class for it.
    fn next<'py>(&self, py: Python<'py>, running: Running) -> PyResult<ControlFlow<Option<Bound<'py, PyAny>>>> {
        // A loop in C, list(stream) for example, looks for no signals of its own.
        py.check_signals()?;
        Ok(match self.step(py, running)? {
            Step::Event(event) => match answer::event(py, event)? {
                None => ControlFlow::Continue(()),
                event => ControlFlow::Break(event),
            },
            Step::End(event, answer) => {
                *lock(&self.answer) = Some(*answer);
                ControlFlow::Break(answer::event(py, event)?)
            }
            Step::Closed => ControlFlow::Break(None),
        })
    }
}

#[pymethods]
impl Stream {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        loop {
            let Some(running) = self.turn.take().map_err(PyRuntimeError::new_err)? else { return Ok(None) };
            // Whatever is raised, by a signal's handler too, ends the turn.
            match self.next(py, running).inspect_err(|_| self.turn.end())? {
                ControlFlow::Break(event) => return Ok(event),
                ControlFlow::Continue(()) => {}
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
        self.turn.stop();
    }

    /// End the thinking here: the answer follows. Without thinking under way nothing happens.
    fn end_thinking(&self) {
        self.turn.end_thinking();
    }

    /// End the stream. Before its End this leaves the session as it was before the call; after it, it does nothing.
    fn close(&self) {
        self.turn.close();
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(&self, exc_type: &Bound<'_, PyAny>, exc_value: &Bound<'_, PyAny>, traceback: &Bound<'_, PyAny>) {
        let _ = (exc_type, exc_value, traceback);
        self.turn.close();
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Stream", "send the events that it gives")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.turn.close();
    }
}
