//! Options for loading a model.

use crate::cancel::{CallOptions, call_setters};
use crate::checkpoint::WeightFormat;
#[cfg(feature = "hub")]
use crate::hub::HubOptions;
use crate::model::KvCacheDtype;
use crate::prompt::ThinkingStyle;

/// Default size of the feature cache in bytes.
const FEATURE_CACHE_BYTES: u64 = 256 << 20;

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
