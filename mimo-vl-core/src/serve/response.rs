//! Formats answers as OpenAI chat completion objects and chunks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::tool_call_filter::ContentFilter;
use crate::answer::{Geometry, Region, StopReason};
use crate::prompt::{Tokenizer, ToolCall};
use crate::session::Answer;

/// Formats the reply to one request; all its objects share id, time and model.
#[derive(Debug, Clone)]
pub(super) struct ResponseFormatter {
    id: String,
    created: u64,
    model: String,
}

impl ResponseFormatter {
    pub(super) fn new(model: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { id: format!("chatcmpl-{created:x}{number:06x}"), created, model: model.to_owned() }
    }

    fn object(&self, kind: &str, choices: Value) -> Map<String, Value> {
        let Self { id, created, model } = self;
        let json = json!({"id": id, "object": kind, "created": created, "model": model, "choices": choices});
        match json {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Formats a finished answer as `chat.completion`; with `tools` its text may contain tool calls.
    pub(super) fn completion(&self, answer: &Answer, tokenizer: &Tokenizer, tools: bool) -> Value {
        let (content, calls) = if tools { ToolCall::split(&answer.text) } else { (answer.text.as_str(), Vec::new()) };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = self.tool_calls(&calls, false);
            if content.is_empty() {
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
            "finish_reason": finish_reason(answer.stop, !calls.is_empty()),
        }]);
        let mut completion = self.object("chat.completion", choice);
        completion.insert("usage".into(), usage(answer));
        completion.into()
    }

    /// Formats `delta` as `chat.completion.chunk`.
    pub(super) fn chunk(&self, delta: Value) -> Value {
        self.object("chat.completion.chunk", json!([{"index": 0, "delta": delta, "finish_reason": null}])).into()
    }

    /// Formats the last chunks of a stream. `filter` is the one that its content went through, if tools were offered.
    pub(super) fn final_chunks(
        &self,
        answer: &Answer,
        tokenizer: &Tokenizer,
        filter: Option<&ContentFilter>,
    ) -> Vec<Value> {
        let (rest, calls) = filter.map_or(("", Vec::new()), |filter| {
            let (content, calls) = ToolCall::split(&answer.text);
            (filter.remaining(content), calls)
        });
        let mut chunks = Vec::new();
        if !rest.is_empty() {
            chunks.push(self.chunk(json!({"content": rest})));
        }
        if !calls.is_empty() {
            chunks.push(self.chunk(json!({"tool_calls": self.tool_calls(&calls, true)})));
        }
        let choice = json!([{
            "index": 0, "delta": {}, "logprobs": logprobs(answer, tokenizer),
            "finish_reason": finish_reason(answer.stop, !calls.is_empty()),
        }]);
        chunks.push(self.object("chat.completion.chunk", choice).into());
        chunks
    }

    /// Formats tool calls; in a stream each has an `index`.
    fn tool_calls(&self, calls: &[ToolCall], indexed: bool) -> Value {
        let call = |(index, ToolCall { name, arguments }): (usize, &ToolCall)| {
            let id = format!("call-{}-{index}", self.id);
            let mut json = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            if indexed {
                json["index"] = json!(index);
            }
            json
        };
        calls.iter().enumerate().map(call).collect()
    }

    /// Formats the token counts of a streamed answer as a chunk without choices.
    pub(super) fn usage_chunk(&self, answer: &Answer) -> Value {
        let mut chunk = self.object("chat.completion.chunk", json!([]));
        chunk.insert("usage".into(), usage(answer));
        chunk.into()
    }
}

/// Formats a box or points, in pixels of the image that the client sent.
pub(super) fn region(region: &Region) -> Value {
    let mut json = json!({"image": region.image, "label": region.label, "text": region.text});
    match &region.geometry {
        Geometry::Box(corners) => json["box"] = json!(corners.pixels),
        Geometry::Points(points) => json["points"] = points.iter().map(|point| json!(point.pixels)).collect(),
    }
    json
}

fn finish_reason(stop: StopReason, has_calls: bool) -> &'static str {
    match stop {
        _ if has_calls => "tool_calls",
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
    let token = |id: u32, logprob: f32| {
        let (text, bytes) = (tokenizer.decode(&[id]), tokenizer.token_bytes(id));
        json!({"token": text, "logprob": logprob, "bytes": bytes})
    };
    let tokens = answer.logprobs.iter().map(|entry| {
        let mut json = token(entry.id, entry.logprob);
        json["top_logprobs"] = entry.top.iter().map(|&(id, logprob)| token(id, logprob)).collect();
        json
    });
    json!({ "content": tokens.collect::<Value>() })
}
