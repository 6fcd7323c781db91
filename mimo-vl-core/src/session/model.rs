//! A model that is loaded once and shared by all its sessions.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::checkpoint_assets::{CheckpointAssets, ProcessorAssets, resolve_repository};
use super::feature_cache::FeatureCache;
use super::load_options::LoadOptions;
use crate::cancel::{Stage, TaskControl};
use crate::checkpoint::{Checkpoint, QuantizationReport, QuantizedWriter};
use crate::config::{CheckpointFiles, GenerationConfig, ModelConfig, PreprocessConfig};
use crate::error::Result;
use crate::model::{Engine, EngineOptions, KvCacheDtype, load_engine};
use crate::prompt::{ChatTemplate, ThinkingStyle, Tokenizer};
use crate::sampling::Vocabulary;

/// Tokens that end an answer, beside those of the checkpoint's files.
const EOS_NAMES: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// Token that is suppressed in answers beside the media tokens of `config.json`.
const VISION_PAD: &str = "<|vision_pad|>";

/// A loaded model with its tokenizer and chat template. Clones share it, and several threads may use it.
#[derive(Clone)]
pub struct Model {
    inner: Arc<Inner>,
}

struct Inner {
    directory: PathBuf,
    device: String,
    engine: Box<dyn Engine>,
    preprocess: PreprocessConfig,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    eos: Vec<u32>,
    suppressed: Vec<u32>,
    max_context: usize,
    thinking_style: ThinkingStyle,
    identity: Identity,
    features: FeatureCache,
    /// Computed for the first grammar.
    vocabulary: OnceLock<Vocabulary>,
    load_time: Duration,
}

/// Identity of the weights.
#[derive(Default)]
struct Identity {
    fingerprint: String,
    /// Report of the quantization, if [`quantize`](super::quantize) wrote the checkpoint.
    report: Option<QuantizationReport>,
}

