//! The files of a checkpoint: one `model.safetensors`, or shards with an index.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::gguf;
use super::gguf::blocks::Block;
use super::quantized::{METADATA, QuantizationReport};
use super::source::{FloatType, WeightFormat};
use crate::error::{Error, Result};

pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// An opened checkpoint directory. Nothing but the headers is read until a tensor is asked for.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    tensors: HashMap<String, TensorEntry>,
    /// What the files say of themselves when their matrices are rounded.
    receipt: Option<QuantizationReport>,
    /// What GGUF files have of the texts that the hub has as files.
    texts: Vec<(&'static str, String)>,
}

/// Tensors of which some bytes are part of a checkpoint's fingerprint, and how many of the first and of the last.
const SAMPLED: usize = 16;
const SAMPLE: usize = 256;

/// How values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Float(FloatType),
    /// Blocks of neighbours in a row.
    Block(Block),
    /// Bytes that stand for themselves.
    Bytes,
    /// What is not supported.
    Other(Dtype),
}

impl Encoding {
    fn new(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::Float(FloatType::F32),
            Dtype::F16 => Self::Float(FloatType::F16),
            Dtype::BF16 => Self::Float(FloatType::Bf16),
            Dtype::U8 => Self::Bytes,
            other => Self::Other(other),
        }
    }

    /// Bytes of so many values; `None` when they are no whole blocks.
    pub(super) fn size(self, values: usize) -> Option<usize> {
        match self {
            Self::Float(float) => values.checked_mul(float.size()),
            Self::Block(block) if values.is_multiple_of(block.values()) => {
                (values / block.values()).checked_mul(block.bytes())
            }
            Self::Bytes => Some(values),
            Self::Block(_) | Self::Other(_) => None,
        }
    }

    /// Bytes of a tensor; `None` when its rows are no whole blocks, or it is too large for this computer.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (&width, outer) = shape.split_last()?;
        let rows = outer.iter().try_fold(1_usize, |rows, &size| rows.checked_mul(size))?;
        self.size(width)?.checked_mul(rows)
    }
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    file: PathBuf,
    pub(super) encoding: Encoding,
    pub(super) shape: Vec<usize>,
    /// Whole rows one after the other; a matrix may be stored as several.
    pub(super) pieces: Vec<Bytes>,
    /// `None` for what was put together in memory.
    map: Option<Arc<Mmap>>,
}

impl TensorEntry {
    pub(super) fn new(
        file: &Path,
        encoding: Encoding,
        shape: Vec<usize>,
        pieces: Vec<Bytes>,
        map: Option<Arc<Mmap>>,
    ) -> Self {
        Self { file: file.to_path_buf(), encoding, shape, pieces, map }
    }

    /// Another tensor of the same file.
    pub(super) fn with(&self, shape: Vec<usize>, pieces: Vec<Bytes>) -> Self {
        Self { shape, pieces, ..self.clone() }
    }

    /// Bytes that it takes.
    pub(super) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// One run of bytes, shared with the file where it is one there.
    pub(super) fn whole(&self) -> Bytes {
        match self.pieces.as_slice() {
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// A row of the tensor, taken as a matrix, as f32.
    pub(super) fn read_row(&self, row: usize, to: &mut [f32]) {
        let bytes = self.row(row, to.len());
        let pairs = bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair));
        match self.encoding {
            Encoding::Float(FloatType::F32) => {
                to.iter_mut().zip(bytes.as_chunks().0).for_each(|(to, &four)| *to = f32::from_le_bytes(four));
            }
            Encoding::Float(FloatType::F16) => {
                to.iter_mut().zip(pairs).for_each(|(to, bits)| *to = f16::from_bits(bits).to_f32());
            }
            Encoding::Float(FloatType::Bf16) => {
                to.iter_mut().zip(pairs).for_each(|(to, bits)| *to = bf16::from_bits(bits).to_f32());
            }
            Encoding::Block(block) => {
                let blocks = bytes.chunks_exact(block.bytes());
                to.chunks_exact_mut(block.values()).zip(blocks).for_each(|(to, bytes)| block.unpack(bytes, to));
            }
            Encoding::Bytes | Encoding::Other(_) => unreachable!("not numbers"),
        }
    }

    /// The bytes of a row of so many values.
    pub(super) fn row(&self, mut row: usize, width: usize) -> &[u8] {
        let size = self.encoding.size(width).unwrap_or(0);
        for piece in &self.pieces {
            let rows = piece.len() / size.max(1);
            if row < rows {
                return &piece[row * size..(row + 1) * size];
            }
            row -= rows;
        }
        unreachable!("the row lies outside the tensor")
    }

