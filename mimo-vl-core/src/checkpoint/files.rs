//! The weight files of a checkpoint: one `model.safetensors`, shards with an index, or two GGUF files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::entry::{Encoding, Shared, TensorEntry, map_file};
use super::formats::WeightFormat;
use super::gguf;
use super::names::{INDEX, SINGLE, TensorId, canonical_name};
use super::quantized::{METADATA, QuantizationReport};
use crate::error::{Error, Result};

/// An opened checkpoint directory. Only headers are read until a tensor is loaded.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    tensors: HashMap<String, TensorEntry>,
    /// Report from the metadata of a quantized checkpoint.
    report: Option<QuantizationReport>,
    /// Files reconstructed from GGUF metadata, by name.
    metadata_files: Vec<(&'static str, String)>,
}

/// Tensors whose bytes enter a checkpoint's fingerprint.
const FINGERPRINT_TENSORS: usize = 16;
/// Bytes that enter it from either end of such a tensor.
const FINGERPRINT_BYTES: usize = 256;

#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Checkpoint {
    /// Maps the safetensors files of `directory` and checks that none is truncated.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Checkpoint`] when there are no weights, a shard that
    /// the index names is missing or truncated, or a header is broken.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self> {
        let directory = directory.as_ref();
        let index = directory.join(INDEX);
        let mut tensors = HashMap::new();
        let mut report = None;
        if index.is_file() {
            let text = std::fs::read_to_string(&index).map_err(|error| Error::io(&index, error))?;
            let map: Index =
                serde_json::from_str(&text).map_err(|error| Error::checkpoint(&index, error.to_string()))?;
            let mut files: Vec<&String> = map.weight_map.values().collect();
            files.sort();
            files.dedup();
            for file in files {
                let path = shard_path(directory, file, &index)?;
                report = read_file(&path, &mut tensors)?.or(report);
            }
            let elsewhere = |name: &str, file: &str| {
                tensors.get(name).is_none_or(|entry: &TensorEntry| entry.file != directory.join(file))
            };
            if let Some((name, file)) = map.weight_map.iter().find(|(name, file)| elsewhere(name, file)) {
                return Err(Error::checkpoint(
                    directory.join(file),
                    format!("lacks tensor {name}, which the index maps to this file"),
                ));
            }
        } else {
            let path = directory.join(SINGLE);
            if !path.is_file() {
                return Err(Error::checkpoint(directory, format!("no weights: neither {SINGLE} nor {INDEX}")));
            }
            report = read_file(&path, &mut tensors)?;
        }
        Ok(Self { directory: directory.to_path_buf(), tensors, report, metadata_files: Vec::new() })
    }

    /// Opens GGUF files: `path` is that of the language model, with the vision tower's beside it (`mmproj` is in its
    /// name), or a folder with both. `None` when it is neither.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read; [`Error::Checkpoint`] when there is not one of each, a header is
    /// broken, or it is of another architecture; [`Error::Tensor`] when a tensor's type is not supported.
    pub fn open_gguf(path: impl AsRef<Path>) -> Result<Option<Self>> {
        let Some(files) = gguf::find(path.as_ref())? else { return Ok(None) };
        let gguf::Model { directory, tensors, metadata_files } = gguf::open(files)?;
        Ok(Some(Self { directory, tensors, report: None, metadata_files }))
    }

    /// Config and tokenizer files reconstructed from GGUF metadata: names and contents. Empty for safetensors.
    pub fn metadata_files(&self) -> &[(&'static str, String)] {
        &self.metadata_files
    }

    /// The directory of the files.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The report of a quantized checkpoint; `None` for others.
    pub fn quantization_report(&self) -> Option<&QuantizationReport> {
        self.report.as_ref()
    }

    /// The number format of the weights in memory when `requested` is the option: the same, unless the checkpoint is
    /// quantized.
    ///
    /// # Errors
    /// [`Error::Option`] when the checkpoint is quantized to another format.
    pub fn weight_format(&self, requested: WeightFormat) -> Result<WeightFormat> {
        match &self.report {
            None => Ok(requested),
            Some(report) if requested == WeightFormat::Native || requested == report.weights => Ok(requested),
            Some(report) => {
                let (directory, stored) = (self.directory.display(), report.weights.name());
                let requested = requested.name();
                let reason =
                    format!("{directory} has {stored} weights; load it as {stored} or native, not {requested}");
                Err(Error::option("weights", reason))
            }
        }
    }

    /// True when matrices have four or eight bits in memory, loaded as `weights`.
    pub fn is_quantized(&self, weights: WeightFormat) -> bool {
        let has_blocks = self.tensors.values().any(|entry| matches!(entry.encoding, Encoding::Block(_)));
        weights.bits().is_some() || weights == WeightFormat::Native && (self.report.is_some() || has_blocks)
    }

    /// Fingerprint of the weights: SHA-256 over all names, types and shapes, and some bytes, in hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut hasher = Sha256::new();
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_by_key(|(name, _)| *name);
        let stride = entries.len().div_ceil(FINGERPRINT_TENSORS).max(1);
        for (index, (name, entry)) in entries.into_iter().enumerate() {
            hasher.update(format!("{name} {:?} {:?}\n", entry.encoding, entry.shape));
            if let Some(piece) = entry.pieces.first().filter(|_| index % stride == 0) {
                hasher.update(&piece[..piece.len().min(FINGERPRINT_BYTES)]);
                hasher.update(&piece[piece.len() - piece.len().min(FINGERPRINT_BYTES)..]);
            }
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Stored bytes of all tensors.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|entry| entry.byte_len() as u64).sum()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &TensorEntry)> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// The codes or scales called `name` of a quantized checkpoint, with this encoding and shape.
    pub(super) fn quantized_entry(&self, name: &str, encoding: Encoding, shape: [usize; 3]) -> Result<&TensorEntry> {
        let entry = self.tensors.get(name).ok_or_else(|| self.missing(name))?;
        if entry.encoding != encoding || entry.shape != shape {
            let reason =
                format!("{:?} of shape {:?}; {encoding:?} of {shape:?} is expected", entry.encoding, entry.shape);
            return Err(Error::tensor(name, reason));
        }
        Ok(entry)
    }

    /// True when the files have the tensor, under either name.
    #[cfg(feature = "train")]
    pub(crate) fn has(&self, id: TensorId) -> bool {
        self.find(&id.to_string()).is_some()
    }

    /// The tensor of numbers `id`, in whichever family the files name it.
    pub(super) fn entry(&self, id: TensorId) -> Result<&TensorEntry> {
        let name = id.to_string();
        let entry = self.find(&name).ok_or_else(|| self.missing(&name))?;
        match entry.encoding {
            Encoding::Float(_) | Encoding::Block(_) => Ok(entry),
            Encoding::Bytes | Encoding::Other(_) => {
                let kind = if let Encoding::Other(dtype) = entry.encoding { dtype } else { Dtype::U8 };
                let reason = format!("type {kind:?} in {}; F32, F16 and BF16 are supported", entry.file.display());
                Err(Error::tensor(name, reason))
            }
        }
    }

    fn find(&self, legacy_name: &str) -> Option<&TensorEntry> {
        self.tensors.get(legacy_name).or_else(|| self.tensors.get(&canonical_name(legacy_name)))
    }

    fn missing(&self, name: &str) -> Error {
        Error::tensor(name, format!("missing from {}", self.directory.display()))
    }
}

