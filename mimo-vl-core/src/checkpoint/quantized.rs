//! Checkpoints whose matrices are rounded already: what their file says of itself, and how it is written.
//!
//! The file is `model.safetensors`. For each product of the network it has the tensors `NAME.codes` and `NAME.scales`,
//! in the layout that the kernels read (`docs/kernels/quantized.md`); matrices that are one product have their names
//! joined with `+`. All else is stored as it was. The metadata's `mimo_vl` holds the [`QuantizationReport`] as JSON.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::cast_slice;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::files::{Checkpoint, Encoding, INDEX, SINGLE, TensorEntry};
use super::source::WeightFormat;
use crate::error::{Error, Result};
use crate::kernels::{QuantizationError, QuantizedData};
use crate::quant::{Divergence, QuantFormat};

/// The key of the receipt in a file's metadata.
pub(super) const METADATA: &str = "mimo_vl";

/// The only version of the layout so far.
const VERSION: u32 = 1;

/// What a rounded checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizationReport {
    /// Version of the file's layout.
    pub version: u32,
    /// What the weights were rounded to.
    pub weights: WeightFormat,
    /// Name of the directory that they were read from.
    pub source: String,
    /// Revision of that checkpoint, where the hub's cache tells it.
    pub revision: Option<String>,
    /// Every product of the network that is rounded.
    pub matrices: Vec<QuantizedMatrix>,
    /// How much it changes, for some prompts.
    pub agreement: Vec<Divergence>,
}

/// Matrices that were rounded together, one below the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizedMatrix {
    /// Their names in the older family of names.
    pub names: Vec<String>,
    /// Rows of each.
    pub rows: Vec<usize>,
    /// Columns of all.
    pub width: usize,
    /// How they are quantized.
    #[serde(flatten)]
    pub format: QuantFormat,
    /// `‖rounded − weights‖ / ‖weights‖`.
    pub error: f64,
}

impl QuantizationReport {
    /// Read what a file's metadata holds.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let broken = |error: serde_json::Error| {
            Error::checkpoint(path, format!("the receipt in its metadata is broken ({error}); write it again"))
        };
        let Versioned { version } = serde_json::from_str(text).map_err(broken)?;
        if version != VERSION {
            let reason = format!("rounded weights in version {version} of the layout; this library reads {VERSION}");
            return Err(Error::checkpoint(path, reason));
        }
        let receipt: Self = serde_json::from_str(text).map_err(broken)?;
        if receipt.weights.bits().is_none() || receipt.matrices.iter().any(|matrix| !matrix.format.is_known()) {
            return Err(Error::checkpoint(path, "the receipt in its metadata names a format that is unknown"));
        }
        Ok(receipt)
    }

    /// What is stored of the product of these matrices.
    pub(super) fn matrix(&self, matrices: &[(&str, usize)]) -> Option<&QuantizedMatrix> {
        let same = |matrix: &&QuantizedMatrix| matrix.names.iter().eq(matrices.iter().map(|(name, _)| name));
        self.matrices.iter().find(same)
    }

    /// The root of the mean of the squared relative errors, each matrix counted by its size.
    pub fn error(&self) -> f64 {
        let size =
            |matrix: &QuantizedMatrix| matrix.rows.iter().map(|&rows| rows as f64).sum::<f64>() * matrix.width as f64;
        let total: f64 = self.matrices.iter().map(size).sum();
        let squares: f64 = self.matrices.iter().map(|matrix| size(matrix) * matrix.error.powi(2)).sum();
        if total > 0.0 { (squares / total).sqrt() } else { 0.0 }
    }
}

impl QuantizedMatrix {
    /// The names of its tensors.
    pub(super) fn tensors(&self) -> [String; 2] {
        let name = self.names.join("+");
        [format!("{name}.codes"), format!("{name}.scales")]
    }
}

/// A rounded checkpoint that is being written, while the checkpoint that it is made of is loaded.
#[derive(Debug)]
pub struct QuantizedWriter {
    directory: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    /// Bytes of the file that are kept free for the header.
    room: u64,
    /// Bytes that were written after that.
    written: u64,
    header: Map<String, Value>,
    receipt: QuantizationReport,
    /// What is stored as it was, written last, so that all before it starts at multiples of 64 bytes.
    dense: Vec<(String, TensorEntry)>,
}

impl QuantizedWriter {
    /// Start to write to `directory`, which is made when it is missing. The prompts of the receipt have `prompts` bytes.
    ///
    /// # Errors
    /// [`Error::Option`] when `directory` holds a checkpoint already; [`Error::Io`] when it cannot be written.
    pub fn create(
        directory: impl AsRef<Path>,
        source: &Checkpoint,
        weights: WeightFormat,
        prompts: usize,
    ) -> Result<Self> {
        let directory = directory.as_ref();
        if [SINGLE, INDEX].iter().any(|name| directory.join(name).exists()) {
            let reason = format!("{} holds a checkpoint already; choose another folder", directory.display());
            return Err(Error::option("to", reason));
        }
        std::fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
        let partial = directory.join(format!("{SINGLE}.partial"));
        let mut file = File::create(&partial).map_err(|error| Error::io(&partial, error))?;
        // Each tensor is named in the header up to twice and in the receipt once.
        let names: usize = source.names().map(|name| 3 * name.len() + 600).sum();
        // JSON in JSON has up to seven bytes for one.
        let room = (names + 7 * prompts + (1 << 16)).next_multiple_of(1 << 12) as u64;
        file.seek(SeekFrom::Start(room)).map_err(|error| Error::io(&partial, error))?;
        let (source, revision) = origin(source.directory());
        let receipt =
            QuantizationReport { version: VERSION, weights, source, revision, matrices: vec![], agreement: vec![] };
        Ok(Self {
            directory: directory.to_path_buf(),
            partial,
            file: BufWriter::with_capacity(1 << 20, file),
            room,
            written: 0,
            header: Map::new(),
            receipt,
            dense: Vec::new(),
        })
    }