    /// All values as f32.
    pub(super) fn values(&self) -> Vec<f32> {
        let width = self.shape.last().copied().unwrap_or(1);
        let mut values = vec![0.0; self.shape.iter().product()];
        values.chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, to)| self.read_row(row, to));
        values
    }

    /// Give back the memory that holds the values now: they are read from the file again when they are used again.
    ///
    /// Only Unix has that; elsewhere the memory goes when the checkpoint is closed.
    pub(super) fn release(&self) {
        #[cfg(unix)]
        for piece in &self.pieces {
            self.advise_release(piece);
        }
    }

    #[cfg(unix)]
    fn advise_release(&self, piece: &Bytes) {
        let Some(map) = &self.map else { return };
        let start = piece.as_ptr().addr() - map.as_ptr().addr();
        // Only what this tensor does not share with its neighbours, and what starts at a page of any size in use.
        let (from, to) = (start.next_multiple_of(PAGE), (start + piece.len()) / PAGE * PAGE);
        if from < to {
            // SAFETY: the map is of a file and read-only, so nothing that was written can be lost.
            #[allow(unsafe_code)]
            let released = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
            if let Err(error) = released {
                tracing::debug!(%error, "memory of the map stays in use");
            }
        }
    }
}

#[cfg(unix)]
const PAGE: usize = 1 << 16;

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Map the safetensors files of `directory`, and check that they are whole.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Checkpoint`] when there are no weights, a shard that
    /// the index names is missing or truncated, or a header is broken.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        let index = directory.join(INDEX);
        let mut tensors = HashMap::new();
        let mut receipt = None;
        if index.is_file() {
            let text = std::fs::read_to_string(&index).map_err(|error| Error::io(&index, error))?;
            let map: Index =
                serde_json::from_str(&text).map_err(|error| Error::checkpoint(&index, error.to_string()))?;
            let mut files: Vec<&String> = map.weight_map.values().collect();
            files.sort();
            files.dedup();
            for file in files {
                let path = shard_path(directory, file, &index)?;
                receipt = read_file(&path, &mut tensors)?.or(receipt);
            }
            let elsewhere = |name: &str, file: &str| {
                tensors.get(name).is_none_or(|place: &TensorEntry| place.file != directory.join(file))
            };
            if let Some((name, file)) = map.weight_map.iter().find(|(name, file)| elsewhere(name, file)) {
                return Err(Error::checkpoint(
                    directory.join(file),
                    format!("the index places tensor {name} here, but it is absent"),
                ));
            }
        } else {
            let path = directory.join(SINGLE);
            if !path.is_file() {
                return Err(Error::checkpoint(directory, format!("no weights: neither {SINGLE} nor {INDEX}")));
            }
            receipt = read_file(&path, &mut tensors)?;
        }
        Ok(Self { directory: directory.to_path_buf(), tensors, receipt, texts: Vec::new() })
    }

    /// Open GGUF files: `path` is that of the language model, with the vision tower's beside it (`mmproj` is in its
    /// name), or a folder with both. `None` when it is neither.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Checkpoint`] when there is not one of each, a header is
    /// broken, or it is of another architecture; [`Error::Tensor`] when a tensor's type is not supported.
    pub fn open_gguf(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let Some(files) = gguf::find(path.as_ref())? else { return Ok(None) };
        let gguf::Files { directory, tensors, texts } = gguf::open(files)?;
        Ok(Some(Self { directory, tensors, receipt: None, texts }))
    }

    /// What GGUF files have of the texts that the hub has as files: names and contents.
    pub fn texts(&self) -> &[(&'static str, String)] {
        &self.texts
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the checkpoint says of itself when its matrices are rounded.
    pub fn quantization_report(&self) -> Option<&QuantizationReport> {
        self.receipt.as_ref()
    }

    /// The number format that its weights have in memory when `asked` is asked for.
    ///
    /// # Errors
    /// [`Error::Option`] when they are rounded to another one.
    pub fn weights(&self, asked: WeightFormat) -> Result<WeightFormat> {
        match &self.receipt {
            None => Ok(asked),
            Some(receipt) if asked == WeightFormat::Native || asked == receipt.weights => Ok(asked),
            Some(receipt) => {
                let (directory, held) = (self.directory.display(), receipt.weights.name());
                let reason =
                    format!("{directory} holds {held} weights; load it as {held} or native, not {}", asked.name());
                Err(Error::option("weights", reason))
            }
        }
    }

    /// Whether matrices have four or eight bits in memory when `weights` is asked for.
    pub fn is_rounded(&self, weights: WeightFormat) -> bool {
        let has_blocks = self.tensors.values().any(|place| matches!(place.encoding, Encoding::Block(_)));
        weights.bits().is_some() || weights == WeightFormat::Native && (self.receipt.is_some() || has_blocks)
    }

    /// What tells this checkpoint from others: the SHA-256 of all names, types and shapes, and of some bytes.
    pub fn fingerprint(&self) -> String {
        let mut sum = Sha256::new();
        let mut places: Vec<_> = self.places().collect();
        places.sort_by_key(|(name, _)| *name);
        let apart = places.len().div_ceil(SAMPLED).max(1);
        for (index, (name, place)) in places.into_iter().enumerate() {
            sum.update(format!("{name} {:?} {:?}\n", place.encoding, place.shape));
            if let Some(piece) = place.pieces.first().filter(|_| index % apart == 0) {
                sum.update(&piece[..piece.len().min(SAMPLE)]);
                sum.update(&piece[piece.len() - piece.len().min(SAMPLE)..]);
            }
        }
        sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes of all tensors in the files.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|place| place.len() as u64).sum()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.tensors.iter().map(|(name, place)| (name.as_str(), place))
    }

    /// The tensor `name` of a rounded checkpoint, which must be stored so and have this shape.
    pub(super) fn part(&self, name: &str, encoding: Encoding, shape: [usize; 3]) -> Result<&TensorEntry> {
        let missing = || Error::tensor(name, format!("missing from {}", self.directory.display()));
        let place = self.tensors.get(name).ok_or_else(missing)?;
        if place.encoding != encoding || place.shape != shape {
            let reason =
                format!("{:?} of shape {:?}; {encoding:?} of {shape:?} is expected", place.encoding, place.shape);
            return Err(Error::tensor(name, reason));
        }
        Ok(place)
    }

    /// Whether there is a tensor `name`, given in the older family of names.
    #[cfg(feature = "train")]
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name) || self.tensors.contains_key(&canonical_name(name))
    }

    /// The tensor `name`, given in the older family of names (`visual.*`, `model.*`), whichever family the files use.
    pub(super) fn place(&self, name: &str) -> Result<&TensorEntry> {
        let place = self
            .tensors
            .get(name)
            .or_else(|| self.tensors.get(&canonical_name(name)))
            .ok_or_else(|| Error::tensor(name, format!("missing from {}", self.directory.display())))?;
        match place.encoding {
            Encoding::Float(_) | Encoding::Block(_) => Ok(place),
            Encoding::Bytes | Encoding::Other(_) => {
                let kind = if let Encoding::Other(dtype) = place.encoding { dtype } else { Dtype::U8 };
                let reason = format!("type {kind:?} in {}; F32, F16 and BF16 are supported", place.file.display());
                Err(Error::tensor(name, reason))
            }
        }
    }
}

