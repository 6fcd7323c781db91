//! The world of `mimo-vl-tiny`: pictures of a few coloured shapes, of characters and of buttons, short videos, and
//! questions about them.
//!
//! Everything is drawn from a [`Random`] that a seed and an index open, so that the example with a given
//! index is the same on every machine and a run of training can go on at any index.

mod accuracy;
mod ask;
mod backdrop;
mod buttons;
mod caption;
mod checkpoint;
mod choose;
mod conversation;
#[cfg(feature = "train")]
mod dataset;
mod detection;
mod draw;
mod figure;
mod kinds;
mod lettering;
mod motion;
mod palette;
mod phrases;
mod random;
mod reading;
mod scene;
mod skills;
mod vocabulary;
mod words;

pub use accuracy::{Accuracy, fresh_question, measure};
pub use ask::{Answer, Kind, Question, Subject, is_right};
pub use buttons::Buttons;
pub use caption::Order;
pub use checkpoint::{Dimensions, write_checkpoint_files};
pub use conversation::{Asked, Conversation, Media, PLACES, Piece, Recipe, Skill, Turn};
#[cfg(feature = "train")]
pub use dataset::{ShapesDataset, Stage};
pub use detection::Detection;
pub use draw::{Mark, Picture, draw};
pub use kinds::KINDS;
pub use motion::{FRAME_PIXELS, Motion};
pub use random::Random;
pub use reading::Reading;
pub use scene::{Colour, Limits, Object, Scene, Shape};
pub use skills::{Skills, measure_skills};
pub use vocabulary::{ADDED_TOKENS, SPECIAL_TOKENS, build_tokenizer, padded_vocab_size};
pub use words::Language;

#[cfg(test)]
mod tests;
