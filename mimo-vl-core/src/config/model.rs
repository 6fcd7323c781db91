//! `config.json`: the shapes of the vision tower and of the language model.

use serde::Deserialize;
use serde_json::Value;

use super::{CheckpointFiles, read_json};
use crate::error::{Error, Result};

/// The shapes and constants of one checkpoint.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The language model.
    pub text: TextConfig,
    /// The vision tower and its projector.
    pub vision: VisionConfig,
    /// Ids of the tokens that stand for media.
    pub tokens: MediaTokenIds,
    /// Tokens that end an answer, according to this file.
    pub eos_token_ids: Vec<u32>,
}

/// The language model's shape.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TextConfig {
    /// Rows of the token embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Constant that is added to the mean square under the root of every norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Numbers of rotary pairs for the temporal, the height and the width position.
    pub mrope_section: [usize; 3],
    /// Longest context of the checkpoint, in tokens.
    pub max_position_embeddings: usize,
    /// True when the output layer is the token embedding.
    pub tie_word_embeddings: bool,
}

/// The vision tower's shape.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VisionConfig {
    /// Number of blocks.
    pub depth: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward layers.
    pub intermediate_size: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width of the projector's features, that of the language model.
    pub out_hidden_size: usize,
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Frames that share one patch.
    pub temporal_patch_size: usize,
    /// Side of the block of patches that becomes one token.
    pub spatial_merge_size: usize,
    /// Side of an attention window, in pixels.
    pub window_size: usize,
    /// Blocks that attend over the full image instead of windows.
    pub fullatt_block_indexes: Vec<usize>,
    /// Temporal positions per second of video.
    pub tokens_per_second: f64,
}

/// Ids of the tokens that stand for media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MediaTokenIds {
    /// Placeholder of one image feature.
    pub image: u32,
    /// Placeholder of one video feature.
    pub video: u32,
    /// Start of a placeholder range.
    pub vision_start: u32,
    /// End of a placeholder range.
    pub vision_end: u32,
}

const FILE: &str = "config.json";
/// Limit of every size, far above those of real models; below it, products of a few sizes cannot overflow.
const MAX_SIZE: usize = 1 << 24;
const ARCHITECTURE: &str = "Qwen2_5_VLForConditionalGeneration";

impl ModelConfig {
    /// Reads and checks `config.json` of a checkpoint directory, with the values of the language model at the top
    /// level or under `text_config`.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory or file cannot be read, [`Error::Checkpoint`] when the architecture
    /// is another one or a value is missing, broken or not supported.
    pub fn load(files: impl Into<CheckpointFiles>) -> Result<Self> {
        let files = files.into();
        if !files.directory().is_dir() {
            let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such checkpoint directory");
            return Err(Error::io(files.directory(), missing));
        }
        let path = files.directory().join(FILE);
        let Some(json): Option<Value> = read_json(&files, FILE)? else {
            return Err(Error::checkpoint(path, "no config.json: this is not a checkpoint directory"));
        };
        let config = Self::from_json(&json).map_err(|reason| Error::checkpoint(&path, reason))?;
        config.validate().map_err(|reason| Error::checkpoint(&path, reason))?;
        Ok(config)
    }

