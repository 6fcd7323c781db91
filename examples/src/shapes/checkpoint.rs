//! The files of a checkpoint directory beside its weights.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::{Result, Tokenizer};

use super::vocabulary::padded_vocab_size;

/// Dimensions of a small model.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimensions {
    /// Width of the language model.
    pub hidden_size: usize,
    /// Width of its feed-forward layers.
    pub intermediate_size: usize,
    /// Layers of the language model.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Rotary pairs of the temporal, height and width position; together half a head.
    pub mrope_section: [usize; 3],
    /// True when the output layer is the token embedding.
    pub tie_word_embeddings: bool,
    /// Longest context, in tokens.
    pub context: usize,
    /// Blocks of the vision tower.
    pub vision_depth: usize,
    /// Width of the vision tower.
    pub vision_hidden_size: usize,
    /// Width of its feed-forward layers.
    pub vision_intermediate_size: usize,
    /// Heads of the vision tower.
    pub vision_heads: usize,
    /// Blocks with full attention; the others attend within windows.
    pub full_attention: Vec<usize>,
}

/// Side, in pixels, of the square that becomes one token.
pub(crate) const TOKEN_SIDE: usize = 28;
/// Fewest tokens of an image in training.
pub(crate) const MIN_TOKENS: usize = 25;
/// Most tokens of an image in training.
pub(crate) const MAX_TOKENS: usize = 64;

/// The chat template, with parts of images and videos.
const CHAT_TEMPLATE: &str = include_str!("chat_template.jinja");

/// Writes `config.json`, `generation_config.json`, `preprocessor_config.json`, the files of the tokenizer and the chat
/// template to an existing directory.
///
/// # Errors
/// When a file cannot be written, or the tokenizer lacks one of the special tokens.
pub fn write_checkpoint_files(directory: &Path, dimensions: &Dimensions, tokenizer: &Tokenizer) -> Result<()> {
    let write = |name: &str, value: &Value| -> Result<()> {
        let text = serde_json::to_string_pretty(value)? + "\n";
        Ok(std::fs::write(directory.join(name), text)?)
    };
    write("config.json", &config(dimensions, tokenizer)?)?;
    write("generation_config.json", &generation_config(tokenizer)?)?;
    write("preprocessor_config.json", &preprocessor_config())?;
    write("tokenizer_config.json", &tokenizer_config(dimensions))?;
    std::fs::write(directory.join("chat_template.jinja"), CHAT_TEMPLATE)?;
    tokenizer.save(directory.join("tokenizer.json"), false)
}

fn id(tokenizer: &Tokenizer, token: &str) -> Result<u32> {
    tokenizer.token_to_id(token).ok_or_else(|| format!("the tokenizer has no token {token}").into())
}

fn config(d: &Dimensions, tokenizer: &Tokenizer) -> Result<Value> {
    let text = json!({
        "vocab_size": padded_vocab_size(tokenizer),
        "hidden_act": "silu",
        "hidden_size": d.hidden_size,
        "intermediate_size": d.intermediate_size,
        "num_hidden_layers": d.layers,
        "max_window_layers": d.layers,
        "num_attention_heads": d.heads,
        "num_key_value_heads": d.kv_heads,
        "max_position_embeddings": d.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": d.rope_theta,
        "rope_scaling": {"type": "mrope", "mrope_section": d.mrope_section},
        "attention_dropout": 0.0,
        "initializer_range": 0.02,
        "sliding_window": null,
        "use_sliding_window": false,
        "use_cache": true,
        "tie_word_embeddings": d.tie_word_embeddings
    });
    let mut config = json!({
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "torch_dtype": "bfloat16",
        "bos_token_id": id(tokenizer, "<|endoftext|>")?,
        "eos_token_id": id(tokenizer, "<|im_end|>")?,
        "vision_start_token_id": id(tokenizer, "<|vision_start|>")?,
        "vision_end_token_id": id(tokenizer, "<|vision_end|>")?,
        "vision_token_id": id(tokenizer, "<|vision_pad|>")?,
        "image_token_id": id(tokenizer, "<|image_pad|>")?,
        "video_token_id": id(tokenizer, "<|video_pad|>")?,
        "vision_config": vision_config(d)
    });
    if let (Value::Object(config), Value::Object(text)) = (&mut config, text) {
        config.extend(text);
    }
    Ok(config)
}

fn vision_config(d: &Dimensions) -> Value {
    json!({
        "model_type": "qwen2_5_vl",
        "depth": d.vision_depth,
        "hidden_act": "silu",
        "hidden_size": d.vision_hidden_size,
        "intermediate_size": d.vision_intermediate_size,
        "num_heads": d.vision_heads,
        "in_chans": 3,
        "out_hidden_size": d.hidden_size,
        "patch_size": 14,
        "spatial_patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": d.full_attention,
        "tokens_per_second": 2
    })
}

fn generation_config(tokenizer: &Tokenizer) -> Result<Value> {
    let (end, pad) = (id(tokenizer, "<|im_end|>")?, id(tokenizer, "<|endoftext|>")?);
    Ok(json!({"do_sample": false, "bos_token_id": pad, "eos_token_id": [end, pad], "pad_token_id": pad}))
}

/// Preprocessor settings; the limits keep every image within the sizes of training.
fn preprocessor_config() -> Value {
    json!({
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "min_pixels": MIN_TOKENS * TOKEN_SIDE * TOKEN_SIDE,
        "max_pixels": MAX_TOKENS * TOKEN_SIDE * TOKEN_SIDE,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711]
    })
}

fn tokenizer_config(d: &Dimensions) -> Value {
    json!({
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": null,
        "bos_token": null,
        "add_prefix_space": false,
        "clean_up_tokenization_spaces": false,
        "split_special_tokens": false,
        "model_max_length": d.context,
        "chat_template": CHAT_TEMPLATE
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shapes::build_tokenizer;

    #[test]
    fn checkpoint_files_are_complete() {
        let directory = std::env::temp_dir().join(format!("mimo-vl-shapes-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let dimensions = Dimensions {
            hidden_size: 64,
            intermediate_size: 128,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            rope_theta: 10_000.0,
            mrope_section: [2, 3, 3],
            tie_word_embeddings: true,
            context: 1024,
            vision_depth: 2,
            vision_hidden_size: 64,
            vision_intermediate_size: 128,
            vision_heads: 4,
            full_attention: vec![1],
        };
        let tokenizer = build_tokenizer().unwrap();
        write_checkpoint_files(&directory, &dimensions, &tokenizer).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
        let config: serde_json::Value = serde_json::from_str(&read("config.json")).unwrap();
        assert_eq!(config["vocab_size"], padded_vocab_size(&tokenizer));
        assert_eq!(config["image_token_id"], tokenizer.token_to_id("<|image_pad|>").unwrap());
        assert_eq!(config["vision_config"]["out_hidden_size"], config["hidden_size"]);
        let loaded = tokenizers::Tokenizer::from_file(directory.join("tokenizer.json")).unwrap();
        let text = "<think>\n红色圆形\n</think>\n\n2<|im_end|>";
        let ids = |t: &tokenizers::Tokenizer| t.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(ids(&loaded), ids(&tokenizer));
        for name in ["generation_config.json", "preprocessor_config.json", "tokenizer_config.json"] {
            assert!(serde_json::from_str::<serde_json::Value>(&read(name)).unwrap().is_object());
        }
        assert!(read("chat_template.jinja").contains("<|vision_start|>"));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
