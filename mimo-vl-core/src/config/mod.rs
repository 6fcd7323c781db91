//! The checkpoint's own JSON files, read into typed and validated values.
//!
//! A value that a file states always wins; a key that is absent falls back to MiMo-VL-7B's value.

mod generation;
mod model;
mod preprocess;

pub use generation::GenerationConfig;
pub use model::{MediaTokenIds, ModelConfig, TextConfig, VisionConfig};
pub use preprocess::PreprocessConfig;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files of a checkpoint that hold no weights: those of a directory, and the texts that stand for files which are
/// missing there.
#[derive(Debug, Clone)]
pub struct CheckpointFiles {
    directory: PathBuf,
    others: Vec<(&'static str, String)>,
}

impl CheckpointFiles {
    /// The files of a directory; where one is missing, the text that `others` has under its name.
    pub fn new(directory: impl AsRef<Path>, others: Vec<(&'static str, String)>) -> Self {
        Self { directory: directory.as_ref().to_path_buf(), others }
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The contents of `file`; `None` when there is no such file.
    ///
    /// # Errors
    /// [`Error::Io`] when it cannot be read.
    pub fn read(&self, file: &str) -> Result<Option<String>> {
        let path = self.directory.join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(self.others.iter().find(|(name, _)| *name == file).map(|(_, text)| text.clone()))
            }
            Err(error) => Err(Error::io(path, error)),
        }
    }
}

impl<P: AsRef<Path>> From<P> for CheckpointFiles {
    fn from(directory: P) -> Self {
        Self::new(directory, Vec::new())
    }
}

/// Read a file as JSON; `None` when there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(texts: &CheckpointFiles, file: &str) -> Result<Option<T>> {
    let path = texts.directory().join(file);
    let Some(text) = texts.read(file)? else { return Ok(None) };
    // A list would be read as values without keys.
    if text.trim_start().starts_with('[') {
        return Err(Error::checkpoint(path, "a list; it must be a JSON object"));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| Error::checkpoint(path, error.to_string()))
}