    fn from_json(json: &Value) -> Result<Self, String> {
        check_architecture(json)?;
        let text = RawText::deserialize(json.get("text_config").unwrap_or(json)).map_err(|e| format!("text: {e}"))?;
        let vision = json.get("vision_config").ok_or("vision_config is missing")?;
        let vision = RawVision::deserialize(vision).map_err(|e| format!("vision_config: {e}"))?;
        let top = RawTop::deserialize(json).map_err(|e| e.to_string())?;
        let (scaling, parameters) = (text.rope_scaling.unwrap_or_default(), text.rope_parameters.unwrap_or_default());
        let head_dim = match (text.head_dim, text.hidden_size.checked_div(text.num_attention_heads)) {
            (Some(head_dim), _) => head_dim,
            (None, Some(head_dim)) => head_dim,
            (None, None) => return Err("num_attention_heads is 0".into()),
        };
        let eos = top.eos_token_id.or(text.eos_token_id);
        Ok(Self {
            tokens: MediaTokenIds {
                image: top.image_token_id,
                video: top.video_token_id,
                vision_start: top.vision_start_token_id,
                vision_end: top.vision_end_token_id,
            },
            eos_token_ids: match eos {
                Some(Value::Array(ids)) => ids.iter().filter_map(token_id).collect(),
                Some(id) => token_id(&id).into_iter().collect(),
                None => Vec::new(),
            },
            text: TextConfig {
                vocab_size: text.vocab_size,
                hidden_size: text.hidden_size,
                intermediate_size: text.intermediate_size,
                num_hidden_layers: text.num_hidden_layers,
                num_attention_heads: text.num_attention_heads,
                num_key_value_heads: text.num_key_value_heads,
                head_dim,
                rms_norm_eps: text.rms_norm_eps,
                rope_theta: text.rope_theta.or(parameters.rope_theta).unwrap_or(640_000.0),
                mrope_section: (scaling.mrope_section.or(parameters.mrope_section)).unwrap_or([16, 24, 24]),
                max_position_embeddings: text.max_position_embeddings,
                tie_word_embeddings: top.tie_word_embeddings.or(text.tie_word_embeddings).unwrap_or(false),
            },
            vision: VisionConfig {
                out_hidden_size: vision.out_hidden_size.unwrap_or(text.hidden_size),
                depth: vision.depth,
                hidden_size: vision.hidden_size,
                intermediate_size: vision.intermediate_size,
                num_heads: vision.num_heads,
                patch_size: vision.patch_size,
                temporal_patch_size: vision.temporal_patch_size,
                spatial_merge_size: vision.spatial_merge_size,
                window_size: vision.window_size,
                fullatt_block_indexes: vision.fullatt_block_indexes,
                tokens_per_second: vision.tokens_per_second,
            },
        })
    }

    fn validate(&self) -> Result<(), String> {
        let (text, vision) = (&self.text, &self.vision);
        let nonzero = [
            ("vocab_size", text.vocab_size),
            ("hidden_size", text.hidden_size),
            ("intermediate_size", text.intermediate_size),
            ("num_attention_heads", text.num_attention_heads),
            ("num_key_value_heads", text.num_key_value_heads),
            ("head_dim", text.head_dim),
            ("max_position_embeddings", text.max_position_embeddings),
            ("vision_config.hidden_size", vision.hidden_size),
            ("vision_config.intermediate_size", vision.intermediate_size),
            ("vision_config.num_heads", vision.num_heads),
        ];
        for (field, value) in nonzero {
            require((1..=MAX_SIZE).contains(&value), || format!("{field} is {value}; 1 to {MAX_SIZE} is possible"))?;
        }
        let small = [
            ("num_hidden_layers", text.num_hidden_layers),
            ("vision_config.depth", vision.depth),
            ("vision_config.window_size", vision.window_size),
            ("mrope_section", text.mrope_section.into_iter().max().unwrap_or(0)),
        ];
        for (field, value) in small {
            require(value <= MAX_SIZE, || format!("{field} is {value}; at most {MAX_SIZE} is possible"))?;
        }
        require(text.num_attention_heads % text.num_key_value_heads == 0, || {
            format!(
                "num_attention_heads {} is no multiple of num_key_value_heads {}",
                text.num_attention_heads, text.num_key_value_heads
            )
        })?;
        let pairs: usize = text.mrope_section.iter().sum();
        require(pairs * 2 == text.head_dim, || {
            format!(
                "mrope_section {:?} sums to {pairs}; half of head_dim {} is needed",
                text.mrope_section, text.head_dim
            )
        })?;
        require(text.rope_theta > 0.0 && text.rms_norm_eps >= 0.0, || {
            format!("rope_theta {} or rms_norm_eps {} is out of range", text.rope_theta, text.rms_norm_eps)
        })?;
        require(vision.hidden_size % (vision.num_heads * 4) == 0, || {
            format!(
                "vision_config.hidden_size {} does not give {} heads of a width divisible by 4",
                vision.hidden_size, vision.num_heads
            )
        })?;
        require(vision.out_hidden_size == text.hidden_size, || {
            format!("vision_config.out_hidden_size {} is not hidden_size {}", vision.out_hidden_size, text.hidden_size)
        })?;
        let fixed = [
            ("patch_size", vision.patch_size, 14),
            ("temporal_patch_size", vision.temporal_patch_size, 2),
            ("spatial_merge_size", vision.spatial_merge_size, 2),
        ];
        for (field, value, supported) in fixed {
            require(value == supported, || format!("vision_config.{field} is {value}; only {supported} is supported"))?;
        }
        let token_side = vision.patch_size * vision.spatial_merge_size;
        require(vision.window_size >= token_side && vision.window_size % token_side == 0, || {
            format!("vision_config.window_size {} is no multiple of {token_side}", vision.window_size)
        })?;
        require(vision.tokens_per_second > 0.0, || {
            format!("vision_config.tokens_per_second is {}; it must be above 0", vision.tokens_per_second)
        })?;
        let tokens = [
            ("image_token_id", self.tokens.image),
            ("video_token_id", self.tokens.video),
            ("vision_start_token_id", self.tokens.vision_start),
            ("vision_end_token_id", self.tokens.vision_end),
        ];
        for (field, id) in tokens {
            require((id as usize) < text.vocab_size, || {
                format!("{field} {id} lies outside the vocabulary of {}", text.vocab_size)
            })?;
        }
        Ok(())
    }
}

