//! A prompt and its options, from what Python callers write.

use std::time::Duration;

use mimo_vl_core::{Error, GenerateOptions, Grammar, Message, Part, Role, Thinking};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyString, PyTuple};

use crate::error::{exception, no_pickle};
use crate::gui::Task;
use crate::image::as_image;
use crate::text::utf8;
use crate::video::Video;

/// What is put to the model: a whole conversation, or the question of a Task. ask() and stream() take it in the place of
/// parts.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Prompt {
    prompt: mimo_vl_core::Prompt,
}

impl Prompt {
    pub(crate) fn of(prompt: mimo_vl_core::Prompt) -> Self {
        Self { prompt }
    }
}

#[pymethods]
impl Prompt {
    /// A conversation that went before, and its next question: dicts with "role", which is "system", "user" or "assistant", and
    /// "content", which is what ask() takes as parts.
    #[staticmethod]
    fn from_messages(messages: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut said = Vec::new();
        for (index, message) in messages.try_iter()?.enumerate() {
            let message = message?;
            let place = format!("messages[{index}]");
            let role: String = message.get_item("role")?.extract()?;
            let roles = [Role::System, Role::User, Role::Assistant];
            let role = roles.into_iter().find(|known| known.as_str() == role).ok_or_else(|| {
                let reason = format!("{place}: the role {role:?} is none of system, user, assistant");
                exception(messages.py(), &Error::Prompt { reason })
            })?;
            let mut made = Message::new(role);
            made.parts = parts(&message.get_item("content")?, &format!("{place}.content"))?;
            said.push(made);
        }
        Ok(Self { prompt: mimo_vl_core::Prompt::from_messages(said) })
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.Prompt of {} messages>", self.prompt.messages().len())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Prompt", "send its messages, and build it there")
    }
}

/// The user's turn: `asked` is a [`Prompt`], one part, or a list or tuple of parts.
pub(crate) fn prompt(
    asked: &Bound<'_, PyAny>,
    system: Option<&Bound<'_, PyString>>,
    thinking: Option<bool>,
) -> PyResult<mimo_vl_core::Prompt> {
    let mut prompt = match asked.cast::<Prompt>() {
        Ok(whole) => whole.get().prompt.clone(),
        Err(_) => {
            let mut message = Message::new(Role::User);
            message.parts = parts(asked, "parts")?;
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

/// One part, or a list or tuple of them.
fn parts(asked: &Bound<'_, PyAny>, place: &str) -> PyResult<Vec<Part>> {
    if !asked.is_instance_of::<PyList>() && !asked.is_instance_of::<PyTuple>() {
        return Ok(vec![part(asked, place)?]);
    }
    let each = asked.try_iter()?.enumerate().map(|(index, one)| {
        let place = format!("{place}[{index}]");
        part(&one?, &place).map_err(|error| in_part(asked.py(), &place, error))
    });
    each.collect()
}

fn part(part: &Bound<'_, PyAny>, place: &str) -> PyResult<Part> {
    if let Ok(said) = part.cast::<PyString>() {
        return Ok(Part::Text(text(said, place)?.to_owned()));
    }
    if let Ok(video) = part.cast::<Video>() {
        return Ok(Part::Video(video.get().core()));
    }
    Ok(Part::Image(as_image(part)?))
}

/// `text` as UTF-8, or a `PromptError` that names its place.
fn text<'a>(text: &'a Bound<'_, PyString>, place: &str) -> PyResult<&'a str> {
    utf8(text, |reason| Error::Prompt { reason: format!("{place}: {reason}") })
}

/// Say which part has a type that no prompt takes; errors of other kinds name their image themselves.
fn in_part(py: Python<'_>, place: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        PyTypeError::new_err(format!("{place}: {}", error.value(py)))
    } else {
        error
    }
}

/// The core's options, from keyword arguments; None leaves the core's default. Ranges are checked by the core, beyond what its
/// types cannot hold.
pub(crate) fn generate_options(py: Python<'_>, options: Option<&Bound<'_, PyDict>>) -> PyResult<GenerateOptions> {
    let mut generate = GenerateOptions::new();
    for (key, value) in options.into_iter().flatten().filter(|(_, value)| !value.is_none()) {
        let key: String = key.extract()?;
        set(&mut generate, &key, &value).map_err(|error| match error.is_instance_of::<PyTypeError>(py) {
            true => PyTypeError::new_err(format!("argument '{key}': {}", error.value(py))),
            false => error,
        })?;
    }
    Ok(generate)
}

fn set(generate: &mut GenerateOptions, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let refused = |option, reason: String| exception(py, &Error::Option { option, reason });
    match key {
        "max_tokens" => generate.max_tokens = whole(value, "max_tokens")?,
        "temperature" => generate.temperature = value.extract()?,
        "top_k" => generate.top_k = whole(value, "top_k")?,
        "top_p" => generate.top_p = value.extract()?,
        "min_p" => generate.min_p = value.extract()?,
        "typical_p" => generate.typical_p = value.extract()?,
        "repetition_penalty" => generate.repetition_penalty = value.extract()?,
        "frequency_penalty" => generate.frequency_penalty = value.extract()?,
        "presence_penalty" => generate.presence_penalty = value.extract()?,
        "logit_bias" => {
            for (id, bias) in value.cast::<PyDict>()? {
                generate.logit_bias.push((whole(&id, "logit_bias")?, bias.extract()?));
            }
        }
        "seed" => generate.seed = whole(value, "seed")?,
        "num_draft_tokens" => generate.num_draft_tokens = Some(whole(value, "num_draft_tokens")?),
        "stop" => generate.stop = texts(value, "stop")?,
        "loop_window" => generate.loop_window = whole(value, "loop_window")?,
        "logprobs" => generate.logprobs = Some(whole(value, "logprobs")?),
        "timeout" => {
            let seconds: f64 = value.extract()?;
            let time = Duration::try_from_secs_f64(seconds);
            generate.timeout = Some(time.map_err(|error| refused("timeout", format!("{seconds}: {error}")))?);
        }
        "best_of" => generate.best_of = whole(value, "best_of")?,
        "thinking_budget" => generate.thinking_budget = Some(whole(value, "thinking_budget")?),
        "keep_thinking" => generate.keep_thinking = value.extract()?,
        "schema" | "regex" | "lark" | "choices" | "response_format" => {
            if generate.grammar.is_some() {
                return Err(refused("grammar", format!("{key} and another form of the answer are given")));
            }
            generate.grammar = Some(grammar(key, value)?);
        }
        _ => return Err(PyTypeError::new_err("there is no such option")),
    }
    Ok(())
}

/// The form of an answer that a keyword asks for.
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

/// A JSON schema: its text, a dict, or a pydantic model.
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

/// One text or several.
fn texts(value: &Bound<'_, PyAny>, option: &'static str) -> PyResult<Vec<String>> {
    let text = |text: &Bound<'_, PyAny>| -> PyResult<String> {
        Ok(utf8(text.cast::<PyString>()?, |reason| Error::Option { option, reason })?.to_owned())
    };
    match value.is_instance_of::<PyString>() {
        true => Ok(vec![text(value)?]),
        false => value.try_iter()?.map(|item| text(&item?)).collect(),
    }
}

/// A whole number as one of the core's unsigned types.
fn whole<U: TryFrom<i128>>(value: &Bound<'_, PyAny>, option: &'static str) -> PyResult<U> {
    if value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("a whole number is needed, not a bool"));
    }
    let number: i128 = value.extract()?;
    unsigned(value.py(), option, Some(number))?.ok_or_else(|| PyTypeError::new_err("a whole number is needed"))
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
