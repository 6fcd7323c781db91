//! Conversion of the options of a generation from Python's keyword arguments.

use mimo_vl_core::expert::GENERATION_OPTIONS;
use mimo_vl_core::{Error, GenerateOptions, Grammar};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::call::seconds_option;
use crate::error::exception;
use crate::gui::Task;
use crate::number::integer;
use crate::text::utf8;

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
        "max_context" => options.max_context = Some(integer(value, "max_context")?),
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
        "prose_regions" => options.prose_regions = value.extract()?,
        "schema" | "regex" | "lark" | "choices" | "response_format" => {
            if options.grammar.is_some() {
                let reason = format!("{key} excludes another form of the answer");
                return Err(exception(py, &Error::Option { option: "grammar", reason }));
            }
            options.grammar = Some(grammar(key, value)?);
        }
        _ => return Err(PyTypeError::new_err(unknown_option(key))),
    }
    Ok(())
}

/// Keywords that set the grammar.
const GRAMMAR_KEYS: [&str; 5] = ["schema", "regex", "lark", "choices", "response_format"];

/// The message for a keyword that is no option, with the most similar one.
fn unknown_option(key: &str) -> String {
    let options = GENERATION_OPTIONS.iter().map(|option| option.name).filter(|name| *name != "grammar");
    let names = options.chain(GRAMMAR_KEYS).chain(["system", "thinking", "cancel", "progress"]);
    let nearest = names.map(|name| (edit_distance(key, name), name)).min();
    match nearest.filter(|(distance, name)| *distance <= name.len() / 2) {
        Some((_, name)) => format!("there is no such option; did you mean {name}?"),
        None => "there is no such option".to_owned(),
    }
}

/// Number of characters to insert, remove or replace (Levenshtein).
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (index, letter) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
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
