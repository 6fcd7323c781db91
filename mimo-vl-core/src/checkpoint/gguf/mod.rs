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

use super::entry::{Encoding, TensorEntry};
use super::formats::FloatType;
use super::names::{INDEX, SINGLE, TensorId};
use crate::config::{AttentionPart, Component, MlpPart, NormPart, ProjectorPart, TensorRole, VisionAttentionPart};
use crate::error::{Error, Result};

/// Side of a patch in pixels, the only one that is supported.
const PATCH: usize = 14;

/// A model in two files, in the layout of the hub.
pub(super) struct Model {
    pub(super) directory: PathBuf,
    /// Tensors by their names on the hub.
    pub(super) tensors: HashMap<String, TensorEntry>,
    /// Config and tokenizer files, by name.
    pub(super) metadata_files: Vec<(&'static str, String)>,
}

/// The files of `path`, language model first: a file of the language model with the other one beside it, or a folder
/// with both and without the hub's weights; `None` when it is neither.
pub(super) fn find(path: &Path) -> Result<Option<[PathBuf; 2]>> {
    let is_gguf = |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
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
    let only = |found: &[&PathBuf], what: &str, advice: &str| match found {
        [file] => Ok((*file).clone()),
        [] => Err(Error::checkpoint(folder, format!("no GGUF file {what} is here"))),
        several => Err(Error::checkpoint(folder, format!("{} GGUF files {what} are here; {advice}", several.len()))),
    };
    let language = match is_file {
        true => path.to_path_buf(),
        false => only(&language, "of a language model", "keep one, or give the path of one")?,
    };
    if language.file_name().is_some_and(|name| name.to_string_lossy().contains("-of-")) {
        let reason = "one of several parts, which are not supported: join them with llama-gguf-split --merge";
        return Err(Error::checkpoint(language, reason));
    }
    Ok(Some([language, only(&vision, "with `mmproj` in the name, for the vision tower,", "one is needed")?]))
}

/// The folder of a file; that of a bare name is the current one.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens the files of the language model and of the vision tower.
pub(super) fn open([language, vision]: [PathBuf; 2]) -> Result<Model> {
    let (language, vision) = (Gguf::open(&language)?, Gguf::open(&vision)?);
    let directory = folder_of(&language.path).to_path_buf();
    let metadata_files = metadata::files(&language, &vision)?;
    let mut tensors = HashMap::new();
    for (file, is_language) in [(&language, true), (&vision, false)] {
        for (name, entry) in &file.tensors {
            let id = TensorId::find(name, module);
            if let Some(id) = id.filter(|id| (id.role.component() == Component::Language) == is_language) {
                tensors.insert(id.to_string(), entry.clone());
            }
        }
    }
    vision.join_attention(&mut tensors)?;
    vision.join_patches(&mut tensors)?;
    Ok(Model { directory, tensors, metadata_files })
}

/// The module of a role in GGUF files, with `#` for its index.
fn module(role: TensorRole) -> &'static str {
    match role {
        TensorRole::Embedding => "token_embd",
        TensorRole::Head => "output",
        TensorRole::FinalNorm => "output_norm",
        TensorRole::Norm(NormPart::Attention) => "blk.#.attn_norm",
        TensorRole::Norm(NormPart::Mlp) => "blk.#.ffn_norm",
        TensorRole::Attention(AttentionPart::Query) => "blk.#.attn_q",
        TensorRole::Attention(AttentionPart::Key) => "blk.#.attn_k",
        TensorRole::Attention(AttentionPart::Value) => "blk.#.attn_v",
        TensorRole::Attention(AttentionPart::Output) => "blk.#.attn_output",
        TensorRole::Mlp(MlpPart::Gate) => "blk.#.ffn_gate",
        TensorRole::Mlp(MlpPart::Up) => "blk.#.ffn_up",
        TensorRole::Mlp(MlpPart::Down) => "blk.#.ffn_down",
        TensorRole::VisionPatch => PATCH_EMBEDDING,
        TensorRole::VisionNorm(NormPart::Attention) => "v.blk.#.ln1",
        TensorRole::VisionNorm(NormPart::Mlp) => "v.blk.#.ln2",
        TensorRole::VisionAttention(VisionAttentionPart::Qkv) => "v.blk.#.attn_qkv",
        TensorRole::VisionAttention(VisionAttentionPart::Output) => "v.blk.#.attn_out",
        TensorRole::VisionMlp(MlpPart::Gate) => "v.blk.#.ffn_gate",
        TensorRole::VisionMlp(MlpPart::Up) => "v.blk.#.ffn_up",
        TensorRole::VisionMlp(MlpPart::Down) => "v.blk.#.ffn_down",
        TensorRole::Projector(ProjectorPart::Norm) => "v.post_ln",
        TensorRole::Projector(ProjectorPart::First) => "mm.0",
        TensorRole::Projector(ProjectorPart::Second) => "mm.2",
        TensorRole::Probe(name) => name,
    }
}

