//! GUI agents: the twelve actions that MiMo-VL was trained to answer with, the prompt that asks for one, and the
//! mapping of its pixels to a desktop. Nothing here touches an operating system.
//!
//! Coordinates of an [`Action`] are pixels. A parsed action is in the model's pixels, those of the resized screenshot;
//! [`Action::to_original`] converts it to the caller's screenshot, and [`Screen::to_desktop`] to a desktop.

mod action;
mod action_kind;
mod direction;
mod screen;
mod task;

pub use action::Action;
pub use action_kind::ActionKind;
pub(crate) use action_kind::Field;
pub use direction::Direction;
pub use screen::{Screen, screen_at, zoom_crop};
pub use task::Task;
