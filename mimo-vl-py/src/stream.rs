//! `mimo_vl.Stream`.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mimo_vl_core::expert::contain;
use mimo_vl_core::{Answer, CancelToken, GenerateOptions, Prompt};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::answer;
use crate::call::with_progress;
use crate::error::{OrRaise, no_pickle};
use crate::session_handle::{Call, SessionHandle};
use crate::stream_state::{CoreStream, Step, StreamState};
use crate::worker::{Report, lock, run};

/// Longest step that may run on the calling thread, where signals wait until it returns. A thread for each step would
/// cost more than a short step takes.
const MAX_INLINE_STEP: Duration = Duration::from_millis(20);

/// Number of short steps before steps run on the calling thread: the first ones may return an event that was pending.
const MIN_SHORT_STEPS: u32 = 4;

/// An answer while it is generated: an iterator of Thinking, Text, RegionEvent and, at last, End; also a context
/// manager.
///
/// Closing it before its End leaves the session as it was before the call.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Stream {
    cancel: CancelToken,
    state: Arc<StreamState>,
    /// Number of short steps.
    short_steps: AtomicU32,
    /// True once a step was not short.
    is_slow: AtomicBool,
    answer: Mutex<Option<Answer>>,
}

impl Stream {
    /// Acquires the session and prefills the prompt.
    pub(crate) fn start(
        py: Python<'_>,
        session: &SessionHandle,
        prompt: Prompt,
        mut options: GenerateOptions,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let state = Arc::new(StreamState::default());
        let cancel = options.call.cancel.get_or_insert_default().clone();
        let guard = session.acquire(py, &Call { cancel: cancel.clone(), stream: Some(Arc::clone(&state)) })?;
        let this = Self {
            cancel,
            state: Arc::clone(&state),
            short_steps: AtomicU32::new(0),
            is_slow: AtomicBool::new(false),
            answer: Mutex::new(None),
        };
        let started = run(py, &this.cancel, progress, move |report| {
            let stream = mimo_vl_core::Stream::start(guard, &prompt, &with_progress(options, report))?;
            state.put_back(Box::new(stream));
            Ok(())
        });
        started.inspect_err(|_| this.state.end())?;
        Ok(this)
    }

    fn step(&self, py: Python<'_>, stream: CoreStream) -> PyResult<Step> {
        let state = Arc::clone(&self.state);
        let work = move || {
            let start = Instant::now();
            Ok((state.step(stream)?, start.elapsed()))
        };
        let is_inline =
            self.short_steps.load(Ordering::Relaxed) >= MIN_SHORT_STEPS && !self.is_slow.load(Ordering::Relaxed);
        let (step, time) = if is_inline {
            py.detach(|| contain(work).flatten()).or_raise(py)?
        } else {
            run(py, &self.cancel, None, move |_: &Report<()>| work())?
        };
        if time < MAX_INLINE_STEP {
            self.short_steps.fetch_add(1, Ordering::Relaxed);
        } else {
            self.is_slow.store(true, Ordering::Relaxed);
        }
        Ok(step)
    }

    /// Runs a step. Breaks with its event, or with `None` if the stream was closed; continues if Python has no class
    /// for the event.
    fn next<'py>(&self, py: Python<'py>, stream: CoreStream) -> PyResult<ControlFlow<Option<Bound<'py, PyAny>>>> {
        // A loop in C, such as list(stream), does not check for signals itself.
        py.check_signals()?;
        Ok(match self.step(py, stream)? {
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
            let Some(stream) = self.state.take().map_err(PyRuntimeError::new_err)? else { return Ok(None) };
            // Any exception, of a signal handler too, ends the stream.
            match self.next(py, stream).inspect_err(|_| self.state.end())? {
                ControlFlow::Break(event) => return Ok(event),
                ControlFlow::Continue(()) => {}
            }
        }
    }

    /// The complete answer; None before the End.
    #[getter]
    fn answer<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        lock(&self.answer).as_ref().map(|answer| answer::answer(py, answer)).transpose()
    }

    /// Ends the answer: the next event is its End, and the session keeps the text so far.
    fn stop(&self) {
        self.state.stop();
    }

    /// Ends the thinking, if the model thinks: the answer follows.
    fn end_thinking(&self) {
        self.state.end_thinking();
    }

    /// Ends the stream. Before its End this leaves the session as it was before the call; after it, there is no effect.
    fn close(&self) {
        self.state.close();
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(&self, exc_type: &Bound<'_, PyAny>, exc_value: &Bound<'_, PyAny>, traceback: &Bound<'_, PyAny>) {
        let _ = (exc_type, exc_value, traceback);
        self.state.close();
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Stream", "send its events")
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.state.close();
    }
}
