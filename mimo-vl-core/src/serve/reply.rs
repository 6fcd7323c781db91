//! The common parts of the replies of all APIs.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::error::ApiError;
use crate::answer::{Event, Geometry, Region, StopReason};
use crate::prompt::{Tokenizer, ToolCall};
use crate::session::{Answer, TokenLogprob};

/// The reply of one API: a JSON object, or the text of server-sent events.
pub(super) trait Reply: Send {
    /// The reply as one object.
    fn whole(&self, answers: &[Answer]) -> Value;
    /// The first events of a stream.
    fn start(&mut self) -> String;
    /// The events for an event of answer `choice`; may be empty.
    fn event(&mut self, choice: usize, event: Event) -> String;
    /// The events for the end of answer `choice`.
    fn done(&mut self, choice: usize, answer: &Answer) -> String;
    /// The last events of a stream, which an error may have ended.
    fn end(&mut self, answers: &[Answer], error: Option<&ApiError>) -> String;
}

/// The fields that all objects of a reply share.
#[derive(Debug, Clone)]
pub(super) struct ReplyId {
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    /// Seed of the first answer; each further one has the next.
    pub(super) seed: u64,
}

impl ReplyId {
    pub(super) fn new(prefix: &str, model: &str, seed: u64) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { id: format!("{prefix}-{created:x}{number:06x}"), created, model: model.to_owned(), seed }
    }

    /// An object of this kind with the choices of the completions APIs.
    pub(super) fn object(&self, kind: &str, choices: Value) -> Map<String, Value> {
        let Self { id, created, model, seed } = self;
        let json = json!({
            "id": id, "object": kind, "created": created, "model": model, "choices": choices, "seed": seed,
        });
        match json {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// The end of a stream of the completions APIs: the token counts in an object of this kind, if there are any, or
    /// the error that ended the stream, and the mark of the end.
    pub(super) fn end_of_stream(&self, kind: &str, usage: Option<Value>, error: Option<&ApiError>) -> String {
        let last = match error {
            Some(error) => Some(error.json()),
            None => usage.map(|usage| {
                let mut chunk = self.object(kind, json!([]));
                chunk.insert("usage".into(), usage);
                chunk.into()
            }),
        };
        format!("{}data: [DONE]\n\n", last.as_ref().map(data).unwrap_or_default())
    }
}

/// A server-sent event with data only.
pub(super) fn data(json: &Value) -> String {
    format!("data: {json}\n\n")
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

/// Returns `true` if a limit ended the answer, or its thinking never ended, so that there is none.
pub(super) fn is_cut(answer: &Answer) -> bool {
    match answer.stop {
        StopReason::StopSequence => false,
        StopReason::EndOfText => answer.thinking.is_some() && answer.text.trim().is_empty(),
        _ => true,
    }
}

/// Splits an answer into its text and at most `max_calls` calls. Without tools a call is text.
pub(super) fn split_calls(answer: &Answer, max_calls: usize) -> (Cow<'_, str>, Vec<ToolCall>) {
    if max_calls == 0 {
        return (answer.text.as_str().into(), Vec::new());
    }
    let (content, mut calls) = ToolCall::split(&answer.text);
    calls.truncate(max_calls);
    (content, calls)
}

/// OpenAI's reason for the end of an answer.
pub(super) fn finish_reason(answer: &Answer, has_calls: bool) -> &'static str {
    match (is_cut(answer), has_calls) {
        (true, _) => "length",
        (_, true) => "tool_calls",
        _ => "stop",
    }
}

/// The token counts of a request: its prompt once, and all its answers.
pub(super) fn usage(answers: &[Answer]) -> Value {
    let (prompt, cached) =
        answers.first().map_or((0, 0), |answer| (answer.prompt_tokens, answer.timings.cached_tokens));
    let completion: usize = answers.iter().map(|answer| answer.tokens).sum();
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    })
}

/// The logprobs of an answer in the form of the chat completions API.
pub(super) fn logprobs(answer: &Answer, tokenizer: &Tokenizer) -> Value {
    if answer.logprobs.is_empty() {
        return Value::Null;
    }
    let token = |id: u32, logprob: f32| {
        let (text, bytes) = (tokenizer.decode(&[id]), tokenizer.token_bytes(id));
        json!({"token": text, "logprob": logprob, "bytes": bytes})
    };
    let tokens = answer.logprobs.iter().map(|entry: &TokenLogprob| {
        let mut json = token(entry.id, entry.logprob);
        json["top_logprobs"] = entry.top.iter().map(|&(id, logprob)| token(id, logprob)).collect();
        json
    });
    json!({ "content": tokens.collect::<Value>() })
}
