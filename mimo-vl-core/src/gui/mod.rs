//! Agents that operate a screen: the twelve actions that MiMo-VL was trained to answer with, the prompt that asks for
//! one, and the way from its pixels to those of a desktop. Nothing here touches an operating system.
//!
//! Coordinates of an [`Action`] are pixels. As parsed they are the model's, of the resized screenshot;
//! [`Action::to_original`] brings them into the screenshot as the caller has it, [`Screen::to_desktop`] onto a desktop.

mod action;
mod kind;
mod screen;
mod task;

pub use action::Action;
pub use kind::{ActionKind, Direction};
pub use screen::{Screen, screen_at, zoom_crop};
pub use task::Task;
