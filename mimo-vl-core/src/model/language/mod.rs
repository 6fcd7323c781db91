//! The language model: a sequence and its positions to logits, over a preallocated cache.

mod decoder;
mod kv_cache;
mod layer;

pub use decoder::LanguageModel;
pub use kv_cache::{Cache, KvCacheDtype};
