//! `mimo_vl.Session`.

use std::sync::Arc;

use mimo_vl_core::Budget;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::answer;
use crate::error::{OrRaise, no_pickle};
use crate::prompt::{Prompt, generate_options, prompt, unsigned};
use crate::slot::Slot;
use crate::stream::Stream;
use crate::stream_state::start;
use crate::text;
use crate::worker::{Tell, interruptible};

/// A conversation. Each turn continues the ones before it.
///
/// One call at a time: a second one, from another thread or while a stream is open, is a RuntimeError. `cancel()` may
/// be called from any thread at any time.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Session {
    slot: Arc<Slot>,
}

impl Session {
    pub(crate) fn new(session: mimo_vl_core::Session) -> Self {
        Self { slot: Arc::new(Slot::new(session)) }
    }
}

#[pymethods]
impl Session {
    /// Put a turn to the model, and wait for the whole answer.
    ///
    /// `parts` is a str, an image or a video, or a list of them in the order in which the model sees them. A str is
    /// text; an image is a mimo_vl.Image or anything that can become one (a pathlib.Path, bytes of an image file, an
    /// open binary file, a PIL image, an array). `system` sets the system message. `thinking` is True, False, or None
    /// for the checkpoint's habit. Options that are None have the model library's default, which is greedy. `progress` is called
    /// before the answer begins with a stage ("encode" counts the vision tower's blocks, "prefill" tokens), what is done of it and
    /// what there is to do; not with best_of. What it raises ends the call.
    ///
    /// Ctrl-C and cancel() leave the session as it was before the call.
    #[pyo3(signature = (parts, *, system=None, thinking=None, progress=None, **options))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyAny>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        progress: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = prompt(parts, system, thinking)?;
        let generate = generate_options(py, options)?;
        let mut lease = self.slot.lend(py, None)?;
        let answer = if generate.best_of > 1 {
            interruptible(py, &self.slot, None, move |_: &Tell<()>| lease.ask(&prompt, &generate))?
        } else {
            // Apart, so that what `progress` raises comes before the answer is part of the conversation.
            let running = interruptible(py, &self.slot, progress, move |tell| {
                lease.report_to(tell);
                start(lease, &prompt, &generate)
            })?;
            interruptible(py, &self.slot, None, move |_: &Tell<()>| running.answer())?
        };
        answer::answer(py, &answer)
    }

    /// Put a turn to the model, and get the answer in pieces: an iterator of Thinking, Text and, at last, End.
    ///
    /// The arguments are those of ask(). The work is done as the iterator is advanced. Closing it before its End (by
    /// close(), by leaving its with block, or by dropping it) leaves the session as it was before the call.
    #[pyo3(signature = (parts, *, system=None, thinking=None, progress=None, **options))]
    fn stream(
        &self,
        py: Python<'_>,
        parts: &Bound<'_, PyAny>,
        system: Option<&Bound<'_, PyString>>,
        thinking: Option<bool>,
        progress: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Stream> {
        let prompt = prompt(parts, system, thinking)?;
        let generate = generate_options(py, options)?;
        Stream::start(py, &self.slot, prompt, generate, progress)
    }

    /// As ask(), in a thread, for asyncio. `progress` is called in that thread.
    #[pyo3(signature = (parts, *, system=None, thinking=None, progress=None, **options))]
    fn aask<'py>(
        slf: &Bound<'py, Self>,
        parts: &Bound<'py, PyAny>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        progress: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        later(slf, "aask", parts, system, thinking, progress, options)
    }

    /// As stream(), for asyncio: an asynchronous iterator of the events. `progress` is called in the thread that does the work.
    #[pyo3(signature = (parts, *, system=None, thinking=None, progress=None, **options))]
    fn astream<'py>(
        slf: &Bound<'py, Self>,
        parts: &Bound<'py, PyAny>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        progress: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        later(slf, "astream", parts, system, thinking, progress, options)
    }

    /// Tell what a question would take, without computing anything of it. The arguments are those of ask().
    #[pyo3(signature = (parts, *, system=None, thinking=None, **options))]
    fn plan<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyAny>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = prompt(parts, system, thinking)?;
        let generate = generate_options(py, options)?;
        let plan = self.slot.with(py, move |session| session.plan(&prompt, &generate))?.or_raise(py)?;
        answer::plan(py, &plan)
    }

    /// The question so that it keeps to a budget of `tokens` of the conversation, or `bytes` of the process at its peak, or what
    /// the context and the free memory hold; with its plan. With `lower_pixels` pictures are made smaller where that is
    /// needed; else a question that does not fit is an error.
    #[pyo3(signature = (parts, *, tokens=None, bytes=None, lower_pixels=true, system=None, thinking=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn fit<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyAny>,
        tokens: Option<i64>,
        bytes: Option<i64>,
        lower_pixels: bool,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(Prompt, Bound<'py, PyAny>)> {
        let prompt = prompt(parts, system, thinking)?;
        let generate = generate_options(py, options)?;
        let mut budget = Budget::new().lower_pixels(lower_pixels);
        if let Some(tokens) = unsigned(py, "tokens", tokens)? {
            budget = budget.tokens(tokens);
        }
        if let Some(bytes) = unsigned(py, "bytes", bytes)? {
            budget = budget.bytes(bytes);
        }
        let fitted = self.slot.with(py, move |session| session.fit(&prompt, &generate, budget))?;
        let (prompt, plan) = fitted.or_raise(py)?;
        Ok((Prompt::of(prompt), answer::plan(py, &plan)?))
    }

    /// A second session that goes on from here on its own; the two share pictures and what was computed of them.
    fn fork(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(self.slot.with(py, |session| session.fork())?))
    }

    /// Write the conversation to a file, with its pictures; Model.load_session() goes on with it.
    fn save(&self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = path.py();
        let path = text::path(path)?;
        self.slot.with(py, move |session| session.save(path))?.or_raise(py)
    }

    /// How many tokens of the conversation need not be computed again.
    #[getter]
    fn cached_tokens(&self, py: Python<'_>) -> PyResult<usize> {
        self.slot.with(py, |session| session.cached_tokens())
    }

    /// Stop the call that is under way in another thread, which then ends with a CancelledError. Without one, nothing
    /// happens.
    fn cancel(&self, py: Python<'_>) {
        py.detach(|| self.slot.cancel());
    }

    /// Forget the conversation.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.slot.with(py, mimo_vl_core::Session::reset)
    }

    /// Stop what is under way, and give the memory back. Further calls are a RuntimeError.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.slot.close());
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) {
        let _ = (exc_type, exc_value, traceback);
        self.close(py);
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Session", "its conversation lives in the memory of this process")
    }
}

/// Call a function of `mimo_vl._aio` with a session and the arguments of a question.
fn later<'py>(
    session: &Bound<'py, Session>,
    function: &str,
    parts: &Bound<'py, PyAny>,
    system: Option<&Bound<'py, PyString>>,
    thinking: Option<bool>,
    progress: Option<&Bound<'py, PyAny>>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = session.py();
    let options = match options {
        Some(options) => options.copy()?,
        None => PyDict::new(py),
    };
    options.set_item("system", system)?;
    options.set_item("thinking", thinking)?;
    options.set_item("progress", progress)?;
    py.import("mimo_vl._aio")?.call_method1(function, (session, parts, options))
}
