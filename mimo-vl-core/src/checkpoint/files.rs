//! The files of a checkpoint: one `model.safetensors`, or shards with an index.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::rounded::{METADATA, Receipt};
use super::source::{FloatType, Weights};
use crate::error::{Error, Result};

pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// An opened checkpoint directory. Nothing but the headers is read until a tensor is asked for.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    tensors: HashMap<String, Place>,
    /// What the files say of themselves when their matrices are rounded.
    receipt: Option<Receipt>,
}

/// Where a tensor lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    file: PathBuf,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) bytes: Bytes,
    map: Arc<Mmap>,
}

/// A tensor's values as stored.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) shape: Vec<usize>,
    pub(super) float: FloatType,
    pub(super) bytes: Bytes,
    map: Arc<Mmap>,
}

impl Stored {
    /// Give back the memory that holds the values now: they are read from the file again when they are used again.
    ///
    /// Only Unix has that; elsewhere the memory goes when the checkpoint is closed.
    pub(super) fn release(&self) {
        #[cfg(unix)]
        self.advise_release();
    }

    #[cfg(unix)]
    fn advise_release(&self) {
        let start = self.bytes.as_ptr().addr() - self.map.as_ptr().addr();
        // Only what this tensor does not share with its neighbours, and what starts at a page of any size in use.
        let (from, to) = (start.next_multiple_of(PAGE), (start + self.bytes.len()) / PAGE * PAGE);
        if from < to {
            // SAFETY: the map is of a file and read-only, so nothing that was written can be lost.
            #[allow(unsafe_code)]
            let released =
                unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, to - from) };
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
                tensors.get(name).is_none_or(|place: &Place| place.file != directory.join(file))
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
        Ok(Self { directory: directory.to_path_buf(), tensors, receipt })
    }

    /// The directory that was opened.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What the checkpoint says of itself when its matrices are rounded.
    pub fn receipt(&self) -> Option<&Receipt> {
        self.receipt.as_ref()
    }

    /// The number format that its weights have in memory when `asked` is asked for.
    ///
    /// # Errors
    /// [`Error::Option`] when they are rounded to another one.
    pub fn weights(&self, asked: Weights) -> Result<Weights> {
        match &self.receipt {
            None => Ok(asked),
            Some(receipt) if asked == Weights::Native || asked == receipt.weights => Ok(receipt.weights),
            Some(receipt) => {
                let (directory, held) = (self.directory.display(), receipt.weights.name());
                let reason =
                    format!("{directory} holds {held} weights; load it as {held} or native, not {}", asked.name());
                Err(Error::option("weights", reason))
            }
        }
    }

    /// Bytes of all tensors in the files.
    pub fn bytes(&self) -> u64 {
        self.tensors.values().map(|place| place.bytes.len() as u64).sum()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.tensors.iter().map(|(name, place)| (name.as_str(), place))
    }

    /// The tensor `name` of a rounded checkpoint, which must have this type and shape.
    pub(super) fn place(&self, name: &str, dtype: Dtype, shape: [usize; 3]) -> Result<&Place> {
        let missing = || Error::tensor(name, format!("missing from {}", self.directory.display()));
        let place = self.tensors.get(name).ok_or_else(missing)?;
        if place.dtype != dtype || place.shape != shape {
            let reason = format!("{:?} of shape {:?}; {dtype:?} of {shape:?} is expected", place.dtype, place.shape);
            return Err(Error::tensor(name, reason));
        }
        Ok(place)
    }

    /// The tensor `name`, given in the older family of names (`visual.*`, `model.*`), whichever family the files use.
    pub(super) fn stored(&self, name: &str) -> Result<Stored> {
        let place = self
            .tensors
            .get(name)
            .or_else(|| self.tensors.get(&newer_name(name)))
            .ok_or_else(|| Error::tensor(name, format!("missing from {}", self.directory.display())))?;
        let float = match place.dtype {
            Dtype::F32 => FloatType::F32,
            Dtype::F16 => FloatType::F16,
            Dtype::BF16 => FloatType::Bf16,
            other => {
                let reason = format!("type {other:?} in {}; F32, F16 and BF16 are supported", place.file.display());
                return Err(Error::tensor(name, reason));
            }
        };
        Ok(Stored { shape: place.shape.clone(), float, bytes: place.bytes.clone(), map: Arc::clone(&place.map) })
    }
}

/// The name that newer releases of the reference give to the same tensor.
fn newer_name(name: &str) -> String {
    match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None if name.starts_with("visual.") => format!("model.{name}"),
        None => name.to_owned(),
    }
}

/// The older family's name of a tensor.
pub(super) fn older_name(name: &str) -> String {
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
fn read_file(path: &Path, tensors: &mut HashMap<String, Place>) -> Result<Option<Receipt>> {
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
        let place = Place {
            file: path.to_path_buf(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            bytes: bytes.slice(from..to),
            map: Arc::clone(&map),
        };
        if let Some(other) = tensors.insert(name.clone(), place) {
            let reason = format!("holds tensor {name}, and so does {}", other.file.display());
            return Err(Error::checkpoint(path, reason));
        }
    }
    let receipt = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA));
    receipt.map(|text| Receipt::parse(path, text)).transpose()
}

struct Shared(Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    // SAFETY: the map is read-only and private to this process. Another program that cuts the file short while it
    // is in use can end this process with SIGBUS, as with every library that maps its weights.
    #[allow(unsafe_code)]
    unsafe { Mmap::map(&file) }.map_err(|error| Error::io(path, error))
}
