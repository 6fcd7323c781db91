//! Logits to the next token.

mod generate;
mod lookup;
mod random;
mod sampler;

pub use generate::Generate;
pub use lookup::{MOST_DRAFTED, lookup};
pub use sampler::Sampler;
