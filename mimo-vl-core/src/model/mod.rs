//! The vision-language model: encodes media, prefills a prompt, decodes token by token. Knows tensors and token ids, no
//! text and no sampler.

mod backend;
mod backend_engine;
mod engine;
mod inputs;
mod language;
mod merge;
mod network;
mod nn;
mod projector;
mod vision;

pub use backend::{WithBackend, available_devices, dispatch};
pub(crate) use backend_engine::MAX_ENCODE_PATCHES;
pub use backend_engine::{EngineOptions, load_engine};
pub(crate) use engine::PREFILL_CHUNK;
pub use engine::{Engine, Features, PrefillInput, Sequence, Step};
pub use inputs::{ModelInput, PlaceholderRange, build_input};
pub use language::{KvCache, KvCacheDtype, LanguageModel};
pub use merge::merge_embeddings;
pub use network::VisionLanguageModel;
pub use nn::{
    GatedMlp, Linear, MergedLinear, RmsNorm, RopeTable, mrope_table, parameter, parameter_id, vision_rope_table,
};
pub use projector::Projector;
pub use vision::{VisionTower, WindowOrder, window_order};