    /// Write what was rounded.
    pub(super) fn quantized(
        &mut self,
        matrices: &[(&str, usize)],
        data: &QuantizedData,
        rounding: QuantizationError,
    ) -> Result<()> {
        let matrix = QuantizedMatrix {
            names: matrices.iter().map(|&(name, _)| name.to_owned()).collect(),
            rows: matrices.iter().map(|&(_, rows)| rows).collect(),
            width: data.width,
            format: data.format,
            error: rounding.relative(),
        };
        let (names, shapes) = (matrix.tensors(), data.format.shapes(data.rows, data.width));
        self.tensor(&names[0], "U8", &shapes[0], &data.codes)?;
        self.tensor(&names[1], "F16", &shapes[1], cast_slice(&data.scales))?;
        self.receipt.matrices.push(matrix);
        Ok(())
    }

    /// Remember to write a tensor as it is stored.
    pub(super) fn dense(&mut self, name: &str, place: TensorEntry) {
        self.dense.push((name.to_owned(), place));
    }

    /// Write what is left, the receipt, and the other files of the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read or written.
    pub fn finish(mut self, source: &Checkpoint, agreement: Vec<Divergence>) -> Result<QuantizationReport> {
        let mut dense = std::mem::take(&mut self.dense);
        dense.sort_by_key(|(_, place)| std::cmp::Reverse(place.encoding.size(1)));
        for (name, place) in dense {
            let Encoding::Float(float) = place.encoding else {
                return Err(Error::tensor(name, "blocks of a GGUF file are rounded already"));
            };
            self.tensor(&name, float.name(), &place.shape, &place.whole())?;
            place.release();
        }
        self.receipt.agreement = agreement;
        let receipt = serde_json::to_string(&self.receipt).map_err(|error| Error::internal(error.to_string()))?;
        self.header.insert("__metadata__".to_owned(), json!({ "format": "pt", METADATA: receipt }));
        let mut header = Value::Object(std::mem::take(&mut self.header)).to_string();
        let room = (self.room - 8) as usize;
        if header.len() > room {
            return Err(Error::internal(format!("a header of {} bytes, and {room} were kept free", header.len())));
        }
        header.extend(std::iter::repeat_n(' ', room - header.len()));
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&(room as u64).to_le_bytes()))
            .and_then(|()| self.file.write_all(header.as_bytes()))
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all());
        written.map_err(|error| Error::io(&self.partial, error))?;
        copy_others(source.directory(), &self.directory)?;
        let path = self.directory.join(SINGLE);
        std::fs::rename(&self.partial, &path).map_err(|error| Error::io(&path, error))?;
        Ok(self.receipt.clone())
    }

    fn tensor(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io(&self.partial, error))?;
        let end = self.written + bytes.len() as u64;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [self.written, end] });
        self.header.insert(name.to_owned(), entry);
        self.written = end;
        Ok(())
    }
}

impl Drop for QuantizedWriter {
    /// What is not finished is of no use. After the end there is no such file any more.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Name and revision of a checkpoint: the hub's cache has it in `models--OWNER--NAME/snapshots/REVISION`.
fn origin(directory: &Path) -> (String, Option<String>) {
    let full = directory.canonicalize().unwrap_or_else(|_| directory.to_path_buf());
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match full.parent() {
        Some(parent) if name(parent) == "snapshots" => {
            let repository = parent.parent().map(name).unwrap_or_default();
            let repository = repository.strip_prefix("models--").unwrap_or(&repository).replace("--", "/");
            (repository, Some(name(&full)))
        }
        _ => (name(&full), None),
    }
}

/// Copy the files of a checkpoint that hold no weights.
fn copy_others(from: &Path, to: &Path) -> Result<()> {
    const OTHERS: [&str; 4] = ["json", "jinja", "txt", "md"];
    let entries = std::fs::read_dir(from).map_err(|error| Error::io(from, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io(from, error))?.path();
        let is_other = path.extension().is_some_and(|ending| OTHERS.iter().any(|other| ending == *other));
        if let Some(name) = path.file_name().filter(|name| is_other && *name != INDEX && path.is_file()) {
            std::fs::copy(&path, to.join(name)).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_s_cache_names_the_revision() {
        let path = Path::new("/missing/models--XiaomiMiMo--MiMo-VL-7B-RL/snapshots/0123abcd");
        assert_eq!(origin(path), ("XiaomiMiMo/MiMo-VL-7B-RL".to_owned(), Some("0123abcd".to_owned())));
        assert_eq!(origin(Path::new("/missing/mimo-vl-tiny")), ("mimo-vl-tiny".to_owned(), None));
    }
}
