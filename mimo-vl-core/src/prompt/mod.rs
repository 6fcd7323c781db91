//! Messages to token ids: messages with images and videos, the checkpoint's chat template, and its tokenizer.

mod detokenizer;
mod escape;
mod json;
mod message;
mod special_tokens;
mod template;
mod thinking;
mod tokenizer;
mod tools;

pub use detokenizer::StreamDecoder;
pub(crate) use json::to_python_json;
pub(crate) use message::available_tools;
pub use message::{Message, Part, Prompt, ResolvedPrompt, Role};
pub use template::ChatTemplate;
pub use thinking::{Thinking, ThinkingStyle, strip_thinking};
pub(crate) use thinking::{ends_in_thinking, whole_answer};
pub use tokenizer::Tokenizer;
pub use tools::ToolCall;
