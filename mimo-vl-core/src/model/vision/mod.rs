//! The vision tower, which encodes patches into features.

mod block;
mod tower;
mod windows;

pub use tower::VisionTower;
pub use windows::{WindowOrder, window_order};
