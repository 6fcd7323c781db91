//! The vision tower: patches to features.

mod block;
mod tower;
mod windows;

pub use tower::VisionTower;
pub use windows::{WindowOrder, window_order};
