//! Config and tokenizer files, reconstructed from GGUF metadata.

use serde_json::{Value, json};

use super::file::{Gguf, MetadataValue};
use crate::error::{Error, Result};

/// Limit of the vision blocks, far above every published model.
const MAX_BLOCKS: i64 = 1 << 12;

/// Names and contents of the files.
pub(super) fn files(language: &Gguf, vision: &Gguf) -> Result<Vec<(&'static str, String)>> {
    let tokens = Tokens::read(language)?;
    let mut files = vec![
        ("config.json", config(language, vision, &tokens)?.to_string()),
        ("preprocessor_config.json", preprocess(vision)?.to_string()),
        ("tokenizer.json", tokens.tokenizer().to_string()),
    ];
    if let Some(end) = language.optional_integer("tokenizer.ggml.eos_token_id") {
        files.push(("generation_config.json", json!({ "eos_token_id": end }).to_string()));
    }
    if let Ok(template) = language.text("tokenizer.chat_template") {
        files.push(("chat_template.jinja", template.to_owned()));
    }
    Ok(files)
}

fn config(language: &Gguf, vision: &Gguf, tokens: &Tokens) -> Result<Value> {
    const ARCHITECTURE: &str = "qwen2vl";
    const PROJECTOR: &str = "qwen2.5vl_merger";
    let architecture = language.text("general.architecture")?;
    if architecture != ARCHITECTURE {
        let reason = format!("architecture {architecture} is not supported; {ARCHITECTURE} is");
        return Err(Error::checkpoint(&language.path, reason));
    }
    let projector = vision.text("clip.projector_type").or_else(|_| vision.text("clip.vision.projector_type"))?;
    if projector != PROJECTOR {
        let reason = format!("projector {projector} is not supported; {PROJECTOR} is");
        return Err(Error::checkpoint(&vision.path, reason));
    }
    let size = |name: &str| language.integer(&format!("{ARCHITECTURE}.{name}"));
    let number = |name: &str| language.number(&format!("{ARCHITECTURE}.{name}"));
    let vision_size = |name: &str| vision.integer(&format!("clip.vision.{name}"));
    let sections = language.list(&format!("{ARCHITECTURE}.rope.dimension_sections"), |entry| match entry {
        MetadataValue::Integer(value) => Some(*value),
        _ => None,
    })?;
    let vocab = language.tensors.get("token_embd.weight").and_then(|entry| entry.shape.first()).copied();
    let blocks = vision_size("block_count")?;
    // Every `n_wa_pattern`-th block attends over the full image.
    let pattern = vision_size("n_wa_pattern")?;
    for (name, value) in [("block_count", blocks), ("n_wa_pattern", pattern)] {
        if !(1..=MAX_BLOCKS).contains(&value) {
            let reason = format!("clip.vision.{name} is {value}; it must lie between 1 and {MAX_BLOCKS}");
            return Err(Error::checkpoint(&vision.path, reason));
        }
    }
    let token = |name: &str| {
        tokens
            .id(name)
            .ok_or_else(|| Error::checkpoint(&language.path, format!("metadata tokenizer.ggml.tokens lacks {name}")))
    };
    let mut config = json!({
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "vocab_size": vocab.unwrap_or(0),
        "hidden_size": size("embedding_length")?,
        "intermediate_size": size("feed_forward_length")?,
        "num_hidden_layers": size("block_count")?,
        "num_attention_heads": size("attention.head_count")?,
        "num_key_value_heads": size("attention.head_count_kv")?,
        "max_position_embeddings": size("context_length")?,
        // Stored in single precision; its shortest decimal is the original value.
        "rms_norm_eps": shortest(number("attention.layer_norm_rms_epsilon")?),
        "rope_theta": number("rope.freq_base")?,
        "rope_scaling": { "mrope_section": sections.get(..3).unwrap_or_default() },
        "tie_word_embeddings": !language.tensors.contains_key("output.weight"),
        "image_token_id": token("<|image_pad|>")?,
        "video_token_id": token("<|video_pad|>")?,
        "vision_start_token_id": token("<|vision_start|>")?,
        "vision_end_token_id": token("<|vision_end|>")?,
        "vision_config": {
            "depth": blocks,
            "hidden_size": vision_size("embedding_length")?,
            "intermediate_size": vision_size("feed_forward_length")?,
            "num_heads": vision_size("attention.head_count")?,
            "out_hidden_size": vision_size("projection_dim")?,
            "patch_size": vision_size("patch_size")?,
            "fullatt_block_indexes": (0..blocks).filter(|block| (block + 1) % pattern == 0).collect::<Vec<_>>(),
        },
    });
    if let Ok(width) = size("attention.key_length") {
        config["head_dim"] = width.into();
    }
    if let Ok(side) = vision_size("window_size") {
        config["vision_config"]["window_size"] = side.into();
    }
    Ok(config)
}

