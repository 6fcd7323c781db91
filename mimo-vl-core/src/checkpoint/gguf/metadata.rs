//! What the hub has as files beside the weights, from the metadata.

use serde_json::{Value, json};

use super::file::{Entry, Gguf};
use crate::error::{Error, Result};

/// Far above every vision tower.
const MOST_BLOCKS: i64 = 1 << 12;

/// Names and contents of the files.
pub(super) fn texts(language: &Gguf, vision: &Gguf) -> Result<Vec<(&'static str, String)>> {
    let tokens = Tokens::read(language)?;
    let mut texts = vec![
        ("config.json", config(language, vision, &tokens)?.to_string()),
        ("preprocessor_config.json", preprocess(vision)?.to_string()),
        ("tokenizer.json", tokens.tokenizer().to_string()),
    ];
    if let Some(end) = language.optional_integer("tokenizer.ggml.eos_token_id") {
        texts.push(("generation_config.json", json!({ "eos_token_id": end }).to_string()));
    }
    if let Ok(template) = language.text("tokenizer.chat_template") {
        texts.push(("chat_template.jinja", template.to_owned()));
    }
    Ok(texts)
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
    let of_vision = |name: &str| vision.integer(&format!("clip.vision.{name}"));
    let sections = language.list(&format!("{ARCHITECTURE}.rope.dimension_sections"), |entry| match entry {
        Entry::Integer(value) => Some(*value),
        _ => None,
    })?;
    let vocab = language.tensors.get("token_embd.weight").and_then(|place| place.shape.first()).copied();
    let blocks = of_vision("block_count")?;
    // Every so many blocks, one attends over the whole picture.
    let pattern = of_vision("n_wa_pattern")?;
    for (name, value) in [("block_count", blocks), ("n_wa_pattern", pattern)] {
        if !(1..=MOST_BLOCKS).contains(&value) {
            let reason = format!("clip.vision.{name} is {value}; 1 to {MOST_BLOCKS} is possible");
            return Err(Error::checkpoint(&vision.path, reason));
        }
    }
    let token = |name: &str| {
        tokens.id(name).ok_or_else(|| {
            Error::checkpoint(&language.path, format!("tokenizer.ggml.tokens of its metadata lacks {name}"))
        })
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
        // Stored in single precision; the shortest decimal of it is what was meant.
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
            "hidden_size": of_vision("embedding_length")?,
            "intermediate_size": of_vision("feed_forward_length")?,
            "num_heads": of_vision("attention.head_count")?,
            "out_hidden_size": of_vision("projection_dim")?,
            "patch_size": of_vision("patch_size")?,
            "fullatt_block_indexes": (0..blocks).filter(|block| (block + 1) % pattern == 0).collect::<Vec<_>>(),
        },
    });
    if let Ok(width) = size("attention.key_length") {
        config["head_dim"] = width.into();
    }
    if let Ok(side) = of_vision("window_size") {
        config["vision_config"]["window_size"] = side.into();
    }
    Ok(config)
}

fn preprocess(vision: &Gguf) -> Result<Value> {
    let numbers = |name: &str| {
        vision.list(name, |entry| match entry {
            Entry::Number(value) => Some(shortest(*value)),
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

/// The shortest decimal number that a number of single precision stands for.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The vocabulary.
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
            let reason = format!("tokenizer {model} with the rules of {pre} is not supported; gpt2 with qwen2 is");
            return Err(Error::checkpoint(&file.path, reason));
        }
        let text = |entry: &Entry| match entry {
            Entry::Text(text) => Some(text.clone()),
            _ => None,
        };
        let kind = |entry: &Entry| match entry {
            Entry::Integer(kind) => Some(*kind),
            _ => None,
        };
        let tokens = file.list("tokenizer.ggml.tokens", text)?;
        let kinds = file.list("tokenizer.ggml.token_type", kind)?;
        if tokens.len() != kinds.len() {
            let reason = format!("{} tokens and {} types of tokens", tokens.len(), kinds.len());
            return Err(Error::checkpoint(&file.path, reason));
        }
        Ok(Self { tokens, kinds, merges: file.list("tokenizer.ggml.merges", text)? })
    }

    fn id(&self, name: &str) -> Option<usize> {
        self.tokens.iter().position(|token| token == name)
    }

    /// `tokenizer.json` of a byte-level BPE with the splitting rules of Qwen2.
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
