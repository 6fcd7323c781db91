//! The caller's interface: load a model, open a session, ask, and read the answer while it is generated.
//!
//! A session is one conversation. It holds the messages, and the cached keys and values of their tokens. Each prompt is
//! rendered and encoded with the entire conversation, and the common prefix with the cached tokens is not computed
//! again. The result is therefore the same as that of a fresh session with the same messages.

mod answer;
mod answer_builder;
mod batch;
#[cfg(test)]
mod cancel_tests;
mod checkpoint_assets;
mod constraint;
mod decode_loop;
mod draft;
mod feature_cache;
mod generate_ids;
mod load_options;
mod media;
mod model;
mod persist;
mod plan;
mod prefix;
mod quantize;
#[allow(
    clippy::module_inception,
    reason = "the file defines `Session`; each type of this module has a file of its name"
)]
mod session;
mod shared;
mod stream;

pub use answer::{Answer, MemoryUse, Timings, TokenLogprob};
pub use batch::{Batch, BatchOptions};
pub use checkpoint_assets::ProcessorAssets;
pub use generate_ids::{TokenPrompt, generate_ids};
pub use load_options::LoadOptions;
pub use model::Model;
pub use plan::{Budget, Plan, PlannedPart};
pub use quantize::quantize;
pub use session::Session;
pub use shared::{SessionGuard, SessionUnavailable, SharedSession};
pub use stream::Stream;
