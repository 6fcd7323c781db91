//! Constrained decoding: grammars, and the token masks that keep an answer to one.

mod compile;
mod matcher;
mod schema;
mod vocabulary;

pub use compile::Grammar;
pub use matcher::{GrammarMatcher, TokenMask};
pub use vocabulary::Vocabulary;
