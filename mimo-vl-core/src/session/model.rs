//! A model that is loaded once and shared by all its sessions.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::feature_cache::FeatureCache;
use crate::cancel::{CallOptions, TaskControl, call_setters};
use crate::checkpoint::{Checkpoint, QuantizationReport, QuantizedWriter, WeightFormat};
use crate::config::{CheckpointFiles, GenerationConfig, ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
#[cfg(feature = "hub")]
use crate::hub::{self, HubOptions};
use crate::model::{Engine, EngineOptions, KvCacheDtype, load_engine};
use crate::prompt::{ChatTemplate, ThinkingStyle, Tokenizer};
use crate::sampling::Vocabulary;

/// Longest context without [`LoadOptions::max_context`]: what the published weights were trained with.
const TRAINED_CONTEXT: usize = 32_768;

/// Bytes of features that are kept without [`LoadOptions::feature_cache`].
const FEATURE_CACHE: u64 = 256 << 20;

/// CachedPrefix that end an answer whatever the checkpoint's files say.
const EOS_NAMES: [&str; 2] = ["<|im_end|>", "<|endoftext|>"];

/// CachedPrefix that frame media and that no answer may contain, beside those that `config.json` names.
const VISION_PAD: &str = "<|vision_pad|>";

/// How to load a model.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// `cpu`, `ndarray` or `cuda:N`. Default `cpu`.
    pub device: String,
    /// The number format of the weights. Default: as stored.
    pub weights: WeightFormat,
    /// Most tokens of a conversation with its answer; `None` takes the smaller of 32,768 and what the checkpoint
    /// claims. Default `None`.
    pub max_context: Option<usize>,
    /// The number format of cached keys and values; `None` takes f16 for weights of four or eight bits, else f32.
    /// Default `None`.
    pub kv_cache_dtype: Option<KvCacheDtype>,
    /// Threads of this library's kernels on the device `cpu`, and of rounding, 1 to 1,024; `None` takes one for each
    /// physical core. What Burn computes beside them has threads of its own. Default `None`.
    pub threads: Option<usize>,
    /// How the model is told to think or not to; `None` goes by the name of the checkpoint's folder. Default `None`.
    pub thinking_style: Option<ThinkingStyle>,
    /// Most bytes of features of pictures and videos that are kept for questions about the same ones in other sessions; 0
    /// keeps none. A token has 16 KiB. Default 256 MiB.
    pub feature_cache: u64,
    /// Where a checkpoint comes from that is named by its repository.
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
            feature_cache: FEATURE_CACHE,
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

    /// Set [`LoadOptions::device`](#structfield.device).
    #[must_use]
    pub fn device(mut self, device: impl Into<String>) -> Self {
        self.device = device.into();
        self
    }

    /// Set [`LoadOptions::weights`](#structfield.weights).
    #[must_use]
    pub fn weights(mut self, weights: WeightFormat) -> Self {
        self.weights = weights;
        self
    }

    /// Set [`LoadOptions::max_context`](#structfield.max_context).
    #[must_use]
    pub fn max_context(mut self, tokens: usize) -> Self {
        self.max_context = Some(tokens);
        self
    }

    /// Set [`LoadOptions::kv_cache_dtype`](#structfield.kv_cache_dtype).
    #[must_use]
    pub fn kv_cache_dtype(mut self, kv_cache_dtype: KvCacheDtype) -> Self {
        self.kv_cache_dtype = Some(kv_cache_dtype);
        self
    }

    /// Set [`LoadOptions::threads`](#structfield.threads).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Set [`LoadOptions::feature_cache`](#structfield.feature_cache).
    #[must_use]
    pub fn feature_cache(mut self, bytes: u64) -> Self {
        self.feature_cache = bytes;
        self
    }

    /// Set [`LoadOptions::hub`](#structfield.hub).
    #[cfg(feature = "hub")]
    #[must_use]
    pub fn hub(mut self, options: HubOptions) -> Self {
        self.hub = options;
        self
    }

    call_setters!();

    /// Set [`LoadOptions::thinking_style`](#structfield.thinking_style).
    #[must_use]
    pub fn thinking_style(mut self, style: ThinkingStyle) -> Self {
        self.thinking_style = Some(style);
        self
    }
}

