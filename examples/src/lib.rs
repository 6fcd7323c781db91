//! Modules that the example programs share.

pub mod evaluation;
pub mod parity;
pub mod progress;
pub mod shapes;

use std::path::PathBuf;

/// The checkpoint that ships with the examples.
pub fn tiny_model() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/models/mimo-vl-tiny"))
}
