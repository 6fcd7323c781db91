//! The stages of the model one by one, for programs that bring their own pixels, tensors, logits or network.
//!
//! In the order of the data: files of a checkpoint, text, pixels, the network and its kernels, tokens, answers. Less
//! stable than the names at the root of the crate.

pub use crate::answer::{AnswerParser, RegionParser, json_value_range};
pub use crate::cancel::TaskControl;
pub use crate::checkpoint::{
    Checkpoint, CheckpointSource, FloatType, NamedTensor, QuantizedMatrix, QuantizedWriter, TensorId, TensorKind,
    TensorSource, TensorValues, available_memory, check_memory, read_tensor_file, save_bf16, write_tensor_file,
};
pub use crate::config::{
    AttentionPart, CheckpointFiles, Component, GenerationConfig, MediaTokenIds, MlpPart, NormPart, PreprocessConfig,
    ProjectorPart, TensorRole, TextConfig, VisionAttentionPart, VisionConfig,
};
pub use crate::error::panic_message;
#[cfg(feature = "hub")]
pub use crate::hub::is_repo_id;
pub use crate::kernels::{
    Int8Rows, Kernels, Mask, QuantizationError, QuantizedData, QuantizedWeight, SimdLevel, cores, quantize_matrix,
    repack_matrix, rotate_half_matrix,
};
pub use crate::media::{Bicubic, SampledFrames, frame_pixels, resize, sample_frames, smart_resize};
pub use crate::model::{
    Engine, EngineOptions, Features, GatedMlp, KvCache, LanguageModel, Linear, MergedLinear, ModelInput,
    PlaceholderRange, PrefillInput, Projector, RmsNorm, RopeTable, Sequence, Step, VisionLanguageModel, VisionTower,
    WindowOrder, WithBackend, build_input, dispatch, load_engine, merge_embeddings, mrope_table, parameter,
    parameter_id, vision_rope_table, window_order,
};
pub use crate::preprocess::{Grid, Layout, Patches, image_layout, preprocess_image, preprocess_video, video_layout};
pub use crate::prompt::{ChatTemplate, StreamDecoder, Tokenizer, strip_thinking};
pub use crate::quant::{Bits, Codebook, Divergence, PANEL_ROWS, QuantFormat, quant_format};
pub use crate::sampling::{
    GENERATION_OPTIONS, GrammarMatcher, LoopDetector, MAX_DRAFT_TOKENS, OptionKind, OptionSpec, SampledToken, Sampler,
    StopSequences, TokenMask, Vocabulary, prompt_lookup,
};
pub use crate::session::{
    CheckpointAssets, SessionGuard, SessionUnavailable, SharedSession, TokenPrompt, generate_ids,
};
