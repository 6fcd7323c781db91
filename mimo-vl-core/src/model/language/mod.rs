//! The language model, which computes logits from a sequence and its positions, with a preallocated KV cache.

mod decoder;
mod kv_cache;
mod layer;

pub use decoder::LanguageModel;
pub use kv_cache::{KvCache, KvCacheDtype};
