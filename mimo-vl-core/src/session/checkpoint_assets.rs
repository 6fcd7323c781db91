//! The parts of a checkpoint that are not weights.

use std::path::{Path, PathBuf};

use super::load_options::LoadOptions;
use crate::cancel::TaskControl;
use crate::checkpoint::Checkpoint;
use crate::config::{CheckpointFiles, GenerationConfig, ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
#[cfg(feature = "hub")]
use crate::hub;
use crate::prompt::{ChatTemplate, Tokenizer};

/// Default maximum context: that of the published weights' training.
const TRAINED_CONTEXT: usize = 32_768;

/// Tokenizer, chat template and preprocessing of a checkpoint, which transformers' `AutoProcessor` loads.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessorAssets {
    /// Folder of the checkpoint.
    pub directory: PathBuf,
    /// Conversion of images and videos into patches.
    pub preprocess: PreprocessConfig,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The chat template.
    pub template: ChatTemplate,
}

impl ProcessorAssets {
    /// Loads the assets of anything that [`Model::load`](super::Model::load) takes, and of a folder that has neither
    /// weights nor `config.json`. A repository of the hub that is not in the cache is downloaded with its weights.
    ///
    /// # Errors
    /// Those of [`Model::load`](super::Model::load) that do not concern `config.json`, tensors, memory and devices.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let control = options.call.start();
        control.check()?;
        let downloaded = resolve_repository(path.as_ref(), options, &control)?;
        Self::new(checkpoint_files(downloaded.as_deref().unwrap_or(path.as_ref()))?.0)
    }

    fn new(files: CheckpointFiles) -> Result<Self> {
        let directory = files.directory().to_path_buf();
        let preprocess = PreprocessConfig::load(files.clone())?;
        let tokenizer = Tokenizer::load(files.clone())?;
        let template = ChatTemplate::load(files)?;
        Ok(Self { directory, preprocess, tokenizer, template })
    }
}

/// The parts of a checkpoint that are not weights: configuration, tokenizer and chat template.
pub(super) struct CheckpointAssets {
    pub(super) config: ModelConfig,
    /// Defaults of `generation_config.json`.
    pub(super) generation: GenerationConfig,
    pub(super) processor: ProcessorAssets,
}

impl CheckpointAssets {
    /// The assets in the folder or GGUF file `path`, and the opened checkpoint if it is a GGUF file.
    pub(super) fn open(path: &Path, options: &LoadOptions) -> Result<(Self, Option<Checkpoint>)> {
        let (files, gguf) = checkpoint_files(path)?;
        Ok((Self::new(files, options)?, gguf))
    }

    pub(super) fn new(files: CheckpointFiles, options: &LoadOptions) -> Result<Self> {
        let config = ModelConfig::load(files.clone())?;
        let max_tokens = max_context(options, &config)?;
        let generation = GenerationConfig::load(files.clone())?;
        let mut processor = ProcessorAssets::new(files)?;
        processor.preprocess.max_tokens = max_tokens;
        check_tokens(&processor.tokenizer, &config)
            .map_err(|reason| Error::checkpoint(processor.directory.join("tokenizer.json"), reason))?;
        Ok(Self { config, generation, processor })
    }
}

/// The files beside the weights in the folder or GGUF file `path`, and the opened checkpoint if it is a GGUF file.
fn checkpoint_files(path: &Path) -> Result<(CheckpointFiles, Option<Checkpoint>)> {
    let gguf = Checkpoint::open_gguf(path)?;
    let directory = gguf.as_ref().map_or(path, Checkpoint::directory);
    let from_metadata = gguf.as_ref().map(|gguf| gguf.metadata_files().to_vec()).unwrap_or_default();
    Ok((CheckpointFiles::new(directory, from_metadata), gguf))
}

/// Downloads a checkpoint that is named by its repository and returns its directory; `None` for a path.
#[cfg(feature = "hub")]
pub(super) fn resolve_repository(path: &Path, options: &LoadOptions, control: &TaskControl) -> Result<Option<PathBuf>> {
    let id = path.to_str().filter(|id| !path.exists() && hub::is_repo_id(id));
    let downloaded = id.map(|id| hub::download(id, &options.hub, control)).transpose();
    downloaded.map_err(|error| match error {
        Error::Hub { what, reason } => {
            Error::Hub { what, reason: format!("{reason}; and there is no folder {}", path.display()) }
        }
        other => other,
    })
}

#[cfg(not(feature = "hub"))]
pub(super) fn resolve_repository(
    _path: &Path,
    _options: &LoadOptions,
    _control: &TaskControl,
) -> Result<Option<PathBuf>> {
    Ok(None)
}

fn max_context(options: &LoadOptions, config: &ModelConfig) -> Result<usize> {
    let claimed = config.text.max_position_embeddings;
    match options.max_context {
        None => Ok(claimed.min(TRAINED_CONTEXT)),
        Some(tokens) if (1..=claimed).contains(&tokens) => Ok(tokens),
        Some(tokens) => {
            let reason = format!("{tokens} tokens; it must lie between 1 and the checkpoint's {claimed}");
            Err(Error::option("max_context", reason))
        }
    }
}

/// Checks that the tokenizer and `config.json` agree on the media tokens and the vocabulary.
fn check_tokens(tokenizer: &Tokenizer, config: &ModelConfig) -> Result<(), String> {
    let tokens = &config.tokens;
    let pairs = [
        ("<|image_pad|>", "image_token_id", tokens.image),
        ("<|video_pad|>", "video_token_id", tokens.video),
        ("<|vision_start|>", "vision_start_token_id", tokens.vision_start),
        ("<|vision_end|>", "vision_end_token_id", tokens.vision_end),
    ];
    for (token, field, id) in pairs {
        match tokenizer.token_id(token) {
            Some(found) if found == id => {}
            Some(found) => return Err(format!("{token} is token {found}, and {field} of config.json is {id}")),
            None => return Err(format!("{token} is missing; config.json names it as token {id}")),
        }
    }
    let (tokens, rows) = (tokenizer.vocab_size(), config.text.vocab_size);
    if tokens > rows {
        return Err(format!("{tokens} tokens, and vocab_size of config.json is {rows}"));
    }
    Ok(())
}
