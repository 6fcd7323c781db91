//! Logits to the next token.

mod filters;
mod generate;
mod grammar;
mod lookup;
mod random;
mod repetition;
mod sampler;

pub use generate::Generate;
pub use grammar::{Allowed, Grammar, GrammarMatcher, Vocabulary};
pub use lookup::{MOST_DRAFTED, lookup};
pub use repetition::Repetition;
pub use sampler::{Sampled, Sampler};
