//! Pixels to patches: chooses a size, resizes, cuts into patches.
//!
//! The arithmetic is that of `qwen-vl-utils`, the reference's preprocessing package. Normalisation is left to the vision
//! tower: patches stay 8-bit here, and [`Patches::values`] gives the normalised values.

mod grid;
mod layout;
mod patches;

pub use grid::Grid;
pub use layout::{Layout, image_layout, video_layout};
pub use patches::{Patches, preprocess_image, preprocess_video};
pub(crate) use patches::{preprocess_image_cancellable, preprocess_video_cancellable};
