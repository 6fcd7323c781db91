//! The data, training objective and evaluation of `mimo-vl-tiny`: generated images of coloured shapes, characters and
//! buttons, short videos, and questions about them.
//!
//! Everything is drawn from a [`Random`] that depends on a seed and an index only, so that an example is the same on
//! every platform and training can resume at any index.

mod accuracy;
mod ask;
mod backdrop;
#[cfg(feature = "train")]
mod batch;
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
mod lettering;
mod motion;
#[cfg(feature = "train")]
mod objective;
mod palette;
mod patch_class;
mod phrases;
mod random;
mod reading;
mod scene;
mod skills;
mod vocabulary;
mod words;

pub use accuracy::{Accuracy, KindAccuracy, evaluate_questions, fresh_question};
pub use ask::{Answer, Kind, Question, Subject, is_correct};
#[cfg(feature = "train")]
pub use batch::{CoordinateTarget, PatchLabel, ShapesBatch, ShapesExample};
pub use buttons::ButtonScreen;
pub use caption::Order;
pub use checkpoint::{Dimensions, write_checkpoint_files};
pub use conversation::{COORDINATE_BINS, Conversation, Exchange, Grounding, Media, Recipe, Segment, Skill};
#[cfg(feature = "train")]
pub use dataset::{ShapesDataset, Stage};
pub use detection::Detection;
pub use draw::{AnnotatedImage, Annotation, draw};
pub use motion::{FRAME_PIXELS, MotionVideo};
#[cfg(feature = "train")]
pub use objective::{ShapesNormalizer, ShapesObjective};
pub use patch_class::PATCH_CLASSES;
pub use random::Random;
pub use reading::TextImage;
pub use scene::{Colour, Limits, Object, Scene, Shape};
pub use skills::{SkillScores, evaluate_skills};
pub use vocabulary::{ADDED_TOKENS, SPECIAL_TOKENS, build_tokenizer, padded_vocab_size};
pub use words::Language;

#[cfg(test)]
mod tests;
