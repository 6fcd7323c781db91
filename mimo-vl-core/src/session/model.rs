//! A model that is loaded once and shared by all its sessions.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::feature_cache::FeatureCache;
use crate::cancel::{CallOptions, Stage, TaskControl, call_setters};
use crate::checkpoint::{Checkpoint, QuantizationReport, QuantizedWriter, WeightFormat};
use crate::config::{CheckpointFiles, GenerationConfig, ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
#[cfg(feature = "hub")]
use crate::hub::{self, HubOptions};
use crate::model::{Engine, EngineOptions, KvCacheDtype, load_engine};
use crate::prompt::{ChatTemplate, ThinkingStyle, Tokenizer};
use crate::sampling::Vocabulary;

/// Default maximum context: that of the published weights' training.
const TRAINED_CONTEXT: usize = 32_768;

/// Default size of the feature cache in bytes.
const FEATURE_CACHE_BYTES: u64 = 256 << 20;

/// Tokens that end an answer, beside those of the checkpoint's files.
const EOS_NAMES: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// Token that is suppressed in answers beside the media tokens of `config.json`.
const VISION_PAD: &str = "<|vision_pad|>";

/// Options for loading a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// Device: `cpu`, `ndarray` or `cuda:N`. Default `cpu`.
    pub device: String,
    /// Number format of the weights. Default: as stored.
    pub weights: WeightFormat,
    /// Maximum tokens of a conversation with its answer, from 1 to the checkpoint's maximum. Default `None`: the
    /// smaller of 32,768 and the checkpoint's maximum.
    pub max_context: Option<usize>,
    /// Number format of the KV cache. Default `None`: f16 for quantized weights, else f32.
    pub kv_cache_dtype: Option<KvCacheDtype>,
    /// Threads of this library's kernels on the device `cpu`, and of quantization, 1 to 1,024. Burn's operations beside
    /// them have threads of their own. Default `None`: one per physical core.
    pub threads: Option<usize>,
    /// Directives that switch the checkpoint's thinking on or off. Default `None`: by the name of the checkpoint.
    pub thinking_style: Option<ThinkingStyle>,
    /// Maximum bytes of cached features, which sessions reuse for the same images and videos; 0 turns the cache off. A
    /// token has 16 KiB. Default 256 MiB.
    pub feature_cache: u64,
    /// Options for checkpoints that are named by their repository.
    #[cfg(feature = "hub")]
    pub hub: HubOptions,
    /// Cancellation, time limit and progress, in bytes, of each call with these options.
    pub call: CallOptions,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            device: "cpu".to_owned(),
            weights: WeightFormat::default(),
            max_context: None,
            kv_cache_dtype: None,
            threads: None,
            thinking_style: None,
            feature_cache: FEATURE_CACHE_BYTES,
            #[cfg(feature = "hub")]
            hub: HubOptions::new(),
            call: CallOptions::new(),
        }
    }
}

impl LoadOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`LoadOptions::device`](#structfield.device).
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// Sets [`LoadOptions::weights`](#structfield.weights).
    #[must_use]
    pub fn weights(mut self, weights: WeightFormat) -> Self {
        self.weights = weights;
        self
    }

    /// Sets [`LoadOptions::max_context`](#structfield.max_context).
    #[must_use]
    pub fn max_context(mut self, tokens: usize) -> Self {
        self.max_context = Some(tokens);
        self
    }

    /// Sets [`LoadOptions::kv_cache_dtype`](#structfield.kv_cache_dtype).
    #[must_use]
    pub fn kv_cache_dtype(mut self, kv_cache_dtype: KvCacheDtype) -> Self {
        self.kv_cache_dtype = Some(kv_cache_dtype);
        self
    }

    /// Sets [`LoadOptions::threads`](#structfield.threads).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets [`LoadOptions::feature_cache`](#structfield.feature_cache).
    #[must_use]
    pub fn feature_cache(mut self, bytes: u64) -> Self {
        self.feature_cache = bytes;
        self
    }

    /// Sets [`LoadOptions::hub`](#structfield.hub).
    #[cfg(feature = "hub")]
    #[must_use]
    pub fn hub(mut self, options: HubOptions) -> Self {
        self.hub = options;
        self
    }

    call_setters!();

    /// Sets [`LoadOptions::thinking_style`](#structfield.thinking_style).
    #[must_use]
    pub fn thinking_style(mut self, style: ThinkingStyle) -> Self {
        self.thinking_style = Some(style);
        self
    }
}

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

