//! Functions that the model may call, and its calls of them.

use serde_json::{Map, Value};

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
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, one after the other. An answer of another form has none.
    pub fn split(answer: &str) -> (&str, Vec<Self>) {
        let Some((said, mut rest)) = answer.split_once(Self::START) else { return (answer, Vec::new()) };
        let mut calls = Vec::new();
        loop {
            let Some((call, after)) = rest.split_once(Self::END) else { return (answer, Vec::new()) };
            let Some(call) = Self::read(call) else { return (answer, Vec::new()) };
            calls.push(call);
            match after.trim_start().strip_prefix(Self::START) {
                Some(next) => rest = next,
                None if after.trim().is_empty() => return (said.trim_end(), calls),
                None => return (answer, Vec::new()),
            }
        }
    }

    fn read(json: &str) -> Option<Self> {
        let mut call: Map<String, Value> = serde_json::from_str(json).ok()?;
        let name = call.get("name")?.as_str()?.to_owned();
        let arguments = call.remove("arguments").filter(Value::is_object)?;
        Some(Self { name, arguments: arguments.to_string() })
    }
}

/// A list of functions as JSON, checked as far as every template needs it.
pub(super) fn check_tools(tools: &str) -> Result<()> {
    match serde_json::from_str::<Vec<Map<String, Value>>>(tools) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::prompt(format!("the tools are no JSON list of objects: {error}"))),
    }
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
