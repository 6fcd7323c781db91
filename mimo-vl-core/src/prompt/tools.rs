//! Functions that the model may call, and its calls of them.

use std::borrow::Cow;

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

    /// Splits an answer into its text and the calls in it, in the form in which the models write them:
    /// `<tool_call>{"name": …, "arguments": {…}}</tool_call>`.
    ///
    /// Each complete object behind the opening tag is a call. The closing tag may be missing; the arguments may be
    /// missing, or a string that holds an object; strings may have line breaks. What is not a complete call is text.
    /// Text before and after calls is joined by a line break.
    pub fn split(answer: &str) -> (Cow<'_, str>, Vec<Self>) {
        let (mut calls, mut texts) = (Vec::new(), Vec::new());
        let (mut rest, mut from) = (answer, 0);
        while let Some(start) = rest[from..].find(Self::START).map(|start| from + start) {
            match Self::parse(&rest[start + Self::START.len()..]) {
                Some((call, after)) => {
                    texts.push(rest[..start].trim_end());
                    calls.push(call);
                    (rest, from) = (after.trim_start(), 0);
                }
                None => from = start + Self::START.len(),
            }
        }
        if calls.is_empty() {
            return (answer.into(), calls);
        }
        texts.push(rest.trim_end());
        texts.retain(|text| !text.is_empty());
        let text = match texts[..] {
            [text] => text.into(),
            _ => texts.join("\n").into(),
        };
        (text, calls)
    }

    /// Parses a call after its opening tag. Returns it with the text after it.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let length = object_length(text)?;
        let (object, after) = text.split_at(length);
        let mut call: Map<String, Value> = serde_json::from_str(&escape_line_breaks(object)).ok()?;
        let name = call.get("name")?.as_str()?.to_owned();
        let arguments = match call.remove("arguments") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::Object(arguments)) => Value::from(arguments).to_string(),
            Some(Value::String(arguments)) => Self::new("", &arguments).ok()?.arguments,
            Some(_) => return None,
        };
        let after = after.trim_start().strip_prefix(Self::END).unwrap_or(after);
        Some((Self { name, arguments }, after))
    }
}

/// Number of bytes up to the end of the JSON object that `text` starts with, after white space.
fn object_length(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at + 1),
            b'}' => depth = depth.checked_sub(1)?,
            byte if depth == 0 && !byte.is_ascii_whitespace() => return None,
            _ => {}
        }
        if quoted && depth == 0 {
            return None;
        }
    }
    None
}

/// Escapes the control characters in the strings of a JSON object. Outside of strings they are white space.
fn escape_line_breaks(object: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let mut written = String::with_capacity(object.len());
    for letter in object.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            control if quoted && control.is_control() => {
                written.push_str(&format!("\\u{:04x}", u32::from(control)));
                continue;
            }
            _ => {}
        }
        written.push(letter);
    }
    written
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
    fn complete_calls_are_found_and_the_rest_is_text() {
        let call = |name: &str, arguments: &str| ToolCall::new(name, arguments).unwrap();
        let (x, none) = (call("a", r#"{"x": [1]}"#), call("a", "{}"));
        let json = r#"{"name": "a", "arguments": {"x": [1]}}"#;
        for (answer, text, calls) in [
            (format!("I look.\n<tool_call>\n{json}\n</tool_call>"), "I look.", vec![x.clone()]),
            (
                format!("<tool_call>{json}</tool_call>\n<tool_call>{{\"name\": \"b\"}}</tool_call>\n"),
                "",
                vec![x.clone(), call("b", "{}")],
            ),
            (format!("<tool_call> is a tag.\n<tool_call>{json}</tool_call>"), "<tool_call> is a tag.", vec![x.clone()]),
            (format!("Before\n<tool_call>{json}</tool_call> and after."), "Before\nand after.", vec![x.clone()]),
            (format!("<tool_call>{json}"), "", vec![x.clone()]),
            (format!("<tool_call>{json}\n<tool_call>{json}"), "", vec![x.clone(), x.clone()]),
            (format!("<tool_call>{json}</tool_call><tool_call>{{\"name"), "<tool_call>{\"name", vec![x.clone()]),
            (r#"<tool_call>{"name": "a"}</tool_call>"#.into(), "", vec![none.clone()]),
            (r#"<tool_call>{"name": "a", "arguments": null}</tool_call>"#.into(), "", vec![none]),
            (r#"<tool_call>{"name": "a", "arguments": "{\"x\": [1]}"}</tool_call>"#.into(), "", vec![x]),
            (
                "<tool_call>{\"name\": \"a\", \"arguments\": {\"x\": \"two\nlines\"}}</tool_call>".into(),
                "",
                vec![call("a", r#"{"x": "two\nlines"}"#)],
            ),
            (
                r#"<tool_call>{"name": "a", "arguments": {"x": "}</tool_call>\""}}</tool_call>"#.into(),
                "",
                vec![call("a", r#"{"x": "}</tool_call>\""}"#)],
            ),
        ] {
            assert_eq!(ToolCall::split(&answer), (text.into(), calls), "{answer}");
        }
        for other in [
            "no call",
            "<tool_call>{\"name\": \"a\", \"arguments\": {}",
            "<tool_call>{\"name\": 1, \"arguments\": {}}</tool_call>",
            "<tool_call>{\"name\": \"a\", \"arguments\": \"[]\"}</tool_call>",
            "<tool_call>look</tool_call>",
            "<tool_call>\"{}\"</tool_call>",
        ] {
            assert_eq!(ToolCall::split(other), (other.into(), vec![]));
        }
        assert!(matches!(ToolCall::new("a", "[]"), Err(Error::Prompt { .. })));
    }
}
