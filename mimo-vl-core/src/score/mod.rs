//! The metrics of MiMo-VL's technical report.
//!
//! Scores are between 0 and 1, except [`generalized_iou`], which is between -1 and 1. Metrics of text expect the answer
//! without its thinking.

mod geometry;
mod text;

pub use geometry::{contains, generalized_iou, iou, time_iou};
pub use text::{anls, boxed, choice, count, exact, relaxed};