/// The module of the patch embedding; its `weight` is for the first frame, its `weight.1` for the second.
const PATCH_EMBEDDING: &str = "v.patch_embd";

impl Gguf {
    /// Adds the attention inputs of each block: query, key and value are one matrix in the hub's layout.
    fn join_attention(&self, tensors: &mut HashMap<String, TensorEntry>) -> Result<()> {
        for name in self.tensors.keys().filter(|name| name.starts_with("v.blk.")) {
            let Some((block, end)) = name.split_once(".attn_q.") else { continue };
            let [query, key, value] = ["q", "k", "v"].map(|part| format!("{block}.attn_{part}.{end}"));
            let Some(id) = TensorId::find(&format!("{block}.attn_qkv.{end}"), module) else { continue };
            let parts = [self.tensor(&query)?, self.tensor(&key)?, self.tensor(&value)?];
            let first = parts[0];
            if parts.iter().any(|part| part.encoding != first.encoding || part.shape[1..] != first.shape[1..]) {
                return Err(Error::tensor(id.to_string(), "query, key and value have different types or widths"));
            }
            let mut shape = first.shape.clone();
            shape[0] = parts.iter().map(|part| part.shape[0]).sum();
            let pieces = parts.iter().flat_map(|part| part.pieces.iter().cloned()).collect();
            tensors.insert(id.to_string(), first.with_data(shape, pieces));
        }
        Ok(())
    }

    /// Replaces the patch embedding of one frame by that of two frames, which the file stores one by one.
    fn join_patches(&self, tensors: &mut HashMap<String, TensorEntry>) -> Result<()> {
        let names = ["weight", "weight.1"].map(|end| format!("{PATCH_EMBEDDING}.{end}"));
        let mut frames = Vec::new();
        for name in &names {
            let entry = self.tensor(name)?;
            let &[rows, channels, PATCH, PATCH] = entry.shape.as_slice() else {
                let shape = &entry.shape;
                let reason = format!("shape {shape:?}; four dimensions, the last two {PATCH}, are expected");
                return Err(Error::tensor(name, reason));
            };
            frames.push((entry.values(), [rows, channels]));
        }
        let ([first, second], [rows, channels]) = match frames.as_slice() {
            [(first, shape), (second, other)] if shape == other => ([first, second], *shape),
            _ => return Err(Error::tensor(&names[1], "another shape than that of the first frame")),
        };
        let mut bytes = Vec::with_capacity(8 * first.len());
        let pixels = PATCH * PATCH;
        for (first, second) in first.chunks_exact(pixels).zip(second.chunks_exact(pixels)) {
            bytes.extend(first.iter().chain(second).flat_map(|value| value.to_le_bytes()));
        }
        let shape = vec![rows, channels, 2, PATCH, PATCH];
        let entry = TensorEntry::new(&self.path, Encoding::Float(FloatType::F32), shape, vec![bytes.into()], None);
        tensors.insert(TensorId::from(TensorRole::VisionPatch).to_string(), entry);
        Ok(())
    }
}
