//! `mimo_vl.Prompt`, and conversion of prompts and options from Python.

use mimo_vl_core::{Error, GenerateOptions, Grammar, Message, Part, Role, Thinking};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};

use crate::call::seconds_option;
use crate::error::{exception, no_pickle};
use crate::gui::Task;
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
    /// "assistant", and "content", which is what ask() takes as parts.
    #[staticmethod]
    fn from_messages(messages: &Bound<'_, PyAny>) -> PyResult<Self> {
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
            native.parts = parts(&message.get_item("content")?, &format!("{path}.content"))?;
            converted.push(native);
        }
        Ok(Self { prompt: mimo_vl_core::Prompt::from_messages(converted) })
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.Prompt of {} messages>", self.prompt.messages().len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Prompt", "send its messages, and build it there")
    }
}

/// Converts the argument of ask(): a [`Prompt`], one part, or a list or tuple of parts.
pub(crate) fn prompt(
    source: &Bound<'_, PyAny>,
    system: Option<&Bound<'_, PyString>>,
    thinking: Option<bool>,
) -> PyResult<mimo_vl_core::Prompt> {
    let mut prompt = match source.cast::<Prompt>() {
        Ok(prompt) => prompt.get().prompt.clone(),
        Err(_) => {
            let mut message = Message::new(Role::User);
            message.parts = parts(source, "parts")?;
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

/// Converts one part, or a list or tuple of parts. `path` names the argument in errors.
fn parts(source: &Bound<'_, PyAny>, path: &str) -> PyResult<Vec<Part>> {
    if !source.is_instance_of::<PyList>() && !source.is_instance_of::<PyTuple>() {
        return Ok(vec![part(source, path)?]);
    }
    let parts = source.try_iter()?.enumerate().map(|(index, item)| {
        let path = format!("{path}[{index}]");
        part(&item?, &path).map_err(|error| add_path(source.py(), &path, error))
    });
    parts.collect()
}

fn part(part: &Bound<'_, PyAny>, path: &str) -> PyResult<Part> {
    if let Ok(string) = part.cast::<PyString>() {
        return Ok(Part::Text(text(string, path)?.to_owned()));
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

/// Converts keyword arguments to the core's options; None takes the default. The core checks ranges; here only what its
/// types cannot hold is an error.
pub(crate) fn generate_options(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<GenerateOptions> {
    let mut generate_options = GenerateOptions::new();
    for (key, value) in options.into_iter().flatten().filter(|(_, value)| !value.is_none()) {
        let key: String = key.extract()?;
        set_option(&mut generate_options, &key, &value).map_err(|error| {
            match error.is_instance_of::<PyTypeError>(py) {
                true => PyTypeError::new_err(format!("argument '{key}': {}", error.value(py))),
                false => error,
            }
        })?;
    }
    Ok(generate_options)
}

fn set_option(options: &mut GenerateOptions, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    match key {
        "max_tokens" => options.max_tokens = integer(value, "max_tokens")?,
        "temperature" => options.temperature = value.extract()?,
        "top_k" => options.top_k = integer(value, "top_k")?,
        "top_p" => options.top_p = value.extract()?,
        "min_p" => options.min_p = value.extract()?,
        "typical_p" => options.typical_p = value.extract()?,
        "repetition_penalty" => options.repetition_penalty = value.extract()?,
        "frequency_penalty" => options.frequency_penalty = value.extract()?,
        "presence_penalty" => options.presence_penalty = value.extract()?,
        "logit_bias" => {
            for (id, bias) in value.cast::<PyDict>()? {
                options.logit_bias.push((integer(&id, "logit_bias")?, bias.extract()?));
            }
        }
        "seed" => options.seed = integer(value, "seed")?,
        "num_draft_tokens" => options.num_draft_tokens = Some(integer(value, "num_draft_tokens")?),
        "stop" => options.stop = texts(value, "stop")?,
        "loop_window" => options.loop_window = integer(value, "loop_window")?,
        "logprobs" => options.logprobs = Some(integer(value, "logprobs")?),
        "timeout" => options.call.timeout = Some(seconds_option(py, "timeout", value.extract()?)?),
        "best_of" => options.best_of = integer(value, "best_of")?,
        "thinking_budget" => options.thinking_budget = Some(integer(value, "thinking_budget")?),
        "keep_thinking" => options.keep_thinking = value.extract()?,
        "schema" | "regex" | "lark" | "choices" | "response_format" => {
            if options.grammar.is_some() {
                let reason = format!("{key} excludes another form of the answer");
                return Err(exception(py, &Error::Option { option: "grammar", reason }));
            }
            options.grammar = Some(grammar(key, value)?);
        }
        _ => return Err(PyTypeError::new_err("there is no such option")),
    }
    Ok(())
}

/// The form of the answer for a keyword argument.
fn grammar(key: &str, value: &Bound<'_, PyAny>) -> PyResult<Grammar> {
    let py = value.py();
    Ok(match key {
        "schema" => Grammar::JsonSchema(schema(value)?),
        "regex" => Grammar::Regex(value.extract()?),
        "lark" => Grammar::Lark(value.extract()?),
        "choices" => Grammar::Choice(texts(value, "choices")?),
        _ if value.is_instance_of::<Task>() => value.cast::<Task>()?.get().grammar(),
        _ => match value.extract::<String>()?.as_str() {
            "boxes" => Grammar::Boxes,
            "points" => Grammar::Points,
            "action" => Grammar::Action,
            other => {
                let reason = format!("{other:?} is none of boxes, points, action");
                return Err(exception(py, &Error::Option { option: "response_format", reason }));
            }
        },
    })
}

/// The text of a JSON schema that is given as text, a dict or a pydantic model.
fn schema(value: &Bound<'_, PyAny>) -> PyResult<String> {
    if value.is_instance_of::<PyString>() {
        return value.extract();
    }
    let dict = match value.hasattr("model_json_schema")? {
        true => value.call_method0("model_json_schema")?,
        false => value.clone(),
    };
    value.py().import("json")?.call_method1("dumps", (dict,))?.extract()
}

/// A list of texts, which may be given as one text.
fn texts(value: &Bound<'_, PyAny>, option: &'static str) -> PyResult<Vec<String>> {
    let text = |text: &Bound<'_, PyAny>| -> PyResult<String> {
        Ok(utf8(text.cast::<PyString>()?, |reason| Error::Option { option, reason })?.to_owned())
    };
    match value.is_instance_of::<PyString>() {
        true => Ok(vec![text(value)?]),
        false => value.try_iter()?.map(|item| text(&item?)).collect(),
    }
}

/// Converts an int to one of the core's unsigned types.
fn integer<U: TryFrom<i128>>(value: &Bound<'_, PyAny>, option: &'static str) -> PyResult<U> {
    if value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("an int is required, not a bool"));
    }
    let number: i128 = value.extract()?;
    unsigned(value.py(), option, Some(number))?.ok_or_else(|| PyTypeError::new_err("an int is required"))
}

/// Converts an integer to one of the core's unsigned types, or returns an `OptionError` that names the option.
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
