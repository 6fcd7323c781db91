//! Answers in the form of OpenAI's chat completions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::tool_call_filter::ContentFilter;
use crate::answer::{Geometry, Region, StopReason};
use crate::prompt::{Tokenizer, ToolCall};
use crate::session::Answer;

/// What all messages of one reply begin with.
#[derive(Debug, Clone)]
pub(super) struct Head {
    id: String,
    created: u64,
    model: String,
}

impl Head {
    pub(super) fn new(model: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { id: format!("chatcmpl-{created:x}{number:06x}"), created, model: model.to_owned() }
    }

    fn with(&self, object: &str, choices: Value) -> Map<String, Value> {
        let Self { id, created, model } = self;
        let json = json!({"id": id, "object": object, "created": created, "model": model, "choices": choices});
        match json {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// A whole answer, which may be calls of `tools`.
    pub(super) fn whole(&self, answer: &Answer, tokenizer: &Tokenizer, tools: bool) -> Value {
        let (said, calls) = if tools { ToolCall::split(&answer.text) } else { (answer.text.as_str(), Vec::new()) };
        let mut message = json!({"role": "assistant", "content": said, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = self.calls(&calls, false);
            if said.is_empty() {
                message["content"] = Value::Null;
            }
        }
        if let Some(thinking) = &answer.thinking {
            message["reasoning_content"] = json!(thinking);
        }
        if !answer.regions.is_empty() {
            message["regions"] = answer.regions.iter().map(region).collect();
        }
        let choice = json!([{
            "index": 0, "message": message, "logprobs": logprobs(answer, tokenizer),
            "finish_reason": finish(answer.stop, !calls.is_empty()),
        }]);
        let mut reply = self.with("chat.completion", choice);
        reply.insert("usage".into(), usage(answer));
        reply.into()
    }

    /// A part of an answer.
    pub(super) fn delta(&self, delta: Value) -> Value {
        self.with("chat.completion.chunk", json!([{"index": 0, "delta": delta, "finish_reason": null}])).into()
    }

    /// The last parts of an answer that was given in parts; `told` is what was told of one that may end with calls.
    pub(super) fn end(&self, answer: &Answer, tokenizer: &Tokenizer, told: Option<&ContentFilter>) -> Vec<Value> {
        let (rest, calls) = told.map_or(("", Vec::new()), |told| {
            let (said, calls) = ToolCall::split(&answer.text);
            (told.rest(said), calls)
        });
        let mut parts = Vec::new();
        if !rest.is_empty() {
            parts.push(self.delta(json!({"content": rest})));
        }
        if !calls.is_empty() {
            parts.push(self.delta(json!({"tool_calls": self.calls(&calls, true)})));
        }
        let choice = json!([{
            "index": 0, "delta": {}, "logprobs": logprobs(answer, tokenizer),
            "finish_reason": finish(answer.stop, !calls.is_empty()),
        }]);
        parts.push(self.with("chat.completion.chunk", choice).into());
        parts
    }

    /// Calls of functions; in a stream each has a number.
    fn calls(&self, calls: &[ToolCall], numbered: bool) -> Value {
        let call = |(index, ToolCall { name, arguments }): (usize, &ToolCall)| {
            let id = format!("call-{}-{index}", self.id);
            let mut json = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            if numbered {
                json["index"] = json!(index);
            }
            json
        };
        calls.iter().enumerate().map(call).collect()
    }

    /// What counts the tokens of an answer that was given in parts.
    pub(super) fn count(&self, answer: &Answer) -> Value {
        let mut chunk = self.with("chat.completion.chunk", json!([]));
        chunk.insert("usage".into(), usage(answer));
        chunk.into()
    }
}

/// A box or points, in pixels of the picture that was sent.
pub(super) fn region(region: &Region) -> Value {
    let mut json = json!({"image": region.image, "label": region.label, "text": region.text});
    match &region.geometry {
        Geometry::Box(found) => json["box"] = json!(found.pixels),
        Geometry::Points(found) => json["points"] = found.iter().map(|point| json!(point.pixels)).collect(),
    }
    json
}

fn finish(stop: StopReason, calls: bool) -> &'static str {
    match stop {
        _ if calls => "tool_calls",
        StopReason::EndOfText | StopReason::StopSequence => "stop",
        StopReason::MaxTokens
        | StopReason::ContextFull
        | StopReason::Loop
        | StopReason::Timeout
        | StopReason::Cancelled => "length",
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
        "prompt_tokens_details": {"cached_tokens": answer.timings.cached_tokens},
    })
}

fn logprobs(answer: &Answer, tokenizer: &Tokenizer) -> Value {
    if answer.logprobs.is_empty() {
        return Value::Null;
    }
    let token = |id: u32, logprob: f32| json!({"token": tokenizer.decode(&[id]), "logprob": logprob, "bytes": tokenizer.token_bytes(id)});
    let tokens = answer.logprobs.iter().map(|at| {
        let mut json = token(at.id, at.logprob);
        json["top_logprobs"] = at.top.iter().map(|&(id, logprob)| token(id, logprob)).collect();
        json
    });
    json!({ "content": tokens.collect::<Value>() })
}
