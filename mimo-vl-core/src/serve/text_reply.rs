//! Replies of the completions API, which continues a text.

use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::reply::{Reply, ReplyId, data, finish_reason, usage};
use crate::answer::Event;
use crate::prompt::Tokenizer;
use crate::session::Answer;

/// A `text_completion`, or its chunks.
pub(super) struct TextReply {
    id: ReplyId,
    /// Last event with the token counts.
    include_usage: bool,
    tokenizer: Tokenizer,
}

impl TextReply {
    pub(super) fn new(id: ReplyId, include_usage: bool, tokenizer: Tokenizer) -> Self {
        Self { id, include_usage, tokenizer }
    }

    fn choice(&self, index: usize, text: &str, answer: Option<&Answer>) -> Value {
        json!({
            "index": index, "text": text,
            "logprobs": answer.map_or(Value::Null, |answer| self.logprobs(answer)),
            "finish_reason": answer.map(|answer| finish_reason(answer, false)),
            "closed_early": answer.is_some_and(|answer| answer.closed_early),
        })
    }

    fn logprobs(&self, answer: &Answer) -> Value {
        if answer.logprobs.is_empty() {
            return Value::Null;
        }
        let text = |id: u32| self.tokenizer.decode(&[id]);
        let offset = |byte: usize| answer.text.get(..byte).map_or(0, |before| before.chars().count());
        let top = answer.logprobs.iter().map(|token| {
            let entries = token.top.iter().map(|&(id, logprob)| (text(id), json!(logprob)));
            Value::from(entries.collect::<Map<String, Value>>())
        });
        json!({
            "tokens": answer.logprobs.iter().map(|token| text(token.id)).collect::<Vec<_>>(),
            "token_logprobs": answer.logprobs.iter().map(|token| token.logprob).collect::<Vec<_>>(),
            "top_logprobs": top.collect::<Vec<_>>(),
            "text_offset": answer.logprobs.iter().map(|token| offset(token.range.start)).collect::<Vec<_>>(),
        })
    }

    fn chunk(&self, choice: Value) -> String {
        data(&self.id.object("text_completion", json!([choice])).into())
    }
}

impl Reply for TextReply {
    fn whole(&self, answers: &[Answer]) -> Value {
        let choices = answers.iter().enumerate().map(|(index, answer)| self.choice(index, &answer.text, Some(answer)));
        let mut completion = self.id.object("text_completion", choices.collect());
        completion.insert("usage".into(), usage(answers));
        completion.into()
    }

    fn start(&mut self) -> String {
        String::new()
    }

    fn event(&mut self, choice: usize, event: Event) -> String {
        match event {
            Event::Text(text) => self.chunk(self.choice(choice, &text, None)),
            _ => String::new(),
        }
    }

    fn done(&mut self, choice: usize, answer: &Answer) -> String {
        self.chunk(self.choice(choice, "", Some(answer)))
    }

    fn end(&mut self, answers: &[Answer], error: Option<&ApiError>) -> String {
        let usage = self.include_usage.then(|| usage(answers));
        self.id.end_of_stream("text_completion", usage, error)
    }
}
