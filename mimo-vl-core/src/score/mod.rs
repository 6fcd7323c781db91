//! How good an answer is, by the measures of MiMo-VL's report.
//!
//! Scores lie between 0 and 1, but [`generalized_iou`] goes down to -1. What compares texts takes the answer without its thinking.

mod places;
mod texts;

pub use places::{contains, generalized_iou, iou, time_iou};
pub use texts::{anls, boxed, choice, count, exact, relaxed};
