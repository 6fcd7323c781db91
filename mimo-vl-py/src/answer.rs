//! Answers and events of the core as the dataclasses of `mimo_vl.answer`.

use mimo_vl_core::answer::{Event, StopReason};
use mimo_vl_core::session::Answer;
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// A class of `mimo_vl.answer`, imported once.
macro_rules! class {
    ($py:expr, $name:literal) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import($py, "mimo_vl.answer", $name)
    }};
}

/// `mimo_vl.Thinking`, `mimo_vl.Text` or `mimo_vl.End`. None for a kind of event that Python has no class for.
pub(crate) fn event<'py>(py: Python<'py>, event: Event) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(match event {
        Event::Thinking(text) => class!(py, "Thinking")?.call1((text,))?,
        Event::Text(text) => class!(py, "Text")?.call1((text,))?,
        Event::End(reason) => class!(py, "End")?.call1((stop_reason(py, reason)?,))?,
        _ => return Ok(None),
    }))
}

/// `mimo_vl.Answer`.
pub(crate) fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    let timings = &answer.timings;
    let seconds = class!(py, "Timings")?.call1((
        timings.load.as_secs_f64(),
        timings.preprocess.as_secs_f64(),
        timings.encode.as_secs_f64(),
        timings.prefill.as_secs_f64(),
        timings.decode.as_secs_f64(),
        timings.cached_tokens,
        timings.prefill_tokens_per_second(),
        timings.decode_tokens_per_second(),
    ))?;
    class!(py, "Answer")?.call1((
        answer.text.as_str(),
        answer.thinking.as_deref(),
        stop_reason(py, answer.stop)?,
        answer.tokens,
        answer.prompt_tokens,
        seconds,
    ))
}

fn stop_reason<'py>(py: Python<'py>, reason: StopReason) -> PyResult<Bound<'py, PyAny>> {
    let name = match reason {
        StopReason::EndOfText => "end_of_text",
        StopReason::MaxTokens => "max_tokens",
        StopReason::Cancelled => "cancelled",
        StopReason::ContextFull => "context_full",
        StopReason::StopText => "stop_text",
        StopReason::Loop => "loop",
        StopReason::Deadline => "deadline",
        other => return Err(PyNotImplementedError::new_err(format!("an answer ended by {other:?}"))),
    };
    class!(py, "StopReason")?.call1((name,))
}
