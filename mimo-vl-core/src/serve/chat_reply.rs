//! Replies of the chat completions API.

use serde_json::{Value, json};

use super::error::ApiError;
use super::reply::{Reply, ReplyId, data, finish_reason, logprobs, region, split_calls, usage};
use super::tool_call_filter::ContentFilter;
use crate::answer::Event;
use crate::prompt::{Tokenizer, ToolCall};
use crate::session::Answer;

/// A `chat.completion`, or its chunks.
pub(super) struct ChatReply {
    id: ReplyId,
    /// Last event with the token counts.
    include_usage: bool,
    tokenizer: Tokenizer,
    /// Filters of the streamed content of each answer, where it may contain tool calls.
    filters: Vec<Option<ContentFilter>>,
    /// Calls of an answer that are sent.
    max_calls: usize,
}

impl ChatReply {
    pub(super) fn new(id: ReplyId, n: usize, include_usage: bool, max_calls: usize, tokenizer: Tokenizer) -> Self {
        let filters = (0..n).map(|_| (max_calls > 0).then(ContentFilter::default)).collect();
        Self { id, include_usage, tokenizer, filters, max_calls }
    }

    fn choice(&self, index: usize, answer: &Answer) -> Value {
        let (content, calls) = split_calls(answer, self.max_calls);
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = self.tool_calls(index, &calls, false);
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
        json!({
            "index": index, "message": message, "logprobs": logprobs(answer, &self.tokenizer),
            "finish_reason": finish_reason(answer, !calls.is_empty()), "closed_early": answer.closed_early,
        })
    }

    /// The event of a `delta` of answer `index`.
    fn chunk(&self, index: usize, delta: &Value) -> String {
        let choices = json!([{"index": index, "delta": delta, "finish_reason": null}]);
        data(&self.id.object("chat.completion.chunk", choices).into())
    }

    /// Formats the tool calls of answer `choice`; in a stream each has an `index`.
    fn tool_calls(&self, choice: usize, calls: &[ToolCall], indexed: bool) -> Value {
        let call = |(index, ToolCall { name, arguments }): (usize, &ToolCall)| {
            let id = format!("call-{}-{choice}-{index}", self.id.id);
            let mut json = json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}});
            if indexed {
                json["index"] = json!(index);
            }
            json
        };
        calls.iter().enumerate().map(call).collect()
    }
}

impl Reply for ChatReply {
    fn whole(&self, answers: &[Answer]) -> Value {
        let choices = answers.iter().enumerate().map(|(index, answer)| self.choice(index, answer));
        let mut completion = self.id.object("chat.completion", choices.collect());
        completion.insert("usage".into(), usage(answers));
        completion.into()
    }

    fn start(&mut self) -> String {
        let role = json!({"role": "assistant", "content": ""});
        (0..self.filters.len()).map(|choice| self.chunk(choice, &role)).collect()
    }

    fn event(&mut self, choice: usize, event: Event) -> String {
        let delta = match event {
            Event::Thinking(text) => json!({"reasoning_content": text}),
            Event::Text(text) => {
                let text = match &mut self.filters[choice] {
                    Some(filter) => filter.push(&text),
                    None => text,
                };
                if text.is_empty() {
                    return String::new();
                }
                json!({"content": text})
            }
            Event::Region(found) => json!({"regions": [region(&found)]}),
            Event::End(_) => return String::new(),
        };
        self.chunk(choice, &delta)
    }

    fn done(&mut self, choice: usize, answer: &Answer) -> String {
        let (rest, calls) = self.filters[choice].as_ref().map_or((String::new(), Vec::new()), |filter| {
            let (content, calls) = split_calls(answer, self.max_calls);
            (filter.remaining(&content).to_owned(), calls)
        });
        let mut events = String::new();
        if !rest.is_empty() {
            events += &self.chunk(choice, &json!({"content": rest}));
        }
        if !calls.is_empty() {
            events += &self.chunk(choice, &json!({"tool_calls": self.tool_calls(choice, &calls, true)}));
        }
        let last = json!([{
            "index": choice, "delta": {}, "logprobs": logprobs(answer, &self.tokenizer),
            "finish_reason": finish_reason(answer, !calls.is_empty()), "closed_early": answer.closed_early,
        }]);
        events + &data(&self.id.object("chat.completion.chunk", last).into())
    }

    fn end(&mut self, answers: &[Answer], error: Option<&ApiError>) -> String {
        let usage = self.include_usage.then(|| usage(answers));
        self.id.end_of_stream("chat.completion.chunk", usage, error)
    }
}
