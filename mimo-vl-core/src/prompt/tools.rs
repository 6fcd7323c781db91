//! Functions that the model may call, and its calls of them.

use serde_json::{Map, Value};

use super::message::{Message, Part};
use crate::error::{Error, Result};

/// A function that the model wants called.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The function's name.
    pub name: String,
    /// Its arguments, a JSON object.
    pub arguments: String,
}

impl ToolCall {
    /// What stands before a call in an answer.
    pub const START: &str = "<tool_call>";
    /// What stands behind it.
    pub const END: &str = "</tool_call>";

    /// A call of a function with arguments as a JSON object.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the arguments are no JSON object.
    pub fn new(name: impl Into<String>, arguments: &str) -> Result<Self> {
        let name = name.into();
        match serde_json::from_str::<Map<String, Value>>(arguments) {
            Ok(arguments) => Ok(Self { name, arguments: Value::from(arguments).to_string() }),
            Err(error) => {
                Err(Error::prompt(format!("the arguments of the call of {name:?} are no JSON object: {error}")))
            }
        }
    }

    /// What an answer says, and the calls at its end, in the form in which the models write them:
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, one after the other. An answer that ends otherwise has none.
    pub fn split(answer: &str) -> (&str, Vec<Self>) {
        // An answer may speak of calls before it makes some.
        for (start, _) in answer.match_indices(Self::START) {
            if let Some(calls) = Self::read(&answer[start..]) {
                return (answer[..start].trim_end(), calls);
            }
        }
        (answer, Vec::new())
    }

    /// Calls up to the end.
    fn read(mut text: &str) -> Option<Vec<Self>> {
        let mut calls = Vec::new();
        while !text.is_empty() {
            text = text.strip_prefix(Self::START)?;
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<Map<String, Value>>();
            let mut call = values.next()?.ok()?;
            text = text[values.byte_offset()..].trim_start().strip_prefix(Self::END)?.trim_start();
            let name = call.get("name")?.as_str()?.to_owned();
            let arguments = call.remove("arguments").filter(Value::is_object)?;
            calls.push(Self { name, arguments: arguments.to_string() });
        }
        Some(calls)
    }
}

/// A list of functions as JSON, checked as far as every template needs it, and written without escapes.
pub(super) fn tools(json: &str) -> Result<String> {
    match serde_json::from_str::<Vec<Map<String, Value>>>(json) {
        Ok(tools) => Ok(Value::from_iter(tools).to_string()),
        Err(error) => Err(Error::prompt(format!("the tools are no JSON list of objects: {error}"))),
    }
}

/// The functions that may be called after these messages, if there are any.
pub(crate) fn offered<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Result<Option<Value>> {
    let parts = messages.into_iter().flat_map(|message| &message.parts);
    let tools = parts.filter_map(|part| match part {
        Part::Tools(tools) => Some(tools),
        _ => None,
    });
    let Some(tools) = tools.last() else { return Ok(None) };
    let tools: Vec<Value> =
        serde_json::from_str(tools).map_err(|error| Error::prompt(format!("the tools are no JSON list: {error}")))?;
    Ok(if tools.is_empty() { None } else { Some(tools.into()) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn calls_stand_at_the_end_of_an_answer() {
        let call = |name: &str, arguments: &str| ToolCall::new(name, arguments).unwrap();
        let one = "I look.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": [1]}}\n</tool_call>";
        assert_eq!(ToolCall::split(one), ("I look.", vec![call("a", r#"{"x": [1]}"#)]));
        let two = "<tool_call>{\"arguments\": {}, \"name\": \"a\"}</tool_call>\n<tool_call>{\"name\": \"b\", \"arguments\": {}}</tool_call>\n";
        assert_eq!(ToolCall::split(two), ("", vec![call("a", "{}"), call("b", "{}")]));
        let odd =
            "<tool_call> is a tag.\n<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"</tool_call>\"}}</tool_call>";
        assert_eq!(ToolCall::split(odd), ("<tool_call> is a tag.", vec![call("a", r#"{"x": "</tool_call>"}"#)]));
        for other in [
            "no call",
            "<tool_call>{\"name\": \"a\", \"arguments\": {}}",
            "<tool_call>{\"name\": \"a\"}</tool_call>",
            "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"arguments\": \"{}\"}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"arguments\": {}}</tool_call> and more",
        ] {
            assert_eq!(ToolCall::split(other), (other, vec![]));
        }
        assert!(matches!(ToolCall::new("a", "[]"), Err(Error::Prompt { .. })));
    }
}
