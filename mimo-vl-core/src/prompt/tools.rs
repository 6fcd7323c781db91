//! Functions that the model may call, and its calls of them.

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A function call of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ToolCall {
    /// The function's name.
    pub name: String,
    /// The arguments, a JSON object.
    pub arguments: String,
}

impl ToolCall {
    /// The tag before a call in an answer.
    pub const START: &str = "<tool_call>";
    /// The tag after a call in an answer.
    pub const END: &str = "</tool_call>";

    /// Creates a call with arguments given as a JSON object.
    ///
    /// # Errors
    /// [`Error::Prompt`] when `arguments` is not a JSON object.
    pub fn new(name: impl Into<String>, arguments: &str) -> Result<Self> {
        let name = name.into();
        match serde_json::from_str::<Map<String, Value>>(arguments) {
            Ok(arguments) => Ok(Self { name, arguments: Value::from(arguments).to_string() }),
            Err(error) => {
                Err(Error::prompt(format!("the arguments of the call of {name:?} are not a JSON object: {error}")))
            }
        }
    }

    /// Splits an answer into its text and the calls at its end, one after the other, in the form in which the models
    /// write them: `<tool_call>{"name": …, "arguments": {…}}</tool_call>`. An answer with anything else at its end
    /// has no calls.
    pub fn split(answer: &str) -> (&str, Vec<Self>) {
        // The tag may also occur in the text before the calls.
        for (start, _) in answer.match_indices(Self::START) {
            if let Some(calls) = Self::parse_all(&answer[start..]) {
                return (answer[..start].trim_end(), calls);
            }
        }
        (answer, Vec::new())
    }

    /// Parses calls up to the end of the text.
    fn parse_all(mut text: &str) -> Option<Vec<Self>> {
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

/// Checks that `json` is a list of objects, which every template needs, and rewrites it without escapes.
pub(super) fn validate_tools(json: &str) -> Result<String> {
    match serde_json::from_str::<Vec<Map<String, Value>>>(json) {
        Ok(tools) => Ok(Value::from_iter(tools).to_string()),
        Err(error) => Err(Error::prompt(format!("the tools are not a JSON list of objects: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn calls_are_found_only_at_the_end_of_an_answer() {
        let call = |name: &str, arguments: &str| ToolCall::new(name, arguments).unwrap();
        let one = "I look.\n<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": [1]}}\n</tool_call>";
        assert_eq!(ToolCall::split(one), ("I look.", vec![call("a", r#"{"x": [1]}"#)]));
        let two = "<tool_call>{\"arguments\": {}, \"name\": \"a\"}</tool_call>\n\
                   <tool_call>{\"name\": \"b\", \"arguments\": {}}</tool_call>\n";
        assert_eq!(ToolCall::split(two), ("", vec![call("a", "{}"), call("b", "{}")]));
        let quoted =
            "<tool_call> is a tag.\n<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"</tool_call>\"}}</tool_call>";
        assert_eq!(ToolCall::split(quoted), ("<tool_call> is a tag.", vec![call("a", r#"{"x": "</tool_call>"}"#)]));
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