/// A loaded model with its tokenizer and chat template. Clones share it, and threads may.
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
    report: Option<QuantizationReport>,
    eos: Vec<u32>,
    suppressed: Vec<u32>,
    max_context: usize,
    thinking_style: ThinkingStyle,
    fingerprint: String,
    features: FeatureCache,
    /// Prepared when the first grammar asks for it.
    vocabulary: OnceLock<Vocabulary>,
    load_time: Duration,
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
    /// Load a checkpoint directory in the layout of the hub, or one that [`quantize`](super::quantize) wrote: `config.json`, safetensors with or without an index,
    /// `tokenizer.json`, a chat template, and optionally `generation_config.json` and `preprocessor_config.json`.
    ///
    /// Or load GGUF files: the one of the language model, with the one of the vision tower beside it (`mmproj` is in
    /// its name), or their folder. Of the other files, those in the same folder go before what the metadata has.
    ///
    /// With the feature `hub`, the id of a repository on the hub (`XiaomiMiMo/MiMo-VL-7B-RL-2508`), if there is no such
    /// path: what is missing of it is downloaded into the hub's cache.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory or a file cannot be assets, [`Error::Checkpoint`] when a file is missing, broken
    /// or does not fit the others, [`Error::Tensor`] when a tensor is missing or misshapen, [`Error::Device`] when
    /// the device cannot be used, [`Error::Memory`] when the weights do not fit, [`Error::Option`] when an option is out
    /// of its range or the checkpoint is rounded to other weights, [`Error::Hub`] when it cannot be had from the hub.
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self> {
        Self::load_writing(path.as_ref(), options, &options.call.start(), None)
    }

    /// Load a checkpoint, and write what is rounded where a writer is given.
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
        let fingerprint = format!("{} {}", checkpoint.fingerprint(), weights.name());
        let report = checkpoint.quantization_report().cloned();
        Ok(Self::new(path, options, assets, engine, (report, fingerprint), start))
    }

    /// A model whose network is the caller's own: of a checkpoint directory everything but the weights is assets.
    ///
    /// For programs that run the network elsewhere, and for tests that script what it says.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) that do not concern tensors, memory and devices.
    pub fn with_engine(path: impl AsRef<Path>, options: &LoadOptions, engine: Box<dyn Engine>) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        let assets = CheckpointAssets::new(CheckpointFiles::new(path, Vec::new()), options)?;
        Ok(Self::new(path, options, assets, engine, (None, String::new()), start))
    }

    fn new(
        path: &Path,
        options: &LoadOptions,
        assets: CheckpointAssets,
        engine: Box<dyn Engine>,
        (report, fingerprint): (Option<QuantizationReport>, String),
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
            report,
            thinking_style: style,
            fingerprint,
            features: FeatureCache::new(options.feature_cache),
            vocabulary: OnceLock::new(),
            load_time: start.elapsed(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The device, as it was asked for.
    pub fn device(&self) -> &str {
        &self.inner.device
    }

    /// The directory that the model was loaded from.
    pub fn directory(&self) -> &Path {
        &self.inner.directory
    }

    /// What the checkpoint says of itself when [`quantize`](super::quantize) wrote it.
    pub fn quantization_report(&self) -> Option<&QuantizationReport> {
        self.inner.report.as_ref()
    }

    /// The shapes of the model.
    pub fn config(&self) -> &ModelConfig {
        self.inner.engine.config()
    }

    /// Most tokens of a conversation with its answer.
    pub fn max_context(&self) -> usize {
        self.inner.max_context
    }

    /// How the model is told to think or not to.
    pub fn thinking_style(&self) -> ThinkingStyle {
        self.inner.thinking_style
    }

    /// Whether both are clones of one.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// What is kept of pictures and videos.
    pub(super) fn feature_cache(&self) -> &FeatureCache {
        &self.inner.features
    }

    /// What tells this checkpoint with these weights from others.
    pub fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    /// Bytes of features of pictures and videos that are kept for all sessions.
    pub fn feature_bytes(&self) -> u64 {
        self.inner.features.bytes()
    }

    /// The tokens, as grammars need them.
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

    /// How long loading took.
    pub fn load_time(&self) -> Duration {
        self.inner.load_time
    }

    /// The tokens that end an answer.
    pub fn eos_token_ids(&self) -> &[u32] {
        &self.inner.eos
    }

    /// The tokens that no answer contains: those that stand for media or frame them.
    pub fn suppressed_tokens(&self) -> &[u32] {
        &self.inner.suppressed
    }

    /// The network itself, for tools that work below the session.
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

    /// How images and videos become patches.
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

/// The folder of a checkpoint that is named by its repository; `None` for a path.
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

/// The tokenizer and `config.json` come as two files, and a mismatch would put pictures in the wrong places.
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
