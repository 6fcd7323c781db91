//! Logits to the next token.

mod generate;
mod random;
mod sampler;

pub use generate::Generate;
pub use sampler::Sampler;
