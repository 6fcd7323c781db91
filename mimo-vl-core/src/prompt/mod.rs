//! What the caller says, up to token ids: messages with pictures and videos, the checkpoint's chat template, and
//! its tokenizer.

mod guard;
mod image;
mod literals;
mod message;
mod stream;
mod template;
mod tokenizer;
mod video;

pub use image::Image;
pub use message::{Message, Part, Prompt, Role, Thinking, strip_thinking};
pub use stream::TokenText;
pub use template::ChatTemplate;
pub use tokenizer::Tokenizer;
pub use video::Video;
