//! Replies of the responses API.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::reply::{Reply, ReplyId, is_cut, region, split_calls};
use super::tool_call_filter::ContentFilter;
use crate::answer::Event;
use crate::prompt::{Tokenizer, ToolCall};
use crate::session::Answer;

/// A `response`, or its events.
pub(super) struct ResponsesReply {
    id: ReplyId,
    /// Filter of the streamed text, where it may contain calls.
    filter: Option<ContentFilter>,
    /// Calls of an answer that are sent.
    max_calls: usize,
    /// Fields of the request that the response repeats.
    echo: Map<String, Value>,
    tokenizer: Tokenizer,
    /// Number of events so far.
    sequence: u64,
    /// Text of the message that was sent; `None` before its start.
    message: Option<String>,
    /// Text of the reasoning that was sent; `None` before its start.
    reasoning: Option<String>,
    /// The finished response.
    response: Value,
}

impl ResponsesReply {
    pub(super) fn new(id: ReplyId, max_calls: usize, echo: Map<String, Value>, tokenizer: Tokenizer) -> Self {
        let filter = (max_calls > 0).then(ContentFilter::default);
        Self {
            id,
            filter,
            max_calls,
            echo,
            tokenizer,
            sequence: 0,
            message: None,
            reasoning: None,
            response: Value::Null,
        }
    }

    fn response(&self, status: &str, output: Value, answer: Option<&Answer>) -> Value {
        let ReplyId { id, created, model, seed } = &self.id;
        let usage = answer.map(|answer| {
            let thinking = answer.thinking.as_deref().unwrap_or_default();
            let reasoning = self.tokenizer.encode_text(thinking).map_or(0, |ids| ids.len());
            json!({
                "input_tokens": answer.prompt_tokens,
                "input_tokens_details": {"cached_tokens": answer.timings.cached_tokens},
                "output_tokens": answer.tokens,
                "output_tokens_details": {"reasoning_tokens": reasoning},
                "total_tokens": answer.prompt_tokens + answer.tokens,
            })
        });
        let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let mut response = json!({
            "id": id, "object": "response", "created_at": created, "status": status, "model": model, "seed": seed,
            "output": output, "usage": usage, "error": null, "incomplete_details": incomplete,
        });
        if let Some(fields) = response.as_object_mut() {
            fields.extend(self.echo.clone());
            fields.insert("closed_early".into(), answer.is_some_and(|answer| answer.closed_early).into());
        }
        response
    }

    fn item_id(&self, kind: &str) -> String {
        format!("{kind}-{}", self.id.id)
    }

    fn message_item(&self, text: &str, status: &str, regions: Value) -> Value {
        let part = json!({"type": "output_text", "text": text, "annotations": [], "logprobs": [], "regions": regions});
        json!({
            "id": self.item_id("msg"), "type": "message", "role": "assistant", "status": status, "content": [part],
        })
    }

    fn reasoning_item(&self, text: &str) -> Value {
        let summary = json!([{"type": "summary_text", "text": text}]);
        json!({"id": self.item_id("rs"), "type": "reasoning", "summary": summary})
    }

    /// Index of the message among the items of the output.
    fn message_index(&self) -> usize {
        usize::from(self.reasoning.is_some())
    }

    /// The items of a finished answer.
    fn output(&self, answer: &Answer) -> Vec<Value> {
        let (text, calls) = split_calls(answer, self.max_calls);
        let mut items: Vec<Value> = answer.thinking.iter().map(|thinking| self.reasoning_item(thinking)).collect();
        if !text.is_empty() || calls.is_empty() {
            let status = if is_cut(answer) { "incomplete" } else { "completed" };
            items.push(self.message_item(&text, status, answer.regions.iter().map(region).collect()));
        }
        items.extend(calls.iter().enumerate().map(|(index, ToolCall { name, arguments })| {
            let id = format!("{}-{index}", self.item_id("fc"));
            json!({
                "id": id, "call_id": id, "type": "function_call", "name": name, "arguments": arguments,
                "status": if is_cut(answer) { "incomplete" } else { "completed" },
            })
        }));
        items
    }

    fn finished(&self, answer: &Answer) -> Value {
        let status = if is_cut(answer) { "incomplete" } else { "completed" };
        self.response(status, self.output(answer).into(), Some(answer))
    }

