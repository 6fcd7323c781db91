//! Answers in the form of OpenAI's chat completions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::answer::{Place, Region, StopReason};
use crate::prompt::Tokenizer;
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

    /// A whole answer.
    pub(super) fn whole(&self, answer: &Answer, tokenizer: &Tokenizer) -> Value {
        let mut message = json!({"role": "assistant", "content": answer.text, "refusal": null});
        if let Some(thinking) = &answer.thinking {
            message["reasoning_content"] = json!(thinking);
        }
        if !answer.regions.is_empty() {
            message["regions"] = answer.regions.iter().map(region).collect();
        }
        let choice = json!([{
            "index": 0, "message": message, "logprobs": logprobs(answer, tokenizer),
            "finish_reason": finish(answer.stop),
        }]);
        let mut reply = self.with("chat.completion", choice);
        reply.insert("usage".into(), usage(answer));
        reply.into()
    }

    /// A part of an answer.
    pub(super) fn delta(&self, delta: Value) -> Value {
        self.with("chat.completion.chunk", json!([{"index": 0, "delta": delta, "finish_reason": null}])).into()
    }

    /// The end of an answer that was given in parts.
    pub(super) fn end(&self, answer: &Answer, tokenizer: &Tokenizer) -> Value {
        let choice = json!([{
            "index": 0, "delta": {}, "logprobs": logprobs(answer, tokenizer), "finish_reason": finish(answer.stop),
        }]);
        self.with("chat.completion.chunk", choice).into()
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
    match &region.place {
        Place::Box(found) => json["box"] = json!(found.pixels),
        Place::Points(found) => json["points"] = found.iter().map(|point| json!(point.pixels)).collect(),
    }
    json
}

fn finish(stop: StopReason) -> &'static str {
    match stop {
        StopReason::EndOfText | StopReason::StopText => "stop",
        StopReason::MaxTokens
        | StopReason::ContextFull
        | StopReason::Loop
        | StopReason::Deadline
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