/// The path of a shard; the index may only name files of its own directory.
fn shard_path(directory: &Path, file: &str, index: &Path) -> Result<PathBuf> {
    if Path::new(file).file_name().is_none_or(|name| name != file) {
        return Err(Error::checkpoint(index, format!("names {file:?}, which is not a file of this directory")));
    }
    let path = directory.join(file);
    if path.is_file() { Ok(path) } else { Err(Error::checkpoint(path, "missing; the index names it")) }
}

/// Adds the tensors of a file. Returns its report when it is quantized.
fn read_file(path: &Path, tensors: &mut HashMap<String, TensorEntry>) -> Result<Option<QuantizationReport>> {
    let map = Arc::new(map_file(path)?);
    let bytes = Bytes::from_owner(Shared(Arc::clone(&map)));
    let (header, metadata) = SafeTensors::read_metadata(&map).map_err(|error| {
        Error::checkpoint(path, format!("broken or truncated safetensors file ({error}); download it again"))
    })?;
    let data = header + 8;
    for (name, info) in metadata.tensors() {
        let (start, end) = (data + info.data_offsets.0, data + info.data_offsets.1);
        if start > end || end > map.len() {
            return Err(Error::checkpoint(
                path,
                format!("truncated: {} bytes, tensor {name} ends at {end}", map.len()),
            ));
        }
        let pieces = vec![bytes.slice(start..end)];
        let entry =
            TensorEntry::new(path, Encoding::new(info.dtype), info.shape.clone(), pieces, Some(Arc::clone(&map)));
        if let Some(other) = tensors.insert(name.clone(), entry) {
            let reason = format!("tensor {name} is also in {}", other.file.display());
            return Err(Error::checkpoint(path, reason));
        }
    }
    let report = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    report.map(|text| QuantizationReport::parse(path, text)).transpose()
}
