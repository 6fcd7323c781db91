//! Constrained decoding: grammars, and the token masks that keep an answer to one.

mod annotations;
mod compile;
mod matcher;
mod schema;
mod vocabulary;

#[cfg(feature = "serve")]
pub(crate) use annotations::drop_annotations;
pub use compile::Grammar;
#[cfg(feature = "serve")]
pub(crate) use compile::one_line_layout;
pub use matcher::{GrammarMatcher, TokenMask};
pub use vocabulary::Vocabulary;