fn check_architecture(json: &Value) -> Result<(), String> {
    let named =
        json.get("architectures").and_then(Value::as_array).and_then(|list| list.first()).and_then(Value::as_str);
    let kind = json.get("model_type").and_then(Value::as_str);
    match (named, kind) {
        (Some(ARCHITECTURE), _) | (None, Some("qwen2_5_vl")) => {}
        (Some(other), _) => return Err(format!("architecture {other} is not supported; {ARCHITECTURE} is")),
        (None, other) => {
            return Err(format!("model_type {} is not supported; qwen2_5_vl is", other.unwrap_or("(absent)")));
        }
    }
    let text = json.get("text_config").unwrap_or(json);
    for (part, field) in [(text, "hidden_act"), (&json["vision_config"], "hidden_act")] {
        if let Some(act) = part.get(field).and_then(Value::as_str) {
            require(act == "silu", || format!("{field} {act} is not supported; silu is"))?;
        }
    }
    let sliding = text.get("use_sliding_window").and_then(Value::as_bool).unwrap_or(false);
    require(!sliding, || "use_sliding_window is true, which is not supported".into())
}

fn require(condition: bool, reason: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(reason()) }
}

fn token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}

#[derive(Deserialize)]
struct RawTop {
    #[serde(default = "defaults::image_token_id")]
    image_token_id: u32,
    #[serde(default = "defaults::video_token_id")]
    video_token_id: u32,
    #[serde(default = "defaults::vision_start_token_id")]
    vision_start_token_id: u32,
    #[serde(default = "defaults::vision_end_token_id")]
    vision_end_token_id: u32,
    eos_token_id: Option<Value>,
    tie_word_embeddings: Option<bool>,
}

#[derive(Deserialize)]
struct RawText {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: Option<usize>,
    #[serde(default = "defaults::rms_norm_eps")]
    rms_norm_eps: f64,
    rope_theta: Option<f64>,
    rope_scaling: Option<RawRope>,
    rope_parameters: Option<RawRope>,
    #[serde(default = "defaults::max_position_embeddings")]
    max_position_embeddings: usize,
    eos_token_id: Option<Value>,
    tie_word_embeddings: Option<bool>,
}

/// The value of `rope_scaling` or, in files of transformers 5, `rope_parameters`.
#[derive(Deserialize, Default)]
struct RawRope {
    rope_theta: Option<f64>,
    mrope_section: Option<[usize; 3]>,
}

