//! Pixels to patches: chooses a size, resizes, and splits into patches.
//!
//! The arithmetic is that of `qwen-vl-utils`, the preprocessing package of the reference. Normalisation is left to the
//! vision tower: patches are 8-bit here, and [`Patches::values`] returns normalised values.

mod grid;
mod layout;
mod patches;

pub use grid::Grid;
pub use layout::{Layout, image_layout, video_layout};
pub use patches::{Patches, preprocess_image, preprocess_video};
pub(crate) use patches::{preprocess_image_cancellable, preprocess_video_cancellable};
