//! `mimo_vl.Prompt`, and conversion of prompts from Python.

use mimo_vl_core::expert::media_name;
use mimo_vl_core::{Error, Message, Part, Role, Thinking};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::error::{exception, no_pickle};
use crate::image::as_image;
use crate::text::utf8;
use crate::video::Video;

/// A prompt of several messages, or that of a Task. ask() and stream() take it in place of parts.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Prompt {
    prompt: mimo_vl_core::Prompt,
}

impl Prompt {
    /// Wraps a prompt of the core.
    pub(crate) fn of(prompt: mimo_vl_core::Prompt) -> Self {
        Self { prompt }
    }
}

#[pymethods]
impl Prompt {
    /// Makes a prompt of earlier messages and the user's next one: dicts with "role", which is "system", "user" or
    /// "assistant", and "content", which is what ask() takes as parts; a text may be the name of a file. With
    /// `continue_final_message` the answer continues the text of the last message, which is the assistant's.
    #[staticmethod]
    #[pyo3(signature = (messages, *, continue_final_message=false))]
    fn from_messages(messages: &Bound<'_, PyAny>, continue_final_message: bool) -> PyResult<Self> {
        let mut converted = Vec::new();
        for (index, message) in messages.try_iter()?.enumerate() {
            let message = message?;
            let path = format!("messages[{index}]");
            let role: String = message.get_item("role")?.extract()?;
            let roles = [Role::System, Role::User, Role::Assistant];
            let role = roles.into_iter().find(|known| known.as_str() == role).ok_or_else(|| {
                let reason = format!("{path}: the role {role:?} is none of system, user, assistant");
                exception(messages.py(), &Error::Prompt { reason })
            })?;
            let mut native = Message::new(role);
            native.parts = parts(&message.get_item("content")?, &format!("{path}.content"), Texts::Any)?;
            converted.push(native);
        }
        let prompt = mimo_vl_core::Prompt::from_messages(converted);
        Ok(Self { prompt: prompt.continue_final_message(continue_final_message) })
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.Prompt of {} messages>", self.prompt.messages().len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Prompt", "send its messages, and build it there")
    }
}

/// Converts the arguments of ask(): several parts, or one that is a [`Prompt`], a part, or a list or tuple of parts.
pub(crate) fn prompt(
    parts: &Bound<'_, PyTuple>,
    system: Option<&Bound<'_, PyString>>,
    thinking: Option<bool>,
) -> PyResult<mimo_vl_core::Prompt> {
    match parts.len() {
        0 => Err(PyTypeError::new_err("a prompt is required: text, images or videos")),
        1 => prompt_of(&parts.get_item(0)?, system, thinking),
        _ => prompt_of(parts, system, thinking),
    }
}

/// Converts a [`Prompt`], one part, or a list or tuple of parts.
pub(crate) fn prompt_of(
    source: &Bound<'_, PyAny>,
    system: Option<&Bound<'_, PyString>>,
    thinking: Option<bool>,
) -> PyResult<mimo_vl_core::Prompt> {
    let mut prompt = match source.cast::<Prompt>() {
        Ok(prompt) => prompt.get().prompt.clone(),
        Err(_) => {
            let mut message = Message::new(Role::User);
            message.parts = parts(source, "parts", Texts::NoNames)?;
            mimo_vl_core::Prompt::from_messages(vec![message])
        }
    };
    if let Some(system) = system {
        prompt = prompt.system(text(system, "system")?);
    }
    Ok(match thinking {
        None => prompt,
        Some(true) => prompt.thinking(Thinking::On),
        Some(false) => prompt.thinking(Thinking::Off),
    })
}

/// Texts that are accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    Any,
    /// Not the name of a file or a URL, which was probably meant to be opened.
    NoNames,
}

/// Converts one part, or a list or tuple of parts. `path` names the argument in errors.
fn parts(source: &Bound<'_, PyAny>, path: &str, texts: Texts) -> PyResult<Vec<Part>> {
    if !source.is_instance_of::<PyList>() && !source.is_instance_of::<PyTuple>() {
        return Ok(vec![part(source, path, texts)?]);
    }
    let parts = source.try_iter()?.enumerate().map(|(index, item)| {
        let path = format!("{path}[{index}]");
        part(&item?, &path, texts).map_err(|error| add_path(source.py(), &path, error))
    });
    parts.collect()
}

fn part(part: &Bound<'_, PyAny>, path: &str, texts: Texts) -> PyResult<Part> {
    if let Ok(string) = part.cast::<PyString>() {
        let text = text(string, path)?;
        if let Some(kind) = media_name(text).filter(|_| texts == Texts::NoNames) {
            let advice = "pass pathlib.Path(...), or what Image.open, Video.open or open_pdf returns; \
                          Prompt.from_messages sends it as text";
            let reason = format!("{path}: {text:?} {kind}, and would be sent as text: {advice}");
            return Err(exception(part.py(), &Error::Prompt { reason }));
        }
        return Ok(Part::Text(text.to_owned()));
    }
    if let Ok(video) = part.cast::<Video>() {
        return Ok(Part::Video(video.get().core()));
    }
    Ok(Part::Image(as_image(part)?))
}

/// Returns `text` as UTF-8, or a `PromptError` with its path.
fn text<'a>(text: &'a Bound<'_, PyString>, path: &str) -> PyResult<&'a str> {
    utf8(text, |reason| Error::Prompt { reason: format!("{path}: {reason}") })
}

/// Adds the path of a part to a TypeError; other errors name their image themselves.
fn add_path(py: Python<'_>, path: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("{path}: {}", error.value(py)))
    } else {
        error
    }
}
