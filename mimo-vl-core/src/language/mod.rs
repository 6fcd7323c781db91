//! The language model: a sequence and its positions to logits, over a preallocated cache.

mod cache;
mod decoder;
mod layer;

pub use cache::{Cache, KvCache};
pub use decoder::LanguageModel;
