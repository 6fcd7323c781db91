//! The APIs of the server.

use serde_json::{Map, Value};

use super::chat_reply::ChatReply;
use super::reply::{Reply, ReplyId};
use super::responses_reply::ResponsesReply;
use super::text_reply::TextReply;
use crate::prompt::Tokenizer;

/// An API whose requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
    /// `/v1/responses`.
    Responses,
}

impl Api {
    /// The reply to a request for `n` answers, of which the first has this seed.
    #[expect(clippy::too_many_arguments, reason = "each API uses some of them")]
    pub(super) fn reply(
        self,
        model: &str,
        seed: u64,
        n: usize,
        include_usage: bool,
        max_calls: usize,
        echo: Map<String, Value>,
        tokenizer: Tokenizer,
    ) -> Box<dyn Reply> {
        match self {
            Self::Chat => {
                Box::new(ChatReply::new(ReplyId::new("chatcmpl", model, seed), n, include_usage, max_calls, tokenizer))
            }
            Self::Text => Box::new(TextReply::new(ReplyId::new("cmpl", model, seed), include_usage, tokenizer)),
            Self::Responses => {
                Box::new(ResponsesReply::new(ReplyId::new("resp", model, seed), max_calls, echo, tokenizer))
            }
        }
    }
}
