//! GGUF files: the language model in one, the vision tower and the projector in another.
//!
//! The layout is that of ggml's `gguf.md`, version 2 and 3; names and metadata are those that llama.cpp's converter
//! writes for the architecture `qwen2vl` and the projector `qwen2.5vl_merger`.

pub(super) mod blocks;
mod file;
mod metadata;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use file::Gguf;

use super::files::{Encoding, INDEX, SINGLE, TensorEntry};
use super::source::FloatType;
use crate::error::{Error, Result};

/// Side of a patch in pixels, the only one that is supported.
const PATCH: usize = 14;

/// Both files of a model.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) tensors: HashMap<String, TensorEntry>,
    /// The contents of the JSON files and the template that the hub has beside the weights.
    pub(super) texts: Vec<(&'static str, String)>,
}

/// The files that `path` names: a file of the language model with the other one beside it, or a folder with both and
/// without the hub's weights; `None` when it is neither.
pub(super) fn find(path: &Path) -> Result<Option<[PathBuf; 2]>> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf"));
    let is_file = is_gguf(path) && path.is_file();
    if !is_file && [SINGLE, INDEX].iter().any(|name| path.join(name).is_file()) {
        return Ok(None);
    }
    let folder = if is_file { folder_of(path) } else { path };
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(None) };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_gguf(path)).collect();
    files.sort();
    let is_vision = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains("mmproj"));
    let (vision, language): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_vision);
    if files.is_empty() {
        return Ok(None);
    }
    let one = |found: &[&PathBuf], what: &str, advice: &str| match found {
        [file] => Ok((*file).clone()),
        [] => Err(Error::checkpoint(folder, format!("no GGUF file {what} is here"))),
        several => Err(Error::checkpoint(folder, format!("{} GGUF files {what} are here; {advice}", several.len()))),
    };
    let language = match is_file {
        true => path.to_path_buf(),
        false => one(&language, "of a language model", "leave one, or name the one that is meant")?,
    };
    if language.file_name().is_some_and(|name| name.to_string_lossy().contains("-of-")) {
        let reason = "one of several parts, which are not supported: join them, as llama-gguf-split --merge does";
        return Err(Error::checkpoint(language, reason));
    }
    Ok(Some([language, one(&vision, "with `mmproj` in the name, for the vision tower,", "one is needed")?]))
}

/// The folder of a file; that of a bare name is the current one.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Open the two files.
pub(super) fn open([language, vision]: [PathBuf; 2]) -> Result<Files> {
    let (language, vision) = (Gguf::open(&language)?, Gguf::open(&vision)?);
    let directory = folder_of(&language.path).to_path_buf();
    let texts = metadata::texts(&language, &vision)?;
    let mut tensors = HashMap::new();
    for (name, place) in &language.tensors {
        if let Some(name) = language_name(name) {
            tensors.insert(name, place.clone());
        }
    }
    for (name, place) in &vision.tensors {
        if let Some(name) = vision_name(name) {
            tensors.insert(name, place.clone());
        }
    }
    vision.join_attention(&mut tensors)?;
    vision.join_patches(&mut tensors)?;
    Ok(Files { directory, tensors, texts })
}

/// The hub's name of a tensor of the language model.
fn language_name(name: &str) -> Option<String> {
    let (name, end) = name.rsplit_once('.')?;
    let Some(rest) = name.strip_prefix("blk.") else {
        let name = match name {
            "token_embd" => "model.embed_tokens",
            "output_norm" => "model.norm",
            "output" => "lm_head",
            _ => return None,
        };
        return Some(format!("{name}.{end}"));
    };
    let (layer, part) = rest.split_once('.')?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "ffn_norm" => "post_attention_layernorm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{end}"))
}

/// The hub's name of a tensor of the vision tower or the projector that is stored as the hub has it.
fn vision_name(name: &str) -> Option<String> {
    let (name, end) = name.rsplit_once('.')?;
    let Some(rest) = name.strip_prefix("v.blk.") else {
        let name = match name {
            "v.post_ln" => "visual.merger.ln_q",
            "mm.0" => "visual.merger.mlp.0",
            "mm.2" => "visual.merger.mlp.2",
            _ => return None,
        };
        return Some(format!("{name}.{end}"));
    };
    let (block, part) = rest.split_once('.')?;
    let part = match part {
        "ln1" => "norm1",
        "ln2" => "norm2",
        "attn_qkv" => "attn.qkv",
        "attn_out" => "attn.proj",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("visual.blocks.{block}.{part}.{end}"))
}

impl Gguf {
    /// Query, key and value of each block are one matrix in the hub's layout.
    fn join_attention(&self, tensors: &mut HashMap<String, TensorEntry>) -> Result<()> {
        for name in self.tensors.keys() {
            let Some((block, end)) = name.split_once(".attn_q.") else { continue };
            let Some(number) = block.strip_prefix("v.blk.") else { continue };
            let parts = ["q", "k", "v"].map(|part| format!("{block}.attn_{part}.{end}"));
            let mut places = Vec::new();
            for part in parts {
                places.push(self.tensors.get(&part).ok_or_else(|| self.missing(&part))?);
            }
            let joined = format!("visual.blocks.{number}.attn.qkv.{end}");
            let first = places[0];
            if places.iter().any(|place| place.encoding != first.encoding || place.shape[1..] != first.shape[1..]) {
                return Err(Error::tensor(joined, "query, key and value have different types or widths"));
            }
            let mut shape = first.shape.clone();
            shape[0] = places.iter().map(|place| place.shape[0]).sum();
            let pieces = places.iter().flat_map(|place| place.pieces.iter().cloned()).collect();
            tensors.insert(joined, first.with(shape, pieces));
        }
        Ok(())
    }

    /// The patch embedding, which spans two frames, is stored as two, one for each frame.
    fn join_patches(&self, tensors: &mut HashMap<String, TensorEntry>) -> Result<()> {
        let names = ["v.patch_embd.weight", "v.patch_embd.weight.1"];
        let mut frames = Vec::new();
        for name in names {
            let place = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
            let &[rows, channels, PATCH, PATCH] = place.shape.as_slice() else {
                let shape = &place.shape;
                return Err(Error::tensor(
                    name,
                    format!("shape {shape:?}; four dimensions, the last two {PATCH}, are expected"),
                ));
            };
            frames.push((place.values(), [rows, channels]));
        }
        let ([first, second], [rows, channels]) = match frames.as_slice() {
            [(first, shape), (second, other)] if shape == other => ([first, second], *shape),
            _ => return Err(Error::tensor(names[1], "another shape than that of the first frame")),
        };
        let mut bytes = Vec::with_capacity(8 * first.len());
        let pixels = PATCH * PATCH;
        for (first, second) in first.chunks_exact(pixels).zip(second.chunks_exact(pixels)) {
            bytes.extend(first.iter().chain(second).flat_map(|value| value.to_le_bytes()));
        }
        let shape = vec![rows, channels, 2, PATCH, PATCH];
        let place = TensorEntry::new(&self.path, Encoding::Float(FloatType::F32), shape, vec![bytes.into()], None);
        tensors.insert("visual.patch_embed.proj.weight".to_owned(), place);
        Ok(())
    }
}
