//! Checkpoints with the layer shapes of MiMo-VL-7B and random bf16 weights, to measure loading, memory and speed.
//!
//! Tensor names, shapes and types are those of the published checkpoint; answers are meaningless. Tokenizer, chat
//! template and special tokens are those of mimo-vl-tiny.

use std::borrow::Cow;
use std::error::Error;
use std::fs;
use std::path::Path;

use mimo_vl_core::expert::{
    AttentionPart, MlpPart, NormPart, ProjectorPart, TensorId, TensorRole, VisionAttentionPart,
};
use mimo_vl_examples::tiny_model;
use safetensors::{Dtype, View, serialize_to_file};
use serde_json::{Value, json};

use crate::noise;

const VOCAB: usize = 151_680;
const HIDDEN: usize = 4096;
const KEY_WIDTH: usize = 1024;
const INTERMEDIATE: usize = 11008;
const VISION: usize = 1280;
const VISION_INTERMEDIATE: usize = 3456;
const MERGED: usize = 4 * VISION;

/// Number of layers of a synthetic checkpoint. MiMo-VL-7B has 36 and 32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Layers of the language model.
    pub language: usize,
    /// Blocks of the vision tower.
    pub vision: usize,
}

/// Writes a checkpoint with random weights to `directory`: 16.6 GB with the depth of MiMo-VL-7B.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write_random(directory: &Path, depth: Depth) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    let tiny = tiny_model();
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"] {
        fs::copy(tiny.join(name), directory.join(name))?;
    }
    let read =
        |name: &str| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_slice(&fs::read(tiny.join(name))?)?) };
    let mut preprocess = read("preprocessor_config.json")?;
    preprocess["min_pixels"] = 3136.into();
    preprocess["max_pixels"] = 3_211_264.into();
    fs::write(directory.join("preprocessor_config.json"), preprocess.to_string())?;
    fs::write(directory.join("config.json"), config(&read("config.json")?, depth).to_string())?;
    let noise = noise(1, NOISE);
    let views = tensors(depth)
        .into_iter()
        .map(|(id, shape)| (id.to_string(), RandomTensor { is_norm: id.role.is_norm(), shape, noise: &noise }));
    let path = directory.join("model.safetensors");
    let partial = directory.join("model.safetensors.partial");
    serialize_to_file(views, Some([("format".to_owned(), "pt".to_owned())].into()), &partial)?;
    Ok(fs::rename(partial, path)?)
}

fn config(tiny: &Value, depth: Depth) -> Value {
    let mut config = tiny.clone();
    let full: Vec<usize> = (0..depth.vision).filter(|block| block % 8 == 7 || block + 1 == depth.vision).collect();
    let text_settings = [
        ("vocab_size", json!(VOCAB)),
        ("hidden_size", json!(HIDDEN)),
        ("intermediate_size", json!(INTERMEDIATE)),
        ("num_hidden_layers", json!(depth.language)),
        ("max_window_layers", json!(depth.language)),
        ("num_attention_heads", json!(32)),
        ("num_key_value_heads", json!(8)),
        ("rope_theta", json!(640_000.0)),
        ("rope_scaling", json!({ "type": "mrope", "mrope_section": [16, 24, 24] })),
        ("max_position_embeddings", json!(128_000)),
    ];
    text_settings.into_iter().for_each(|(name, value)| config[name] = value);
    let vision_settings = [
        ("depth", json!(depth.vision)),
        ("hidden_size", json!(VISION)),
        ("intermediate_size", json!(VISION_INTERMEDIATE)),
        ("num_heads", json!(16)),
        ("out_hidden_size", json!(HIDDEN)),
        ("fullatt_block_indexes", json!(full)),
    ];
    vision_settings.into_iter().for_each(|(name, value)| config["vision_config"][name] = value);
    config
}