/// The name that newer releases of the reference give to the same tensor.
fn canonical_name(name: &str) -> String {
    match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None if name.starts_with("visual.") => format!("model.{name}"),
        None => name.to_owned(),
    }
}

/// The older family's name of a tensor.
pub(super) fn legacy_name(name: &str) -> String {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => name.strip_prefix("model.").filter(|rest| rest.starts_with("visual.")).unwrap_or(name).to_owned(),
    }
}

/// A shard's path; the index may only name files of its own directory.
fn shard_path(directory: &Path, file: &str, index: &Path) -> Result<PathBuf> {
    if Path::new(file).file_name().is_none_or(|name| name != file) {
        return Err(Error::checkpoint(index, format!("names {file:?}, which is not a file of this directory")));
    }
    let path = directory.join(file);
    if path.is_file() { Ok(path) } else { Err(Error::checkpoint(path, "missing; the index names it")) }
}

/// Add a file's tensors; gives its receipt, when its matrices are rounded.
fn read_file(path: &Path, tensors: &mut HashMap<String, TensorEntry>) -> Result<Option<QuantizationReport>> {
    let map = Arc::new(map_file(path)?);
    let bytes = Bytes::from_owner(Shared(Arc::clone(&map)));
    let (header, metadata) = SafeTensors::read_metadata(&map)
        .map_err(|error| Error::checkpoint(path, format!("not a whole safetensors file ({error}); fetch it again")))?;
    let start = header + 8;
    for (name, info) in metadata.tensors() {
        let (from, to) = (start + info.data_offsets.0, start + info.data_offsets.1);
        if from > to || to > map.len() {
            return Err(Error::checkpoint(path, format!("truncated: {} bytes, tensor {name} ends at {to}", map.len())));
        }
        let pieces = vec![bytes.slice(from..to)];
        let place =
            TensorEntry::new(path, Encoding::new(info.dtype), info.shape.clone(), pieces, Some(Arc::clone(&map)));
        if let Some(other) = tensors.insert(name.clone(), place) {
            let reason = format!("holds tensor {name}, and so does {}", other.file.display());
            return Err(Error::checkpoint(path, reason));
        }
    }
    let receipt = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    receipt.map(|text| QuantizationReport::parse(path, text)).transpose()
}

pub(super) struct Shared(pub(super) Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

pub(super) fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    // SAFETY: the map is read-only and private to this process. Another program that cuts the file short while it
    // is in use can end this process with SIGBUS, as with every library that maps its weights.
    #[allow(unsafe_code)]
    unsafe { Mmap::map(&file) }.map_err(|error| Error::io(path, error))
}
