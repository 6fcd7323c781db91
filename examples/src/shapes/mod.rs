//! The world of `mimo-vl-tiny`: pictures of a few coloured shapes, and questions about them.
//!
//! Everything is drawn from a [`Random`] that a seed and an index open, so that the example with a given
//! index is the same on every machine and a run of training can go on at any index.

mod accuracy;
mod ask;
mod backdrop;
mod caption;
mod checkpoint;
mod choose;
mod conversation;
#[cfg(feature = "train")]
mod dataset;
mod draw;
mod figure;
mod palette;
mod phrases;
mod random;
mod scene;
mod vocabulary;
mod words;

pub use accuracy::{Accuracy, fresh_question, measure};
pub use ask::{Answer, Kind, Question, Subject, is_right};
pub use caption::Order;
pub use checkpoint::{Dimensions, write_checkpoint_files};
pub use conversation::{Conversation, Piece, Recipe, Turn};
#[cfg(feature = "train")]
pub use dataset::{PATCH_CLASSES, ShapesDataset};
pub use draw::{Picture, draw};
pub use random::Random;
pub use scene::{Colour, Limits, Object, Scene, Shape};
pub use vocabulary::{ADDED_TOKENS, SPECIAL_TOKENS, build_tokenizer, padded_vocab_size};
pub use words::Language;

#[cfg(test)]
mod tests;
