//! A prompt and its options, from what Python callers write.

use mimo_vl_core::error::Error;
use mimo_vl_core::prompt::{Prompt, Thinking};
use mimo_vl_core::sampling::Generate;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::error::exception;
use crate::image::as_image;
use crate::text::utf8;
use crate::video::Video;

/// The user's turn: `parts` is one part, or a list or tuple of them.
pub(crate) fn prompt(
    parts: &Bound<'_, PyAny>,
    system: Option<&Bound<'_, PyString>>,
    thinking: Option<bool>,
) -> PyResult<Prompt> {
    let mut prompt = Prompt::user();
    if parts.is_instance_of::<PyList>() || parts.is_instance_of::<PyTuple>() {
        for (index, part) in parts.try_iter()?.enumerate() {
            prompt =
                add(prompt, &part?, &format!("parts[{index}]")).map_err(|error| in_part(parts.py(), index, error))?;
        }
    } else {
        prompt = add(prompt, parts, "parts")?;
    }
    if let Some(system) = system {
        prompt = prompt.system(text(system, "system")?);
    }
    Ok(prompt.thinking(match thinking {
        None => Thinking::Auto,
        Some(true) => Thinking::On,
        Some(false) => Thinking::Off,
    }))
}

fn add(prompt: Prompt, part: &Bound<'_, PyAny>, place: &str) -> PyResult<Prompt> {
    if let Ok(said) = part.cast::<PyString>() {
        return Ok(prompt.text(text(said, place)?));
    }
    if let Ok(video) = part.cast::<Video>() {
        return Ok(prompt.video(video.get().core()));
    }
    Ok(prompt.image(as_image(part)?))
}

/// `text` as UTF-8, or a `PromptError` that names its place.
fn text<'a>(text: &'a Bound<'_, PyString>, place: &str) -> PyResult<&'a str> {
    utf8(text, |reason| Error::Prompt { reason: format!("{place}: {reason}") })
}

/// Say which part has a type that no prompt takes; errors of other kinds name their image themselves.
fn in_part(py: Python<'_>, index: usize, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("parts[{index}]: {}", error.value(py)))
    } else {
        error
    }
}

/// The keyword arguments that say how to generate; None leaves the core's default.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) max_tokens: Option<i64>,
    pub(crate) temperature: Option<f32>,
    pub(crate) top_k: Option<i64>,
    pub(crate) top_p: Option<f32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) repetition_penalty: Option<f32>,
    pub(crate) seed: Option<i128>,
    pub(crate) draft: Option<i64>,
}

impl Options {
    /// The core's options. Ranges are checked by the core, beyond what its types cannot hold.
    pub(crate) fn generate(self, py: Python<'_>) -> PyResult<Generate> {
        let mut generate = Generate::new();
        if let Some(value) = unsigned(py, "max_tokens", self.max_tokens)? {
            generate = generate.max_tokens(value);
        }
        if let Some(value) = self.temperature {
            generate = generate.temperature(value);
        }
        if let Some(value) = unsigned(py, "top_k", self.top_k)? {
            generate = generate.top_k(value);
        }
        if let Some(value) = self.top_p {
            generate = generate.top_p(value);
        }
        if let Some(value) = self.min_p {
            generate = generate.min_p(value);
        }
        if let Some(value) = self.repetition_penalty {
            generate = generate.repetition_penalty(value);
        }
        if let Some(value) = unsigned(py, "seed", self.seed)? {
            generate = generate.seed(value);
        }
        if let Some(value) = unsigned(py, "draft", self.draft)? {
            generate = generate.draft(value);
        }
        Ok(generate)
    }
}

/// A whole number as one of the core's unsigned types, or an `OptionError` that names the option.
pub(crate) fn unsigned<I, U>(py: Python<'_>, option: &'static str, value: Option<I>) -> PyResult<Option<U>>
where
    I: Copy + std::fmt::Display,
    U: TryFrom<I>,
{
    let Some(value) = value else { return Ok(None) };
    match U::try_from(value) {
        Ok(value) => Ok(Some(value)),
        Err(_) => {
            let highest = u128::MAX >> (128 - 8 * size_of::<U>());
            let reason = format!("{value} is not between 0 and {highest}");
            Err(exception(py, &Error::Option { option, reason }))
        }
    }
}