#[derive(Deserialize)]
struct RawVision {
    depth: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_heads: usize,
    out_hidden_size: Option<usize>,
    #[serde(default = "defaults::patch_size")]
    patch_size: usize,
    #[serde(default = "defaults::two")]
    temporal_patch_size: usize,
    #[serde(default = "defaults::two")]
    spatial_merge_size: usize,
    #[serde(default = "defaults::window_size")]
    window_size: usize,
    #[serde(default = "defaults::fullatt_block_indexes")]
    fullatt_block_indexes: Vec<usize>,
    #[serde(default = "defaults::tokens_per_second")]
    tokens_per_second: f64,
}

/// Values of MiMo-VL-7B, for absent keys.
mod defaults {
    pub(super) fn image_token_id() -> u32 {
        151_655
    }
    pub(super) fn video_token_id() -> u32 {
        151_656
    }
    pub(super) fn vision_start_token_id() -> u32 {
        151_652
    }
    pub(super) fn vision_end_token_id() -> u32 {
        151_653
    }
    pub(super) fn rms_norm_eps() -> f64 {
        1e-5
    }
    pub(super) fn max_position_embeddings() -> usize {
        128_000
    }
    pub(super) fn patch_size() -> usize {
        14
    }
    pub(super) fn two() -> usize {
        2
    }
    pub(super) fn window_size() -> usize {
        112
    }
    pub(super) fn fullatt_block_indexes() -> Vec<usize> {
        vec![7, 15, 23, 31]
    }
    pub(super) fn tokens_per_second() -> f64 {
        2.0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mimo() -> Value {
        serde_json::json!({
            "architectures": ["Qwen2_5_VLForConditionalGeneration"], "eos_token_id": 151645, "vocab_size": 151680,
            "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 32,
            "num_key_value_heads": 8, "rope_theta": 640000,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
            "vision_config": {
                "depth": 32, "hidden_size": 1280, "intermediate_size": 3456, "num_heads": 16, "out_hidden_size": 4096
            }
        })
    }

    #[test]
    fn absent_keys_have_the_values_of_mimo_vl_7b() {
        let config = ModelConfig::from_json(&mimo()).unwrap();
        config.validate().unwrap();
        assert_eq!(config.text.head_dim, 128);
        assert_eq!(config.text.rms_norm_eps, 1e-5);
        assert_eq!(config.vision.tokens_per_second, 2.0);
        assert_eq!(config.vision.fullatt_block_indexes, [7, 15, 23, 31]);
        assert_eq!(config.tokens.image, 151_655);
        assert_eq!(config.eos_token_ids, [151_645]);
    }

    #[test]
    fn text_values_may_be_nested() {
        let flat = mimo();
        let mut nested = flat.clone();
        nested["text_config"] = flat.clone();
        for key in ["vocab_size", "hidden_size", "num_attention_heads", "rope_theta", "rope_scaling"] {
            nested.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(ModelConfig::from_json(&flat).unwrap(), ModelConfig::from_json(&nested).unwrap());
    }

    #[test]
    fn errors_name_the_invalid_field() {
        for (pointer, value, named) in [
            ("/num_key_value_heads", serde_json::json!(5), "num_key_value_heads"),
            ("/num_attention_heads", serde_json::json!(0), "num_attention_heads"),
            ("/hidden_size", serde_json::json!("x"), "text"),
            ("/vision_config/out_hidden_size", serde_json::json!(8), "out_hidden_size"),
            ("/vision_config/num_heads", serde_json::json!(7), "hidden_size"),
            ("/architectures/0", serde_json::json!("LlamaForCausalLM"), "LlamaForCausalLM"),
            ("/vocab_size", serde_json::json!(100), "image_token_id"),
            ("/vision_config/num_heads", serde_json::json!(1_u64 << 62), "num_heads"),
            ("/rope_scaling/mrope_section", serde_json::json!([u64::MAX, 33, 32]), "mrope_section"),
        ] {
            let mut json = mimo();
            *json.pointer_mut(pointer).unwrap() = value;
            let reason = ModelConfig::from_json(&json).and_then(|config| config.validate()).unwrap_err();
            assert!(reason.contains(named), "{pointer}: {reason}");
        }
    }
}