/// The parts of a checkpoint that are not weights: configuration, tokenizer and chat template.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CheckpointAssets {
    /// Folder of the checkpoint.
    pub directory: PathBuf,
    /// Shapes of the model.
    pub config: ModelConfig,
    /// Conversion of images and videos into patches.
    pub preprocess: PreprocessConfig,
    /// Defaults of `generation_config.json`.
    pub generation: GenerationConfig,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// The chat template.
    pub template: ChatTemplate,
}

impl CheckpointAssets {
    /// Loads the assets of anything that [`Model::load`] takes. A repository of the hub that is not in the cache is
    /// downloaded with its weights.
    ///
    /// # Errors
    /// Those of [`Model::load`] that do not concern tensors, memory and devices.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        let downloaded = resolve_repository(path.as_ref(), options)?;
        Ok(Self::open(downloaded.as_deref().unwrap_or(path.as_ref()), options)?.0)
    }

    /// The assets in the folder or GGUF file `path`, and the opened checkpoint if it is a GGUF file.
    fn open(path: &Path, options: &LoadOptions) -> Result<(Self, Option<Checkpoint>)> {
        let gguf = Checkpoint::open_gguf(path)?;
        let directory = gguf.as_ref().map_or(path, Checkpoint::directory);
        let from_metadata = gguf.as_ref().map(|gguf| gguf.metadata_files().to_vec()).unwrap_or_default();
        Ok((Self::new(CheckpointFiles::new(directory, from_metadata), options)?, gguf))
    }

    fn new(files: CheckpointFiles, options: &LoadOptions) -> Result<Self> {
        let directory = files.directory().to_path_buf();
        let config = ModelConfig::load(files.clone())?;
        let mut preprocess = PreprocessConfig::load(files.clone())?;
        preprocess.max_tokens = max_context(options, &config)?;
        let generation = GenerationConfig::load(files.clone())?;
        let tokenizer = Tokenizer::load(files.clone())?;
        check_tokens(&tokenizer, &config)
            .map_err(|reason| Error::checkpoint(directory.join("tokenizer.json"), reason))?;
        let template = ChatTemplate::load(files)?;
        Ok(Self { directory, config, preprocess, generation, tokenizer, template })
    }
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
        let downloaded = resolve_repository(path, options)?;
        let path = downloaded.as_deref().unwrap_or(path);
        let _span = tracing::info_span!("load", path = %path.display(), device = options.device).entered();
        let start = Instant::now();
        let (assets, gguf) = CheckpointAssets::open(path, options)?;
        let checkpoint = match gguf {
            Some(checkpoint) => checkpoint,
            None => Checkpoint::open(&assets.directory)?,
        };
        let weights = checkpoint.weight_format(options.weights)?;
        let kv_cache_dtype = options.kv_cache_dtype.unwrap_or(match checkpoint.is_quantized(weights) {
            true => KvCacheDtype::F16,
            false => KvCacheDtype::F32,
        });
        let (device, threads) = (options.device.as_str(), options.threads);
        let engine_options = EngineOptions { device, weights, kv_cache_dtype, threads, control, writer };
        let engine = load_engine(&checkpoint, &assets.config, &assets.preprocess, engine_options)?;
        control.report(Stage::Load, checkpoint.bytes(), checkpoint.bytes());
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
        let CheckpointAssets { directory, config, preprocess, generation, tokenizer, template } = assets;
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

/// Downloads a checkpoint that is named by its repository and returns its directory; `None` for a path.
#[cfg(feature = "hub")]
fn resolve_repository(path: &Path, options: &LoadOptions) -> Result<Option<PathBuf>> {
    let id = path.to_str().filter(|id| !path.exists() && hub::is_repo_id(id));
    let downloaded = id.map(|id| hub::snapshot_download(id, &options.hub, &options.call)).transpose();
    downloaded.map_err(|error| match error {
        Error::Hub { what, reason } => {
            Error::Hub { what, reason: format!("{reason}; and there is no folder {}", path.display()) }
        }
        other => other,
    })
}

#[cfg(not(feature = "hub"))]
fn resolve_repository(_path: &Path, _options: &LoadOptions) -> Result<Option<PathBuf>> {
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
