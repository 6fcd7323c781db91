//! What the caller says, up to token ids: messages with pictures and videos, the checkpoint's chat template, and
//! its tokenizer.

mod guard;
mod image;
mod json;
mod literals;
mod message;
mod stream;
mod template;
mod tokenizer;
mod tools;
mod video;

pub(crate) use self::image::ImageRecord;
pub use self::image::{Image, PageFrame};
pub(crate) use self::json::spaced_json;
pub use self::message::{Message, Part, Prompt, Role, Thinking, ThinkingStyle, strip_thinking};
pub use self::stream::TokenText;
pub use self::template::ChatTemplate;
pub use self::tokenizer::Tokenizer;
pub use self::tools::ToolCall;
pub(crate) use self::tools::offered;
pub use self::video::Video;
pub(crate) use self::video::check_fps;
