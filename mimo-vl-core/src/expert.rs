//! The stages of the model, for programs that bring their own pixels, tensors, logits or network.
//!
//! The items are grouped by stage, in the order of the data. They are less stable than those at the root of the crate.

// Checkpoints: files, configuration, and named tensors.
pub use crate::checkpoint::{
    Checkpoint, CheckpointSource, FloatType, NamedTensor, QuantizedMatrix, QuantizedWriter, TensorId, TensorKind,
    TensorSource, TensorValues, available_memory, check_memory, read_tensor_file, save_bf16, write_tensor_file,
};
pub use crate::config::{
    AttentionPart, CheckpointFiles, Component, GenerationConfig, MediaTokenIds, MlpPart, NormPart, PreprocessConfig,
    ProjectorPart, TensorRole, TextConfig, VisionAttentionPart, VisionConfig,
};
#[cfg(feature = "hub")]
pub use crate::hub::is_repo_id;

// Text: the chat template and the tokenizer.
pub use crate::prompt::{ChatTemplate, ResolvedPrompt, StreamDecoder, Tokenizer, strip_thinking};

// Pixels: frame sampling, resizing, and patches.
pub use crate::media::{Bicubic, SampledFrames, frame_pixels, media_name, resize, sample_frames, smart_resize};
pub use crate::preprocess::{Grid, Layout, Patches, image_layout, preprocess_image, preprocess_video, video_layout};

// Kernels: the operations of a backend, and quantized matrices.
pub use crate::kernels::{
    Int8Rows, Kernels, Mask, QuantizationError, QuantizedData, QuantizedWeight, SimdLevel, cores, quantize_matrix,
    repack_matrix, rotate_half_matrix,
};
pub use crate::quant::{Bits, Codebook, Divergence, PANEL_ROWS, QuantFormat, quant_format};

// The network: its layers, the vision tower, the language model, and both as one engine on a device.
pub use crate::cancel::TaskControl;
pub use crate::model::{
    Engine, EngineOptions, Features, GatedMlp, KvCache, LanguageModel, Linear, MergedLinear, ModelInput,
    PlaceholderRange, PrefillInput, Projector, RmsNorm, RopeTable, Sequence, Step, VisionLanguageModel, VisionTower,
    WindowOrder, WithBackend, build_input, dispatch, load_engine, merge_embeddings, mrope_table, parameter,
    parameter_id, vision_rope_table, window_order,
};

// Sampling: from logits to tokens.
pub use crate::sampling::{
    GENERATION_OPTIONS, GrammarMatcher, LoopDetector, MAX_DRAFT_TOKENS, OptionKind, OptionSpec, SampledToken, Sampler,
    StopSequences, TokenMask, Vocabulary, prompt_lookup,
};

// Answers: from text to thinking, answer, and regions.
pub use crate::answer::{AnswerParser, RegionParser, json_value_range};

// Generation from token ids, and what bindings to other languages share: the assets of a processor, exclusive use of
// a session, and panics as errors.
pub use crate::error::contain;
pub use crate::session::{ProcessorAssets, SessionGuard, SessionUnavailable, SharedSession, TokenPrompt, generate_ids};
