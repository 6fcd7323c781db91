//! Logits to the next token: options, grammars, penalties, filters, and the checks that end an answer.

mod filters;
mod grammar;
mod loop_detector;
mod option_table;
mod options;
mod prompt_lookup;
mod random;
mod sampler;
mod stop_sequences;

pub use grammar::{Grammar, GrammarMatcher, TokenMask, Vocabulary};
#[cfg(feature = "serve")]
pub(crate) use grammar::{drop_annotations, one_line_layout};
pub use loop_detector::LoopDetector;
pub use option_table::{GENERATION_OPTIONS, OptionKind, OptionSpec};
pub use options::GenerateOptions;
pub use prompt_lookup::{MAX_DRAFT_TOKENS, prompt_lookup};
pub use sampler::{SampledToken, Sampler};
pub use stop_sequences::StopSequences;
