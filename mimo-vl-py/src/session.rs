//! `mimo_vl.Session`.

use mimo_vl_core::Budget;
use mimo_vl_core::expert::SessionGuard;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

use crate::answer;
use crate::call::{CancelToken, child_token, with_progress};
use crate::error::{OrRaise, no_pickle};
use crate::number::unsigned;
use crate::options::generate_options;
use crate::prompt::{Prompt, prompt};
use crate::session_handle::{Call, SessionHandle};
use crate::stream::Stream;
use crate::text;
use crate::worker::{Report, run};

/// A conversation: each call continues the ones before it.
///
/// One call at a time: a second one, from another thread or while a stream is open, is a RuntimeError.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Session {
    handle: SessionHandle,
}

impl Session {
    pub(crate) fn new(session: mimo_vl_core::Session) -> Self {
        Self { handle: SessionHandle::new(session) }
    }
}

#[pymethods]
impl Session {
    /// Sends a prompt and waits for the complete answer.
    ///
    /// `parts` are texts, images and videos, or one list of them, in the order in which the model sees them. A str is
    /// text, and not the name of a file; an image is a mimo_vl.Image or anything that can become one: a pathlib.Path,
    /// the bytes of an image file, an open binary file, a PIL image, an array. `system` sets the system message.
    /// `thinking` is True, False, or None for the checkpoint's default. Other options are those of
    /// mimo_vl_core::GenerateOptions; None takes the default, which is greedy. `timeout` is in seconds.
    ///
    /// `cancel`, a CancelToken, cancels the call, which raises CancelledError. `progress` is called before the answer
    /// begins with a stage ("encode" counts blocks of the vision tower, "prefill" tokens), the units that are done and
    /// their total; not with best_of. An exception that it raises ends the call.
    ///
    /// A call that is cancelled, also by Ctrl-C, leaves the session as it was before.
    #[pyo3(signature = (*parts, system=None, thinking=None, cancel=None, progress=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyTuple>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        cancel: Option<&Bound<'py, CancelToken>>,
        progress: Option<&Bound<'py, PyAny>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = prompt(parts, system, thinking)?;
        let token = child_token(cancel);
        let options = generate_options(py, options)?.cancel(&token);
        let mut session = self.handle.acquire(py, &Call { cancel: token.clone(), stream: None })?;
        let answer = if options.best_of > 1 {
            run(py, &token, None, move |_: &Report<()>| session.ask(&prompt, &options))?
        } else {
            // Two runs, so that an exception of `progress` comes before the answer is part of the conversation.
            let stream = run(py, &token, progress, move |report| {
                mimo_vl_core::Stream::<SessionGuard>::start(session, &prompt, &with_progress(options, report))
            })?;
            run(py, &token, None, move |_: &Report<()>| stream.answer())?
        };
        answer::answer(py, &answer)
    }

    /// Sends a prompt and returns an iterator of the answer's events: Thinking, Text, RegionEvent and, at last, End.
    ///
    /// The arguments are those of ask(). Advancing the iterator does the work. Closing it before its End (by close(),
    /// by leaving its with block, or by dropping it) leaves the session as it was before the call.
    #[pyo3(signature = (*parts, system=None, thinking=None, cancel=None, progress=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn stream(
        &self,
        py: Python<'_>,
        parts: &Bound<'_, PyTuple>,
        system: Option<&Bound<'_, PyString>>,
        thinking: Option<bool>,
        cancel: Option<&Bound<'_, CancelToken>>,
        progress: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Stream> {
        let prompt = prompt(parts, system, thinking)?;
        let options = generate_options(py, options)?.cancel(&child_token(cancel));
        Stream::start(py, &self.handle, prompt, options, progress)
    }

    /// ask() for asyncio, in a thread. `progress` is called in that thread. Cancelling the task cancels the call.
    #[pyo3(signature = (*parts, **options))]
    fn aask<'py>(
        slf: &Bound<'py, Self>,
        parts: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        call_asyncio(slf, "aask", parts, options)
    }

    /// stream() for asyncio: an asynchronous iterator of events. `progress` is called in the thread that works.
    /// Cancelling the task cancels the call.
    #[pyo3(signature = (*parts, **options))]
    fn astream<'py>(
        slf: &Bound<'py, Self>,
        parts: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        call_asyncio(slf, "astream", parts, options)
    }

    /// Returns the tokens and bytes that a prompt needs, without running the model. The arguments are those of ask().
    #[pyo3(signature = (*parts, system=None, thinking=None, **options))]
    fn plan<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyTuple>,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let prompt = prompt(parts, system, thinking)?;
        let options = generate_options(py, options)?;
        let plan = self.handle.with(py, move |session| session.plan(&prompt, &options))?.or_raise(py)?;
        answer::plan(py, &plan)
    }

    /// Returns the prompt fitted to a budget, and its plan. The budget is `tokens` of the conversation, `bytes` of the
    /// process at its peak, or by default what the context and the free memory allow. With `lower_pixels` images are
    /// scaled down where needed; else a prompt that does not fit is an error.
    #[pyo3(signature = (*parts, tokens=None, bytes=None, lower_pixels=true, system=None, thinking=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn fit<'py>(
        &self,
        py: Python<'py>,
        parts: &Bound<'py, PyTuple>,
        tokens: Option<i64>,
        bytes: Option<i64>,
        lower_pixels: bool,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(Prompt, Bound<'py, PyAny>)> {
        let prompt = prompt(parts, system, thinking)?;
        let options = generate_options(py, options)?;
        let mut budget = Budget::new().lower_pixels(lower_pixels);
        if let Some(tokens) = unsigned(py, "tokens", tokens)? {
            budget = budget.tokens(tokens);
        }
        if let Some(bytes) = unsigned(py, "bytes", bytes)? {
            budget = budget.bytes(bytes);
        }
        let fitted = self.handle.with(py, move |session| session.fit(&prompt, &options, budget))?;
        let (prompt, plan) = fitted.or_raise(py)?;
        Ok((Prompt::of(prompt), answer::plan(py, &plan)?))
    }

    /// Returns a second session that continues from here on its own. The two share images and their features.
    fn fork(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self::new(self.handle.with(py, |session| session.fork())?))
    }

    /// Writes the conversation with its images to a file; Model.load_session() continues it.
    fn save(&self, path: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = path.py();
        let path = text::path(path)?;
        self.handle.with(py, move |session| session.save(path))?.or_raise(py)
    }

    /// Number of tokens of the conversation in the KV cache.
    #[getter]
    fn cached_tokens(&self, py: Python<'_>) -> PyResult<usize> {
        self.handle.with(py, |session| session.cached_tokens())
    }

    /// Clears the conversation.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        self.handle.with(py, mimo_vl_core::Session::reset)
    }

    /// Cancels the call that runs, and frees the session's memory. Later calls are a RuntimeError.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.handle.close());
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

/// Calls a function of `mimo_vl._aio` with a session and the arguments of a prompt.
fn call_asyncio<'py>(
    session: &Bound<'py, Session>,
    function: &str,
    parts: &Bound<'py, PyTuple>,
    options: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = session.py();
    let options = options.map_or_else(|| Ok(PyDict::new(py)), |options| options.copy())?;
    py.import("mimo_vl._aio")?.call_method1(function, (session, parts, options))
}
