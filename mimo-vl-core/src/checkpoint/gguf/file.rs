//! One GGUF file: its metadata and its tensors.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use memmap2::Mmap;

use super::blocks::Block;
use crate::checkpoint::entry::{Encoding, Shared, TensorEntry, map_file};
use crate::checkpoint::formats::FloatType;
use crate::error::{Error, Result};

/// Tensor types by number, for error messages.
const TYPE_NAMES: [(u32, &str); 22] = [
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

/// Limit of the metadata entries, of the tensors, and of the values in all lists: far above every published file.
const MAX_COUNT: u64 = 1 << 22;

/// A value of the metadata.
#[derive(Debug, Clone)]
pub(super) enum MetadataValue {
    Integer(i64),
    Number(f64),
    Flag,
    Text(String),
    List(Vec<MetadataValue>),
}

/// An opened GGUF file.
pub(super) struct Gguf {
    pub(super) path: PathBuf,
    metadata: HashMap<String, MetadataValue>,
    pub(super) tensors: HashMap<String, TensorEntry>,
}

impl Gguf {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let map = Arc::new(map_file(path)?);
        let mut reader = Reader { path, bytes: &map, at: 0, list_values: 0 };
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
            metadata.insert(name, reader.value(kind, 0)?);
        }
        let mut infos = Vec::new();
        for _ in 0..count {
            infos.push(reader.tensor_info()?);
        }
        let alignment = match metadata.get("general.alignment") {
            Some(MetadataValue::Integer(alignment)) => usize::try_from(*alignment).unwrap_or(0),
            _ => 32,
        };
        if !alignment.is_power_of_two() {
            return Err(Error::checkpoint(
                path,
                format!("general.alignment is {alignment}; it must be a power of two"),
            ));
        }
        let data = reader.at.next_multiple_of(alignment);
        let all = Bytes::from_owner(Shared(Arc::clone(&map)));
        let mut tensors = HashMap::new();
        for TensorInfo { name, encoding, shape, offset } in infos {
            let bytes = encoding
                .bytes(&shape)
                .ok_or_else(|| Error::tensor(&name, format!("shape {shape:?} in {}", path.display())))?;
            let range = offset.checked_add(data).and_then(|start| Some((start, start.checked_add(bytes)?)));
            let Some((start, end)) = range.filter(|(_, end)| *end <= map.len()) else {
                let reason = format!("truncated: {} bytes, tensor {name} has {bytes} at {offset} of {data}", map.len());
                return Err(Error::checkpoint(path, reason));
            };
            let entry = TensorEntry::new(path, encoding, shape, vec![all.slice(start..end)], Some(Arc::clone(&map)));
            if tensors.insert(name.clone(), entry).is_some() {
                return Err(Error::checkpoint(path, format!("tensor {name} is in the file twice")));
            }
        }
        Ok(Self { path: path.to_path_buf(), metadata, tensors })
    }

    pub(super) fn tensor(&self, name: &str) -> Result<&TensorEntry> {
        let missing = || Error::tensor(name, format!("missing from {}", self.path.display()));
        self.tensors.get(name).ok_or_else(missing)
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        Error::checkpoint(&self.path, format!("metadata {name} is missing or no {expected}"))
    }

    pub(super) fn integer(&self, name: &str) -> Result<i64> {
        self.optional_integer(name).ok_or_else(|| self.wrong(name, "integer"))
    }

    pub(super) fn optional_integer(&self, name: &str) -> Option<i64> {
        match self.metadata.get(name) {
            Some(MetadataValue::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<f64> {
        match self.metadata.get(name) {
            Some(MetadataValue::Number(value)) => Ok(*value),
            Some(MetadataValue::Integer(value)) => Ok(*value as f64),
            _ => Err(self.wrong(name, "number")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<&str> {
        match self.metadata.get(name) {
            Some(MetadataValue::Text(text)) => Ok(text),
            _ => Err(self.wrong(name, "text")),
        }
    }

    pub(super) fn list<T>(&self, name: &str, convert: impl Fn(&MetadataValue) -> Option<T>) -> Result<Vec<T>> {
        let list = match self.metadata.get(name) {
            Some(MetadataValue::List(list)) => list.iter().map(convert).collect(),
            _ => None,
        };
        list.ok_or_else(|| self.wrong(name, "list of the expected type"))
    }
}

/// The header entry of a tensor.
struct TensorInfo {
    name: String,
    encoding: Encoding,
    shape: Vec<usize>,
    /// Bytes from the start of the data.
    offset: usize,
}

/// Sequential reader of a header.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a Mmap,
    at: usize,
    /// Values of all lists so far.
    list_values: u64,
}

impl Reader<'_> {
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let bytes = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let bytes = bytes.ok_or_else(|| Error::checkpoint(self.path, "truncated in its header; download it again"))?;
        self.at += count;
        Ok(bytes)
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
            count @ 0..=MAX_COUNT => Ok(count as usize),
            count => Err(Error::checkpoint(self.path, format!("{count} {what}; the header is broken"))),
        }
    }

    fn text(&mut self) -> Result<String> {
        let count = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        let bytes = self.take(count)?.to_vec();
        String::from_utf8(bytes).map_err(|_| Error::checkpoint(self.path, "a string in its header is not UTF-8"))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<MetadataValue> {
        Ok(match kind {
            0 => MetadataValue::Integer(self.array::<1>()?[0].into()),
            1 => MetadataValue::Integer(i8::from_le_bytes(self.array()?).into()),
            2 => MetadataValue::Integer(u16::from_le_bytes(self.array()?).into()),
            3 => MetadataValue::Integer(i16::from_le_bytes(self.array()?).into()),
            4 => MetadataValue::Integer(self.u32()?.into()),
            5 => MetadataValue::Integer(i32::from_le_bytes(self.array()?).into()),
            6 => MetadataValue::Number(f32::from_le_bytes(self.array()?).into()),
            7 => {
                self.take(1)?;
                MetadataValue::Flag
            }
            8 => MetadataValue::Text(self.text()?),
            9 if depth < 2 => {
                let (kind, count) = (self.u32()?, self.count("values of a list")?);
                self.list_values += count as u64;
                if self.list_values > MAX_COUNT {
                    return Err(Error::checkpoint(
                        self.path,
                        "more values in lists than any model has; the header is broken",
                    ));
                }
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.value(kind, depth + 1)?);
                }
                MetadataValue::List(list)
            }
            10 => MetadataValue::Integer(i64::try_from(self.u64()?).unwrap_or(i64::MAX)),
            11 => MetadataValue::Integer(i64::from_le_bytes(self.array()?)),
            12 => MetadataValue::Number(f64::from_le_bytes(self.array()?)),
            other => {
                return Err(Error::checkpoint(
                    self.path,
                    format!("metadata has a value of type {other}; the header is broken"),
                ));
            }
        })
    }

    /// The header entry of the next tensor. Its dimensions are stored from the innermost to the outermost.
    fn tensor_info(&mut self) -> Result<TensorInfo> {
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
        if shape.contains(&0) {
            return Err(Error::tensor(name, format!("shape {shape:?} in {}: nothing in it", self.path.display())));
        }
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
                let known = TYPE_NAMES.iter().find(|(number, _)| *number == other).map_or("unknown", |(_, name)| name);
                let reason = format!(
                    "type {known} ({other}) in {}; F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K are supported",
                    self.path.display()
                );
                return Err(Error::tensor(name, reason));
            }
        };
        if matches!((encoding, shape.len()), (Encoding::Block(_), 0 | 1)) {
            let reason = format!("blocks in {}; values of 16 or 32 bits are expected", self.path.display());
            return Err(Error::tensor(name, reason));
        }
        Ok(TensorInfo { name, encoding, shape, offset })
    }
}
