//! `generation_config.json`: the tokens that end an answer.

use serde::Deserialize;

use super::{CheckpointFiles, read_json};
use crate::error::Result;

/// The checkpoint's settings for generation.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct GenerationConfig {
    /// Tokens that end an answer, in the order of the file.
    pub eos_token_ids: Vec<u32>,
}

#[derive(Deserialize)]
struct RawGenerationConfig {
    #[serde(default)]
    eos_token_id: Option<OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

impl GenerationConfig {
    /// Reads `generation_config.json` of a checkpoint directory; an absent file gives the defaults.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) when the file cannot be read,
    /// [`Error::Checkpoint`](crate::error::Error::Checkpoint) when it is not valid.
    pub fn load(files: impl Into<CheckpointFiles>) -> Result<Self> {
        let files = files.into();
        let raw: Option<RawGenerationConfig> = read_json(&files, "generation_config.json")?;
        let eos_token_ids = match raw.and_then(|raw| raw.eos_token_id) {
            Some(OneOrMany::One(id)) => vec![id],
            Some(OneOrMany::Many(ids)) => ids,
            None => Vec::new(),
        };
        Ok(Self { eos_token_ids })
    }
}
