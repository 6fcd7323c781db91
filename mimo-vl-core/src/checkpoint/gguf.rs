//! GGUF files: the language model in one, the vision tower and the projector in another.
//!
//! The layout is that of ggml's `gguf.md`, version 2 and 3; names and metadata are those that llama.cpp's converter
//! writes for the architecture `qwen2vl` and the projector `qwen2.5vl_merger`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;
use serde_json::{Value, json};

use super::blocks::Block;
use super::files::{Encoding, INDEX, Place, SINGLE, Shared, map_file};
use super::source::FloatType;
use crate::error::{Error, Result};

/// Types of tensors by their number, as far as messages should name them.
const TYPES: [(u32, &str); 22] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (6, "Q5_0"),
    (7, "Q5_1"),
    (8, "Q8_0"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (12, "Q4_K"),
    (13, "Q5_K"),
    (14, "Q6_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (20, "IQ4_NL"),
    (23, "IQ4_XS"),
    (30, "BF16"),
    (34, "TQ1_0"),
    (39, "MXFP4"),
];

/// Most metadata entries, tensors, and values of a list that are read: far above every published file.
const MOST: u64 = 1 << 22;

/// Both files of a model.
pub(super) struct Files {
    pub(super) directory: PathBuf,
    pub(super) tensors: HashMap<String, Place>,
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
    let folder = if is_file { path.parent().unwrap_or(Path::new(".")) } else { path };
    let Ok(entries) = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }) else {
        return Ok(None);
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_gguf(path)).collect();
    files.sort();
    let is_vision = |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains("mmproj"));
    let (vision, language): (Vec<&PathBuf>, Vec<&PathBuf>) = files.iter().partition(is_vision);
    if files.is_empty() {
        return Ok(None);
    }
    let one = |found: &[&PathBuf], what: &str| match found {
        [file] => Ok((*file).clone()),
        [] => Err(Error::checkpoint(folder, format!("no GGUF file {what} is here"))),
        several => {
            let reason =
                format!("{} GGUF files {what} are here; leave one, or name the language model's file", several.len());
            Err(Error::checkpoint(folder, reason))
        }
    };
    let language = if is_file { path.to_path_buf() } else { one(&language, "of a language model")? };
    Ok(Some([language, one(&vision, "with `mmproj` in its name, the vision tower,")?]))
}

