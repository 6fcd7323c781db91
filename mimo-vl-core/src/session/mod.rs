//! The caller's interface: load a model, open a session, ask, and read the answer while it is written.
//!
//! A session is one conversation. It keeps the messages, and the keys and values of the tokens that the model has
//! seen. Every question is put to the model as the whole conversation, rendered and encoded anew; what the cache
//! holds of its beginning is not computed again. A later message therefore gives what a fresh session would give for
//! the same messages.

mod answer;
mod batch;
#[cfg(test)]
mod cancel_tests;
mod constraint;
mod decode_loop;
mod feature_cache;
mod generate_ids;
mod media;
mod model;
mod persist;
mod plan;
mod prefix;
mod quantize;
mod session;
mod shared;
mod stream;

pub use answer::{Answer, MemoryUse, Timings, TokenLogprob};
pub use batch::{Batch, BatchOptions};
pub use generate_ids::{TokenPrompt, generate_ids};
pub use model::{CheckpointAssets, LoadOptions, Model};
pub use plan::{Budget, Plan, PlannedPart};
pub use quantize::quantize;
pub use session::Session;
pub use shared::{SessionGuard, SessionUnavailable, SharedSession};
pub use stream::Stream;
