//! Layers shared by the vision tower and the language model.

mod linear;
mod mlp;
mod norm;
mod parameter;
mod rope;

pub use linear::{Linear, MergedLinear};
pub use mlp::GatedMlp;
pub use norm::RmsNorm;
pub use parameter::{parameter, parameter_id};
pub use rope::{RopeTable, mrope_table, vision_rope_table};
