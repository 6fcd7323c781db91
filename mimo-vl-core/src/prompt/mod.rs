//! What the caller says, up to token ids: messages with pictures and videos, the checkpoint's chat template, and
//! its tokenizer.

mod detokenizer;
mod escape;
mod json;
mod message;
mod special_tokens;
mod template;
mod tokenizer;
mod tools;

pub use detokenizer::StreamDecoder;
pub(crate) use json::spaced_json;
pub use message::{Message, Part, Prompt, Role, Thinking, ThinkingStyle, strip_thinking};
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
pub use tools::ToolCall;
pub(crate) use tools::offered;
