//! Logits to the next token.

mod generate;
mod lookup;
mod random;
mod repetition;
mod sampler;

pub use generate::Generate;
pub use lookup::{MOST_DRAFTED, lookup};
pub use repetition::Repetition;
pub use sampler::{Sampled, Sampler};
