//! Conversion of the core's answers and events to the dataclasses of `mimo_vl.answer`.

use std::ops::Range;

use mimo_vl_core::gui::Action;
use mimo_vl_core::{Answer, Coordinates, Event, Geometry, Plan, PlannedPart, Region, StopReason};
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

/// A class of `mimo_vl.answer`, which is imported once.
macro_rules! class {
    ($py:expr, $name:literal) => {{
        static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
        CLASS.import($py, "mimo_vl.answer", $name)
    }};
}

/// A `mimo_vl.Thinking`, `Text`, `RegionEvent` or `End`; `None` for an event that Python has no class for.
pub(crate) fn event<'py>(py: Python<'py>, event: Event) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(Some(match event {
        Event::Thinking(text) => class!(py, "Thinking")?.call1((text,))?,
        Event::Text(text) => class!(py, "Text")?.call1((text,))?,
        Event::Region(located) => class!(py, "RegionEvent")?.call1((region(py, &located)?,))?,
        Event::End(reason) => class!(py, "End")?.call1((stop_reason(py, reason)?,))?,
        _ => return Ok(None),
    }))
}

/// A `mimo_vl.Answer`.
pub(crate) fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    let timings = &answer.timings;
    let timings = class!(py, "Timings")?.call1((
        timings.load.as_secs_f64(),
        timings.media.as_secs_f64(),
        timings.preprocess.as_secs_f64(),
        timings.encode.as_secs_f64(),
        timings.prefill.as_secs_f64(),
        timings.decode.as_secs_f64(),
        timings.sampling.as_secs_f64(),
        timings.cached_tokens,
        timings.prefill_tokens_per_second(),
        timings.decode_tokens_per_second(),
    ))?;
    let regions = answer.regions.iter().map(|located| region(py, located)).collect::<PyResult<Vec<_>>>()?;
    let characters = CharacterIndex::new(&answer.text);
    let logprobs = answer.logprobs.iter().map(|token| {
        let (top, range) = (PyTuple::new(py, token.top.iter().copied())?, characters.range(&token.range));
        class!(py, "TokenLogprob")?.call1((token.id, token.logprob, top, range))
    });
    let logprobs = logprobs.collect::<PyResult<Vec<_>>>()?;
    let memory = answer.memory;
    class!(py, "Answer")?.call1((
        answer.text.as_str(),
        answer.thinking.as_deref(),
        stop_reason(py, answer.stop)?,
        answer.tokens,
        answer.prompt_tokens,
        timings,
        answer.complete,
        answer.closed_early,
        PyTuple::new(py, regions)?,
        action(py, answer)?,
        PyTuple::new(py, logprobs)?,
        class!(py, "MemoryUse")?.call1((memory.weights, memory.cache, memory.pixels, memory.features))?,
    ))
}

/// The index of the character, as Python counts, of each byte of a text, and of its end.
pub(crate) struct CharacterIndex(Vec<usize>);

impl CharacterIndex {
    pub(crate) fn new(text: &str) -> Self {
        let characters = text.chars().enumerate();
        let mut indices: Vec<usize> =
            characters.flat_map(|(index, character)| std::iter::repeat_n(index, character.len_utf8())).collect();
        indices.push(text.chars().count());
        Self(indices)
    }

    /// Converts a range of bytes to one of characters.
    pub(crate) fn range(&self, bytes: &Range<usize>) -> (usize, usize) {
        (self.0[bytes.start], self.0[bytes.end])
    }
}

/// A `mimo_vl.Region`.
fn region<'py>(py: Python<'py>, region: &Region) -> PyResult<Bound<'py, PyAny>> {
    let (mut edges, mut points) = (None, Vec::new());
    match &region.geometry {
        Geometry::Box(edge) => edges = Some(coordinates(py, edge)?),
        Geometry::Points(list) => {
            points = list.iter().map(|point| coordinates(py, point)).collect::<PyResult<_>>()?;
        }
        _ => {}
    }
    let (label, text) = (region.label.as_deref(), region.text.as_deref());
    class!(py, "Region")?.call1((
        region.image,
        region.page,
        label,
        text,
        edges,
        PyTuple::new(py, points)?,
        region.confidence,
    ))
}

/// A `mimo_vl.Coordinates`.
fn coordinates<'py, const N: usize>(py: Python<'py>, values: &Coordinates<N>) -> PyResult<Bound<'py, PyAny>> {
    let tuple = |numbers: [f64; N]| PyTuple::new(py, numbers);
    let page = values.page.map(tuple).transpose()?;
    let (pixels, normalized, model) = (tuple(values.pixels)?, tuple(values.normalized)?, tuple(values.model)?);
    class!(py, "Coordinates")?.call1((pixels, normalized, model, page, values.clamped))
}

/// The answer as a `mimo_vl.Action` in pixels of the last image; `None` if it is not an action.
fn action<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Option<Bound<'py, PyAny>>> {
    // Most answers are not actions: skip parsing without the key of every action.
    if !answer.text.contains("\"action") {
        return Ok(None);
    }
    let Ok(action) = Action::parse(&answer.text) else { return Ok(None) };
    let action = answer.transforms.last().map_or(action.clone(), |transform| action.to_original(transform));
    let json: Bound<'_, PyAny> = py.import("json")?.call_method1("loads", (action.to_json(),))?;
    Ok(Some(class!(py, "Action")?.call_method1("_from_dict", (json,))?))
}

/// A `mimo_vl.Plan`.
pub(crate) fn plan<'py>(py: Python<'py>, plan: &Plan) -> PyResult<Bound<'py, PyAny>> {
    let parts = plan.parts.iter().map(|part| match part {
        PlannedPart::Text { tokens } => class!(py, "PlannedPart")?.call1((*tokens, None::<(usize, usize)>)),
        PlannedPart::Media { tokens, transform } => class!(py, "PlannedPart")?.call1((*tokens, transform.resized)),
        other => Err(PyNotImplementedError::new_err(format!("{other:?}"))),
    });
    let parts = parts.collect::<PyResult<Vec<_>>>()?;
    class!(py, "Plan")?.call1((
        plan.fits,
        plan.prompt_tokens,
        plan.cached_tokens,
        plan.answer_tokens,
        plan.cache_bytes,
        plan.peak_bytes,
        plan.available_bytes,
        PyTuple::new(py, parts)?,
    ))
}

fn stop_reason<'py>(py: Python<'py>, reason: StopReason) -> PyResult<Bound<'py, PyAny>> {
    let name = match reason {
        StopReason::EndOfText => "end_of_text",
        StopReason::MaxTokens => "max_tokens",
        StopReason::Cancelled => "cancelled",
        StopReason::ContextFull => "context_full",
        StopReason::StopSequence => "stop_sequence",
        StopReason::Loop => "loop",
        StopReason::Timeout => "timeout",
        other => return Err(PyNotImplementedError::new_err(format!("an answer ended by {other:?}"))),
    };
    class!(py, "StopReason")?.call1((name,))
}
