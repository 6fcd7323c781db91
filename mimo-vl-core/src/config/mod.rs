//! The checkpoint's own JSON files, read into typed and validated values, and the roles of the model's tensors.
//!
//! A value in a file takes precedence; an absent key falls back to the value of MiMo-VL-7B.

mod generation;
mod model;
mod preprocess;
mod tensor_role;

pub use generation::GenerationConfig;
pub use model::{MediaTokenIds, ModelConfig, TextConfig, VisionConfig};
pub use preprocess::PreprocessConfig;
pub use tensor_role::{AttentionPart, Component, MlpPart, NormPart, ProjectorPart, TensorRole, VisionAttentionPart};

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files of a checkpoint that hold no weights: those of a directory, and the fallbacks for files that are missing
/// there.
#[derive(Debug, Clone)]
pub struct CheckpointFiles {
    directory: PathBuf,
    fallbacks: Vec<(&'static str, String)>,
}

impl CheckpointFiles {
    /// The files of `directory`; where one is missing, the text in `fallbacks` with its name.
    pub fn new(directory: impl AsRef<Path>, fallbacks: Vec<(&'static str, String)>) -> Self {
        Self { directory: directory.as_ref().to_path_buf(), fallbacks }
    }

    /// The directory of the files.
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
                Ok(self.fallbacks.iter().find(|(name, _)| *name == file).map(|(_, text)| text.clone()))
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

/// Reads a file as JSON; `None` when there is no such file.
fn read_json<T: serde::de::DeserializeOwned>(files: &CheckpointFiles, file: &str) -> Result<Option<T>> {
    let path = files.directory().join(file);
    let Some(text) = files.read(file)? else { return Ok(None) };
    // Deserialization would accept a list as the values of a struct without keys.
    if text.trim_start().starts_with('[') {
        return Err(Error::checkpoint(path, "a list; it must be a JSON object"));
    }
    serde_json::from_str(&text).map(Some).map_err(|error| Error::checkpoint(path, error.to_string()))
}
