//! How good an answer is, by the measures of MiMo-VL's report.
//!
//! Scores lie between 0 and 1, but [`generalized_iou`] goes down to -1. What compares text takes the answer without its thinking.

mod geometry;
mod text;

pub use geometry::{contains, generalized_iou, iou, time_iou};
pub use text::{anls, boxed, choice, count, exact, relaxed};