fn preprocess(vision: &Gguf) -> Result<Value> {
    let numbers = |name: &str| {
        vision.list(name, |entry| match entry {
            MetadataValue::Number(value) => Some(shortest(*value)),
            _ => None,
        })
    };
    let mut config = json!({
        "image_mean": numbers("clip.vision.image_mean")?,
        "image_std": numbers("clip.vision.image_std")?,
    });
    for name in ["min_pixels", "max_pixels"] {
        if let Some(pixels) = vision.optional_integer(&format!("clip.vision.image_{name}")) {
            config[name] = pixels.into();
        }
    }
    Ok(config)
}

/// The shortest decimal number that rounds to this number of single precision.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The vocabulary of the tokenizer.
struct Tokens {
    tokens: Vec<String>,
    kinds: Vec<i64>,
    merges: Vec<String>,
}

impl Tokens {
    const CONTROL: i64 = 3;
    const USER_DEFINED: i64 = 4;
    const UNUSED: i64 = 5;

    fn read(file: &Gguf) -> Result<Self> {
        let (model, pre) = (file.text("tokenizer.ggml.model")?, file.text("tokenizer.ggml.pre")?);
        if model != "gpt2" || pre != "qwen2" {
            let reason = format!("tokenizer {model} with pre-tokenizer {pre} is not supported; gpt2 with qwen2 is");
            return Err(Error::checkpoint(&file.path, reason));
        }
        let text = |entry: &MetadataValue| match entry {
            MetadataValue::Text(text) => Some(text.clone()),
            _ => None,
        };
        let kind = |entry: &MetadataValue| match entry {
            MetadataValue::Integer(kind) => Some(*kind),
            _ => None,
        };
        let tokens = file.list("tokenizer.ggml.tokens", text)?;
        let kinds = file.list("tokenizer.ggml.token_type", kind)?;
        if tokens.len() != kinds.len() {
            let reason = format!("{} tokens and {} token types", tokens.len(), kinds.len());
            return Err(Error::checkpoint(&file.path, reason));
        }
        Ok(Self { tokens, kinds, merges: file.list("tokenizer.ggml.merges", text)? })
    }

    fn id(&self, name: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token == name)
    }

    /// `tokenizer.json` of a byte-level BPE with the pre-tokenizer of Qwen2.
    fn tokenizer(&self) -> Value {
        const SPLIT: &str = concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        );
        let (mut vocab, mut added) = (serde_json::Map::new(), Vec::new());
        for (id, (token, &kind)) in self.tokens.iter().zip(&self.kinds).enumerate() {
            match kind {
                Self::UNUSED => {}
                Self::CONTROL | Self::USER_DEFINED => added.push(json!({
                    "id": id, "content": token, "special": kind == Self::CONTROL, "single_word": false,
                    "lstrip": false, "rstrip": false, "normalized": false,
                })),
                _ => {
                    vocab.insert(token.clone(), id.into());
                }
            }
        }
        let byte_level = json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false,
        });
        json!({
            "version": "1.0",
            "added_tokens": added,
            "normalizer": { "type": "NFC" },
            "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": SPLIT }, "behavior": "Isolated", "invert": false },
                byte_level,
            ] },
            "post_processor": byte_level,
            "decoder": byte_level,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
                "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocab, "merges": self.merges,
            },
        })
    }
}