/// Open the two files.
pub(super) fn open([language, vision]: [PathBuf; 2]) -> Result<Files> {
    let (language, vision) = (Gguf::open(&language)?, Gguf::open(&vision)?);
    let directory = language.path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let texts = texts(&language, &vision)?;
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

/// An entry of the metadata.
#[derive(Debug, Clone)]
enum Entry {
    Integer(i64),
    Number(f64),
    Flag,
    Text(String),
    List(Vec<Entry>),
}

/// One file.
struct Gguf {
    path: PathBuf,
    metadata: HashMap<String, Entry>,
    tensors: HashMap<String, Place>,
}

impl Gguf {
    fn open(path: &Path) -> Result<Self> {
        let map = Arc::new(map_file(path)?);
        let mut reader = Reader { path, bytes: &map, at: 0 };
        if reader.take(4)? != b"GGUF" {
            return Err(Error::checkpoint(path, "not a GGUF file: it does not start with GGUF"));
        }
        match reader.u32()? {
            2 | 3 => {}
            version => {
                return Err(Error::checkpoint(path, format!("version {version} of GGUF; 2 and 3 are supported")));
            }
        }
        let (count, entries) = (reader.count("tensors")?, reader.count("metadata entries")?);
        let mut metadata = HashMap::new();
        for _ in 0..entries {
            let name = reader.text()?;
            let kind = reader.u32()?;
            metadata.insert(name, reader.entry(kind, 0)?);
        }
        let mut places = Vec::new();
        for _ in 0..count {
            places.push(reader.place()?);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Entry::Integer(alignment)) => usize::try_from(*alignment).unwrap_or(0),
            _ => 32,
        };
        if !alignment.is_power_of_two() {
            return Err(Error::checkpoint(
                path,
                format!("general.alignment is {alignment}; it must be a power of two"),
            ));
        }
        let start = reader.at.next_multiple_of(alignment);
        let all = Bytes::from_owner(Shared(Arc::clone(&map)));
        let mut tensors = HashMap::new();
        for Info { name, encoding, shape, offset } in places {
            let bytes = encoding
                .bytes(&shape)
                .ok_or_else(|| Error::tensor(&name, format!("shape {shape:?} in {}", path.display())))?;
            let end = offset.checked_add(start).and_then(|from| Some((from, from.checked_add(bytes)?)));
            let Some((from, to)) = end.filter(|(_, to)| *to <= map.len()) else {
                let reason =
                    format!("truncated: {} bytes, tensor {name} has {bytes} at {offset} of {start}", map.len());
                return Err(Error::checkpoint(path, reason));
            };
            let place = Place::new(path, encoding, shape, vec![all.slice(from..to)], Some(Arc::clone(&map)));
            if tensors.insert(name.clone(), place).is_some() {
                return Err(Error::checkpoint(path, format!("holds tensor {name} twice")));
            }
        }
        Ok(Self { path: path.to_path_buf(), metadata, tensors })
    }

    /// Query, key and value of each block are one matrix in the hub's layout.
    fn join_attention(&self, tensors: &mut HashMap<String, Place>) -> Result<()> {
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
    fn join_patches(&self, tensors: &mut HashMap<String, Place>) -> Result<()> {
        let names = ["v.patch_embd.weight", "v.patch_embd.weight.1"];
        let mut frames = Vec::new();
        for name in names {
            let place = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
            let &[rows, channels, side, other] = place.shape.as_slice() else {
                return Err(Error::tensor(name, format!("shape {:?}; four dimensions are expected", place.shape)));
            };
            frames.push((place.values(), [rows, channels, side * other]));
        }
        let ([first, second], [rows, channels, pixels]) = match frames.as_slice() {
            [(first, shape), (second, other)] if shape == other => ([first, second], *shape),
            _ => return Err(Error::tensor(names[1], "another shape than that of the first frame")),
        };
        let mut bytes = Vec::with_capacity(8 * first.len());
        for (first, second) in first.chunks_exact(pixels).zip(second.chunks_exact(pixels)) {
            bytes.extend(first.iter().chain(second).flat_map(|value| value.to_le_bytes()));
        }
        let side = pixels.isqrt();
        let shape = vec![rows, channels, 2, side, side];
        let place = Place::new(&self.path, Encoding::Float(FloatType::F32), shape, vec![bytes.into()], None);
        tensors.insert("visual.patch_embed.proj.weight".to_owned(), place);
        Ok(())
    }

    fn missing(&self, name: &str) -> Error {
        Error::tensor(name, format!("missing from {}", self.path.display()))
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        Error::checkpoint(&self.path, format!("{name} of its metadata is missing or no {expected}"))
    }

    fn integer(&self, name: &str) -> Result<i64> {
        self.optional_integer(name).ok_or_else(|| self.wrong(name, "integer"))
    }

    fn optional_integer(&self, name: &str) -> Option<i64> {
        match self.metadata.get(name) {
            Some(Entry::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    fn number(&self, name: &str) -> Result<f64> {
        match self.metadata.get(name) {
            Some(Entry::Number(value)) => Ok(*value),
            Some(Entry::Integer(value)) => Ok(*value as f64),
            _ => Err(self.wrong(name, "number")),
        }
    }

    fn text(&self, name: &str) -> Result<&str> {
        match self.metadata.get(name) {
            Some(Entry::Text(text)) => Ok(text),
            _ => Err(self.wrong(name, "text")),
        }
    }

    fn list<T>(&self, name: &str, of: impl Fn(&Entry) -> Option<T>) -> Result<Vec<T>> {
        let list = match self.metadata.get(name) {
            Some(Entry::List(list)) => list.iter().map(of).collect(),
            _ => None,
        };
        list.ok_or_else(|| self.wrong(name, "list of the right kind"))
    }
}

struct Info {
    name: String,
    encoding: Encoding,
    shape: Vec<usize>,
    offset: usize,
}

/// Reads a file from its start.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a Mmap,
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| Error::checkpoint(self.path, "truncated in its header; fetch it again"))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self, what: &str) -> Result<usize> {
        match self.u64()? {
            count @ 0..=MOST => Ok(count as usize),
            count => Err(Error::checkpoint(self.path, format!("{count} {what}; the header is broken"))),
        }
    }

    fn text(&mut self) -> Result<String> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        let bytes = self.take(count)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Error::checkpoint(self.path, "a text in its header is not UTF-8"))
    }

    fn entry(&mut self, kind: u32, depth: usize) -> Result<Entry> {
        Ok(match kind {
            0 => Entry::Integer(self.array::<1>()?[0].into()),
            1 => Entry::Integer(i8::from_le_bytes(self.array()?).into()),
            2 => Entry::Integer(u16::from_le_bytes(self.array()?).into()),
            3 => Entry::Integer(i16::from_le_bytes(self.array()?).into()),
            4 => Entry::Integer(self.u32()?.into()),
            5 => Entry::Integer(i32::from_le_bytes(self.array()?).into()),
            6 => Entry::Number(f32::from_le_bytes(self.array()?).into()),
            7 => {
                self.take(1)?;
                Entry::Flag
            }
            8 => Entry::Text(self.text()?),
            9 if depth < 2 => {
                let (kind, count) = (self.u32()?, self.count("values of a list")?);
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.entry(kind, depth + 1)?);
                }
                Entry::List(list)
            }
            10 => Entry::Integer(i64::try_from(self.u64()?).unwrap_or(i64::MAX)),
            11 => Entry::Integer(i64::from_le_bytes(self.array()?)),
            12 => Entry::Number(f64::from_le_bytes(self.array()?)),
            other => {
                return Err(Error::checkpoint(self.path, format!("type {other} of metadata; the header is broken")));
            }
        })
    }

    /// Where a tensor is. Dimensions come from the innermost on.
    fn place(&mut self) -> Result<Info> {
        let name = self.text()?;
        let dimensions = self.u32()?;
        if dimensions > 8 {
            return Err(Error::tensor(name, format!("{dimensions} dimensions in {}", self.path.display())));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        }
        shape.reverse();
        let (kind, offset) = (self.u32()?, usize::try_from(self.u64()?).unwrap_or(usize::MAX));
        let encoding = match kind {
            0 => Encoding::Float(FloatType::F32),
            1 => Encoding::Float(FloatType::F16),
            30 => Encoding::Float(FloatType::Bf16),
            2 => Encoding::Block(Block::Q4_0),
            8 => Encoding::Block(Block::Q8_0),
            12 => Encoding::Block(Block::Q4K),
            14 => Encoding::Block(Block::Q6K),
            other => {
                let known = TYPES.iter().find(|(number, _)| *number == other).map_or("unknown", |(_, name)| name);
                let reason = format!(
                    "type {known} ({other}) in {}; F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K are supported",
                    self.path.display()
                );
                return Err(Error::tensor(name, reason));
            }
        };
        Ok(Info { name, encoding, shape, offset })
    }
}

/// What the hub has as files beside the weights, from the metadata.
fn texts(language: &Gguf, vision: &Gguf) -> Result<Vec<(&'static str, String)>> {
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
    if pattern < 1 {
        return Err(Error::checkpoint(&vision.path, format!("clip.vision.n_wa_pattern is {pattern}")));
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