    /// An event of this type, with its number.
    fn send(&mut self, kind: &str, mut json: Value) -> String {
        json["type"] = json!(kind);
        json["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        format!("event: {kind}\ndata: {json}\n\n")
    }

    fn item_added(&mut self, index: usize, item: &Value) -> String {
        self.send("response.output_item.added", json!({"output_index": index, "item": item}))
    }

    fn item_done(&mut self, index: usize, item: &Value) -> String {
        self.send("response.output_item.done", json!({"output_index": index, "item": item}))
    }

    /// The events of the start of the message, unless it was sent.
    fn start_message(&mut self) -> String {
        if self.message.is_some() {
            return String::new();
        }
        self.message = Some(String::new());
        let (id, index) = (self.item_id("msg"), self.message_index());
        let item = json!({"id": id, "type": "message", "role": "assistant", "status": "in_progress", "content": []});
        let part = json!({"type": "output_text", "text": "", "annotations": []});
        let added = json!({"item_id": id, "output_index": index, "content_index": 0, "part": part});
        self.item_added(index, &item) + &self.send("response.content_part.added", added)
    }

    /// The events of more text of the message.
    fn text_delta(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let events = self.start_message();
        let (id, index) = (self.item_id("msg"), self.message_index());
        self.message.get_or_insert_default().push_str(text);
        let delta = json!({"item_id": id, "output_index": index, "content_index": 0, "delta": text, "logprobs": []});
        events + &self.send("response.output_text.delta", delta)
    }
}

impl Reply for ResponsesReply {
    fn whole(&self, answers: &[Answer]) -> Value {
        answers.first().map_or(Value::Null, |answer| self.finished(answer))
    }

    fn start(&mut self) -> String {
        let response = self.response("in_progress", json!([]), None);
        self.send("response.created", json!({"response": response}))
            + &self.send("response.in_progress", json!({"response": response}))
    }

    fn event(&mut self, _: usize, event: Event) -> String {
        match event {
            Event::Thinking(text) => {
                let id = self.item_id("rs");
                let mut events = String::new();
                if self.reasoning.is_none() {
                    let item = json!({"id": id, "type": "reasoning", "summary": []});
                    events += &self.item_added(0, &item);
                    let part = json!({"type": "summary_text", "text": ""});
                    let added = json!({"item_id": id, "output_index": 0, "summary_index": 0, "part": part});
                    events += &self.send("response.reasoning_summary_part.added", added);
                }
                self.reasoning.get_or_insert_default().push_str(&text);
                let delta = json!({"item_id": id, "output_index": 0, "summary_index": 0, "delta": text});
                events + &self.send("response.reasoning_summary_text.delta", delta)
            }
            Event::Text(text) => {
                let text = match &mut self.filter {
                    Some(filter) => filter.push(&text),
                    None => text,
                };
                self.text_delta(&text)
            }
            Event::Region(_) | Event::End(_) => String::new(),
        }
    }

    fn done(&mut self, _: usize, answer: &Answer) -> String {
        let mut events = String::new();
        if let Some(filter) = self.filter.take() {
            let (content, _) = split_calls(answer, self.max_calls);
            events += &self.text_delta(filter.remaining(&content));
        }
        for (index, item) in self.output(answer).iter().enumerate() {
            match item["type"].as_str() {
                Some("message") => {
                    let (id, text) = (self.item_id("msg"), self.message.clone().unwrap_or_default());
                    events += &self.start_message();
                    let place = json!({"item_id": id, "output_index": index, "content_index": 0});
                    let mut done = place.clone();
                    (done["text"], done["logprobs"]) = (json!(text), json!([]));
                    events += &self.send("response.output_text.done", done);
                    let mut done = place;
                    done["part"] = item["content"][0].clone();
                    events += &self.send("response.content_part.done", done);
                }
                Some("reasoning") => {
                    let place = json!({"item_id": item["id"], "output_index": index, "summary_index": 0});
                    let mut done = place.clone();
                    done["text"] = item["summary"][0]["text"].clone();
                    events += &self.send("response.reasoning_summary_text.done", done);
                    let mut done = place;
                    done["part"] = item["summary"][0].clone();
                    events += &self.send("response.reasoning_summary_part.done", done);
                }
                Some("function_call") => {
                    events += &self.item_added(index, item);
                    let arguments = json!({
                        "item_id": item["id"], "output_index": index, "arguments": item["arguments"],
                        "name": item["name"],
                    });
                    events += &self.send("response.function_call_arguments.done", arguments);
                }
                _ => {}
            }
            events += &self.item_done(index, item);
        }
        self.response = self.finished(answer);
        events
    }

    fn end(&mut self, _: &[Answer], error: Option<&ApiError>) -> String {
        if let Some(error) = error {
            let mut response = self.response("failed", json!([]), None);
            let json = error.json();
            let code = json["error"]["code"].as_str().unwrap_or("server_error");
            response["error"] = json!({"code": code, "message": json["error"]["message"]});
            return self.send("response.failed", json!({"response": response}));
        }
        let response = std::mem::take(&mut self.response);
        let kind = format!("response.{}", response["status"].as_str().unwrap_or("completed"));
        self.send(&kind, json!({"response": response}))
    }
}