impl Model {
    /// Loads a checkpoint. `path` is one of:
    /// - A directory in the layout of the hub, or one that [`quantize`](super::quantize) wrote: `config.json`,
    ///   safetensors with or without an index, `tokenizer.json`, a chat template, and optionally
    ///   `generation_config.json` and `preprocessor_config.json`.
    /// - A GGUF file of the language model, with that of the vision tower beside it (`mmproj` is in its name), or the
    ///   directory of both. Other files in the directory take precedence over the GGUF metadata.
    /// - With the feature `hub`, the id of a repository (`XiaomiMiMo/MiMo-VL-7B-RL-2508`), if the path does not exist.
    ///   Missing files are downloaded into the hub's cache.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory or a file cannot be read; [`Error::Checkpoint`] when a file is missing, invalid
    /// or does not match the others; [`Error::Tensor`] when a tensor is missing or has a wrong shape; [`Error::Device`]
    /// when the device cannot be used; [`Error::Memory`] when the weights do not fit; [`Error::Option`] when an option
    /// is out of its range or the checkpoint is quantized to another format; [`Error::Hub`] when the download fails;
    /// [`Error::Cancelled`] and [`Error::Timeout`] by the call options.
    ///
    /// [`Error::Io`]: crate::error::Error::Io
    /// [`Error::Checkpoint`]: crate::error::Error::Checkpoint
    /// [`Error::Tensor`]: crate::error::Error::Tensor
    /// [`Error::Device`]: crate::error::Error::Device
    /// [`Error::Memory`]: crate::error::Error::Memory
    /// [`Error::Option`]: crate::error::Error::Option
    /// [`Error::Hub`]: crate::error::Error::Hub
    /// [`Error::Cancelled`]: crate::error::Error::Cancelled
    /// [`Error::Timeout`]: crate::error::Error::Timeout
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        Self::load_writing(path.as_ref(), options, &options.call.start(), None)
    }

    /// Loads a checkpoint, and writes the quantized weights if there is a writer.
    pub(super) fn load_writing(
        path: &Path,
        options: &LoadOptions,
        control: &TaskControl,
        writer: Option<&RefCell<QuantizedWriter>>,
    ) -> Result<Self> {
        let downloaded = resolve_repository(path, options, control)?;
        let path = downloaded.as_deref().unwrap_or(path);
        let _span = tracing::info_span!("load", path = %path.display(), device = options.device).entered();
        let start = Instant::now();
        let (assets, gguf) = CheckpointAssets::open(path, options)?;
        let checkpoint = match gguf {
            Some(checkpoint) => checkpoint,
            None => Checkpoint::open(&assets.processor.directory)?,
        };
        let weights = checkpoint.weight_format(options.weights)?;
        let kv_cache_dtype = options.kv_cache_dtype.unwrap_or(match checkpoint.is_quantized(weights) {
            true => KvCacheDtype::F16,
            false => KvCacheDtype::F32,
        });
        let (device, threads) = (options.device.as_str(), options.threads);
        let engine_options = EngineOptions { device, weights, kv_cache_dtype, threads, control, writer };
        let engine = load_engine(&checkpoint, &assets.config, &assets.processor.preprocess, engine_options)?;
        control.step(Stage::Load, checkpoint.bytes(), checkpoint.bytes())?;
        let identity = Identity {
            fingerprint: format!("{} {}", checkpoint.fingerprint(), weights.name()),
            report: checkpoint.quantization_report().cloned(),
        };
        Ok(Self::new(path, options, assets, engine, identity, start))
    }

    /// Creates a model with an engine of the caller. Everything but the weights is read from the checkpoint directory.
    ///
    /// For programs that run the network elsewhere, and for tests with scripted outputs.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) that do not concern tensors, memory and devices.
    pub fn with_engine(path: impl AsRef<Path>, options: &LoadOptions, engine: Box<dyn Engine>) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        options.call.start().check()?;
        let assets = CheckpointAssets::new(CheckpointFiles::new(path, Vec::new()), options)?;
        Ok(Self::new(path, options, assets, engine, Identity::default(), start))
    }

    fn new(
        path: &Path,
        options: &LoadOptions,
        assets: CheckpointAssets,
        engine: Box<dyn Engine>,
        identity: Identity,
        start: Instant,
    ) -> Self {
        let CheckpointAssets { config, generation, processor } = assets;
        let ProcessorAssets { directory, preprocess, tokenizer, template } = processor;
        let style = options.thinking_style.unwrap_or_else(|| ThinkingStyle::for_checkpoint(&path.to_string_lossy()));
        let inner = Inner {
            directory,
            device: options.device.clone(),
            eos: eos_token_ids(&tokenizer, &config, &generation),
            suppressed: suppressed_tokens(&tokenizer, &config),
            engine,
            max_context: preprocess.max_tokens,
            preprocess,
            tokenizer,
            template,
            thinking_style: style,
            identity,
            features: FeatureCache::new(options.feature_cache),
            vocabulary: OnceLock::new(),
            load_time: start.elapsed(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The device, as named in the options.
    pub fn device(&self) -> &str {
        &self.inner.device
    }

    /// The directory that the model was loaded from.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// Report of the quantization, if [`quantize`](super::quantize) wrote the checkpoint.
    pub fn quantization_report(&self) -> Option<&QuantizationReport> {
        self.inner.identity.report.as_ref()
    }

    /// The shapes of the model.
    pub fn config(&self) -> &ModelConfig {
        self.inner.engine.config()
    }

    /// Maximum tokens of a conversation with its answer.
    pub fn max_context(&self) -> usize {
        self.inner.max_context
    }

    /// Directives by which the thinking is switched on or off.
    pub fn thinking_style(&self) -> ThinkingStyle {
        self.inner.thinking_style
    }

    /// True if both are clones of one model.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// The features that all sessions share.
    pub(super) fn feature_cache(&self) -> &FeatureCache {
        &self.inner.features
    }

    /// Fingerprint of the checkpoint and its weight format. A saved session loads only into a model with the same one.
    pub fn fingerprint(&self) -> &str {
        &self.inner.identity.fingerprint
    }

    /// Bytes of the cached features of images and videos.
    pub fn feature_bytes(&self) -> u64 {
        self.inner.features.bytes()
    }

    /// Vocabulary for grammars.
    pub(super) fn vocabulary(&self) -> Result<&Vocabulary> {
        if let Some(vocabulary) = self.inner.vocabulary.get() {
            return Ok(vocabulary);
        }
        let tokenizer = self.inner.tokenizer.clone();
        let tags = ["<think>", "</think>"].map(|tag| tokenizer.token_id(tag));
        let words = (0..self.config().text.vocab_size as u32).map(|id| match tags.contains(&Some(id)) {
            true => Vec::new(),
            false => tokenizer.token_bytes(id).to_vec(),
        });
        let words = words.collect();
        let tokenize = Arc::new(move |text: &str| tokenizer.encode_text(text).unwrap_or_default());
        let vocabulary = Vocabulary::new(words, &self.inner.eos, tokenize)?;
        Ok(self.inner.vocabulary.get_or_init(|| vocabulary))
    }

    /// Time that loading took.
    pub fn load_time(&self) -> Duration {
        self.inner.load_time
    }

    /// The tokens that end an answer.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.inner.eos
    }

    /// The tokens that are suppressed in answers: placeholders of media and the tokens around them.
    pub fn suppressed_tokens(&self) -> &[u32] {
        &self.inner.suppressed
    }

    /// The engine, for programs that work below the session.
    pub fn engine(&self) -> &dyn Engine {
        &*self.inner.engine
    }

    /// The checkpoint's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// The checkpoint's chat template.
    pub fn template(&self) -> &ChatTemplate {
        &self.inner.template
    }

    /// Preprocessing of images and videos.
    pub fn preprocess_config(&self) -> &PreprocessConfig {
        &self.inner.preprocess
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("directory", &self.inner.directory)
            .field("device", &self.inner.device)
            .field("max_context", &self.inner.max_context)
            .finish_non_exhaustive()
    }
}

fn eos_token_ids(tokenizer: &Tokenizer, config: &ModelConfig, generation: &GenerationConfig) -> Vec<u32> {
    let named = generation.eos_token_ids.iter().chain(&config.eos_token_ids).copied();
    sorted_unique(named.chain(EOS_NAMES.iter().filter_map(|token| tokenizer.token_id(token))))
}

fn suppressed_tokens(tokenizer: &Tokenizer, config: &ModelConfig) -> Vec<u32> {
    let tokens = &config.tokens;
    let named = [tokens.image, tokens.video, tokens.vision_start, tokens.vision_end];
    sorted_unique(named.into_iter().chain(tokenizer.token_id(VISION_PAD)))
}

fn sorted_unique(ids: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut ids: Vec<u32> = ids.collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