/// Ids and shapes of all tensors.
fn tensors(depth: Depth) -> Vec<(TensorId, Vec<usize>)> {
    use TensorRole::{Attention, Mlp, Norm, Projector, VisionAttention, VisionMlp, VisionNorm};
    let (width, inner) = (VISION, VISION_INTERMEDIATE);
    let mut all = vec![
        (TensorRole::VisionPatch.into(), vec![width, 3, 2, 14, 14]),
        (Projector(ProjectorPart::Norm).into(), vec![width]),
        (TensorRole::Embedding.into(), vec![VOCAB, HIDDEN]),
        (TensorRole::FinalNorm.into(), vec![HIDDEN]),
        (TensorRole::Head.into(), vec![VOCAB, HIDDEN]),
    ];
    let mut linear = |id: TensorId, [rows, width]: [usize; 2], has_bias: bool| {
        all.push((id, vec![rows, width]));
        if has_bias {
            all.push((id.bias(), vec![rows]));
        }
    };
    linear(Projector(ProjectorPart::First).into(), [MERGED, MERGED], true);
    linear(Projector(ProjectorPart::Second).into(), [HIDDEN, MERGED], true);
    for block in 0..depth.vision {
        linear(VisionAttention(VisionAttentionPart::Qkv).at(block), [3 * width, width], true);
        linear(VisionAttention(VisionAttentionPart::Output).at(block), [width, width], true);
        linear(VisionMlp(MlpPart::Gate).at(block), [inner, width], true);
        linear(VisionMlp(MlpPart::Up).at(block), [inner, width], true);
        linear(VisionMlp(MlpPart::Down).at(block), [width, inner], true);
    }
    for layer in 0..depth.language {
        linear(Attention(AttentionPart::Query).at(layer), [HIDDEN, HIDDEN], true);
        linear(Attention(AttentionPart::Key).at(layer), [KEY_WIDTH, HIDDEN], true);
        linear(Attention(AttentionPart::Value).at(layer), [KEY_WIDTH, HIDDEN], true);
        linear(Attention(AttentionPart::Output).at(layer), [HIDDEN, HIDDEN], false);
        linear(Mlp(MlpPart::Gate).at(layer), [INTERMEDIATE, HIDDEN], false);
        linear(Mlp(MlpPart::Up).at(layer), [INTERMEDIATE, HIDDEN], false);
        linear(Mlp(MlpPart::Down).at(layer), [HIDDEN, INTERMEDIATE], false);
    }
    for part in [NormPart::Attention, NormPart::Mlp] {
        all.extend((0..depth.vision).map(|block| (VisionNorm(part).at(block), vec![VISION])));
        all.extend((0..depth.language).map(|layer| (Norm(part).at(layer), vec![HIDDEN])));
    }
    all
}

/// Number of random values that are repeated; a prime, so that the rows of a matrix differ.
const NOISE: usize = 1_000_003;

/// A tensor whose values are generated when it is written.
struct RandomTensor<'a> {
    shape: Vec<usize>,
    is_norm: bool,
    noise: &'a [f32],
}

impl View for RandomTensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Matrices preserve the scale of their inputs, biases are small, and norms are near 1. The sum of three uniform
    /// numbers approximates a normal distribution. bf16 is f32 truncated to its upper half.
    fn data(&self) -> Cow<'_, [u8]> {
        let width: usize = self.shape[1..].iter().product();
        let scale = if self.shape.len() > 1 { 1.0 / (width as f32).sqrt() } else { 0.02 };
        let middle = if self.is_norm { 1.0 } else { 0.0 };
        let values: Vec<[u8; 2]> = (0..NOISE)
            .map(|at| {
                let sum: f32 = (0..3).map(|part| self.noise[(at + part * 333_667) % NOISE]).sum();
                let [_, _, low, high] = (middle + scale * sum).to_le_bytes();
                [low, high]
            })
            .collect();
        let start = self.shape.iter().fold(7_919, |start, size| (start * 31 + size) % NOISE);
        let mut bytes = Vec::with_capacity(self.data_len());
        let mut position = start;
        while bytes.len() < self.data_len() {
            let count = (NOISE - position).min((self.data_len() - bytes.len()) / 2);
            bytes.extend_from_slice(values[position..position + count].as_flattened());
            position = 0;
        }
        bytes.into()
    }

    fn data_len(&self) -> usize {
        2 * self.shape.iter().product::<usize>()
    }
}
