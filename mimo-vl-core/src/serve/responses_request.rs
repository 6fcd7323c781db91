//! Requests of the responses API, in terms of the chat completions API.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::fields::Fields;

/// The fields that a response repeats, with their defaults.
pub(super) fn echoed(fields: &Fields) -> Map<String, Value> {
    let defaults = json!({
        "instructions": null, "max_output_tokens": null, "metadata": {}, "parallel_tool_calls": true,
        "previous_response_id": null, "reasoning": {}, "store": false, "temperature": 0.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0,
        "truncation": "disabled",
    });
    let entry = |(name, default): (&String, &Value)| {
        // Nothing is stored, whatever was asked for.
        let sent = fields.get(name).filter(|value| name != "store" && !value.is_null());
        (name.clone(), sent.unwrap_or(default).clone())
    };
    defaults.as_object().into_iter().flatten().map(entry).collect()
}

/// Rewrites the fields that differ. Nothing is stored, so a request cannot refer to an earlier one.
pub(super) fn to_chat(fields: &mut Fields) -> Result<(), ApiError> {
    if fields.has("messages") {
        return Err(fields.error("messages", "this API has `input` in their place"));
    }
    let include = fields.texts("include")?.unwrap_or_default();
    if fields.count("top_logprobs")?.unwrap_or(0) > 0 || include.iter().any(|name| name.contains("logprobs")) {
        return Err(fields.error("top_logprobs", "logprobs are not part of this API here: use chat completions"));
    }
    for name in ["previous_response_id", "conversation", "prompt", "background"] {
        if fields.take(name).is_some_and(|value| value != false) {
            return Err(fields.error(name, "this server stores nothing: send the whole conversation in `input`"));
        }
    }
    if fields.text("truncation")?.is_some_and(|truncation| truncation != "disabled") {
        return Err(fields.error("truncation", "a conversation that is too long is an error: send disabled"));
    }
    let mut messages = Vec::new();
    if let Some(instructions) = fields.text("instructions")? {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    match fields.take("input") {
        Some(Value::String(text)) => messages.push(json!({"role": "user", "content": text})),
        Some(Value::Array(items)) => {
            for (index, item) in items.into_iter().enumerate() {
                add_item(&mut messages, item, &format!("input[{index}]"))?;
            }
        }
        _ => return Err(fields.error("input", "it must be a text or a list of items")),
    }
    fields.set("messages", messages.into());
    if let Some(mut text) = fields.object("text")? {
        text.take("verbosity");
        if let Some(format) = text.take("format") {
            fields.set("response_format", format);
        }
        text.finish_known()?;
    }
    if let Some(mut reasoning) = fields.object("reasoning")? {
        for name in ["summary", "generate_summary"] {
            reasoning.take(name);
        }
        if let Some(effort) = reasoning.take("effort") {
            fields.set("reasoning_effort", effort);
        }
        reasoning.finish_known()?;
    }
    if let Some(tools) = fields.list("tools")? {
        let mut nested = Vec::with_capacity(tools.len());
        for (index, mut tool) in tools.into_iter().enumerate() {
            if tool["type"] != "function" {
                let reason = format!("tools of type {} are not supported: only functions", tool["type"]);
                return Err(fields.error(&format!("tools[{index}]"), reason));
            }
            if let Some(function) = tool.as_object_mut() {
                function.remove("type");
                function.remove("strict");
            }
            nested.push(json!({"type": "function", "function": tool}));
        }
        fields.set("tools", nested.into());
    }
    Ok(())
}

/// Appends an item of the input to the messages.
fn add_item(messages: &mut Vec<Value>, item: Value, path: &str) -> Result<(), ApiError> {
    let mut fields = Fields::of(item, path)?;
    let kind = fields.text("type")?;
    match kind.as_deref() {
        None | Some("message") => {
            let (role, content) = (fields.take("role"), fields.take("content"));
            messages.push(json!({"role": role, "content": content}));
        }
        Some("function_call") => {
            let function = json!({"name": fields.take("name"), "arguments": fields.take("arguments")});
            let call = json!({"type": "function", "id": fields.take("call_id"), "function": function});
            // The calls of one answer belong to one message.
            match messages.last_mut().filter(|last| last["role"] == "assistant") {
                Some(last) if last["tool_calls"].is_array() => {
                    last["tool_calls"].as_array_mut().into_iter().for_each(|calls| calls.push(call.clone()));
                }
                Some(last) => last["tool_calls"] = json!([call]),
                None => messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
            }
        }
        Some("function_call_output") => {
            messages.push(json!({"role": "tool", "content": fields.take("output")}));
        }
        // Earlier thinking is not part of the prompt.
        Some("reasoning") => {}
        Some(other) => return Err(fields.error("type", format!("items of type {other:?} are not supported"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_conversation_is_rewritten() {
        let body = json!({
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "1", "output": "blue"},
            ],
            "text": {"format": {"type": "json_schema", "schema": true}, "verbosity": "low"},
            "reasoning": {"effort": "none", "summary": "auto"},
            "tools": [{"type": "function", "name": "look", "parameters": {}}],
            "previous_response_id": null,
        });
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        to_chat(&mut fields).unwrap();
        let messages = json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"type": "function", "id": "1", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "content": "blue"},
        ]);
        assert_eq!(fields.take("messages").unwrap(), messages);
        assert_eq!(fields.take("response_format").unwrap(), json!({"type": "json_schema", "schema": true}));
        assert_eq!(fields.take("reasoning_effort").unwrap(), "none");
        let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {}}}]);
        assert_eq!(fields.take("tools").unwrap(), tools);
        assert!(fields.finish().unwrap().is_empty());
    }

    #[test]
    fn what_needs_stored_state_is_refused() {
        for body in [
            r#"{"input": "x", "previous_response_id": "resp-1"}"#,
            r#"{"input": "x", "background": true}"#,
            r#"{"input": "x", "tools": [{"type": "web_search"}]}"#,
            r#"{"input": [{"type": "item_reference", "id": "1"}]}"#,
            r#"{"input": 7}"#,
            "{}",
        ] {
            assert!(to_chat(&mut Fields::parse(body.as_bytes()).unwrap()).is_err(), "{body}");
        }
    }
}
