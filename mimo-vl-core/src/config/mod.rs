//! The checkpoint's own JSON files, read into typed and validated values.
//!
//! A value that a file states always wins; a key that is absent falls back to MiMo-VL-7B's value.

mod generation;
mod model;
mod preprocess;

pub use generation::GenerationConfig;
pub use model::{ModelConfig, SpecialTokens, TextConfig, VisionConfig};
pub use preprocess::PreprocessConfig;

use std::path::Path;

use crate::error::{Error, Result};

/// Read `directory/file` as JSON; `None` when there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(directory: &Path, file: &str) -> Result<Option<T>> {
    let path = directory.join(file);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io(path, error)),
    };
    // A list would be read as values without keys.
    if text.trim_start().starts_with('[') {
        return Err(Error::checkpoint(path, "a list; it must be a JSON object"));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| Error::checkpoint(path, error.to_string()))
}
