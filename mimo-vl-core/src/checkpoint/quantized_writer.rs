//! Writes a quantized checkpoint while its source is loaded.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytemuck::cast_slice;
use serde_json::{Map, Value, json};

use super::entry::{Encoding, TensorEntry};
use super::files::Checkpoint;
use super::formats::WeightFormat;
use super::names::{INDEX, SINGLE, TensorId};
use super::quantized::{METADATA, QuantizationReport, QuantizedMatrix, VERSION};
use crate::error::{Error, Result};
use crate::kernels::{QuantizationError, QuantizedData};
use crate::quant::Divergence;

/// Writer of a quantized checkpoint. Dropped before [`finish`](Self::finish), it removes its file.
#[derive(Debug)]
pub struct QuantizedWriter {
    directory: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
    /// Bytes that are reserved for the header at the start of the file.
    header_len: u64,
    /// Bytes of tensors so far.
    data_len: u64,
    header: Map<String, Value>,
    report: QuantizationReport,
    /// Tensors to copy at the end, so that all quantized data starts at multiples of 64 bytes.
    dense: Vec<(TensorId, TensorEntry)>,
}

impl QuantizedWriter {
    /// Starts to write to `directory`, which is created if it is missing. `prompt_bytes` is the total length of the
    /// prompts in the report.
    ///
    /// # Errors
    /// [`Error::Option`] when `directory` has a checkpoint already; [`Error::Io`] when it cannot be written.
    pub fn create(
        directory: impl AsRef<Path>,
        source: &Checkpoint,
        weights: WeightFormat,
        prompt_bytes: usize,
    ) -> Result<Self> {
        let directory = directory.as_ref();
        if [SINGLE, INDEX].iter().any(|name| directory.join(name).exists()) {
            let reason = format!("{} has a checkpoint already; choose another folder", directory.display());
            return Err(Error::option("to", reason));
        }
        std::fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
        let partial = directory.join(format!("{SINGLE}.partial"));
        let mut file = File::create(&partial).map_err(|error| Error::io(&partial, error))?;
        // The header names each tensor up to twice, the report once.
        let name_bytes: usize = source.names().map(|name| 3 * name.len() + 600).sum();
        // JSON inside of JSON escapes one byte with up to seven.
        let header_len = (name_bytes + 7 * prompt_bytes + (1 << 16)).next_multiple_of(1 << 12) as u64;
        file.seek(SeekFrom::Start(header_len)).map_err(|error| Error::io(&partial, error))?;
        let (source, revision) = origin(source.directory());
        let report =
            QuantizationReport { version: VERSION, weights, source, revision, matrices: vec![], divergences: vec![] };
        Ok(Self {
            directory: directory.to_path_buf(),
            partial,
            file: BufWriter::with_capacity(1 << 20, file),
            header_len,
            data_len: 0,
            header: Map::new(),
            report,
            dense: Vec::new(),
        })
    }

    /// Writes a quantized product.
    pub(super) fn add_quantized(
        &mut self,
        matrices: &[(TensorId, usize)],
        data: &QuantizedData,
        rounding: QuantizationError,
    ) -> Result<()> {
        let matrix = QuantizedMatrix {
            names: matrices.iter().map(|(id, _)| id.to_string()).collect(),
            rows: matrices.iter().map(|&(_, rows)| rows).collect(),
            width: data.width,
            format: data.format,
            error: rounding.relative(),
        };
        let (names, shapes) = (matrix.stored_names(), data.format.shapes(data.rows, data.width));
        self.write_tensor(&names[0], "U8", &shapes[0], &data.codes)?;
        self.write_tensor(&names[1], "F16", &shapes[1], cast_slice(&data.scales))?;
        self.report.matrices.push(matrix);
        Ok(())
    }

    /// Adds a tensor that is copied as it is stored.
    pub(super) fn add_dense(&mut self, id: TensorId, entry: TensorEntry) {
        self.dense.push((id, entry));
    }

    /// Writes the remaining tensors, the report, and the other files of the checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] when a file cannot be read or written.
    pub fn finish(mut self, source: &Checkpoint, divergences: Vec<Divergence>) -> Result<QuantizationReport> {
        let mut dense = std::mem::take(&mut self.dense);
        dense.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.encoding.size(1)));
        for (id, entry) in dense {
            let Encoding::Float(float) = entry.encoding else {
                return Err(Error::tensor(id.to_string(), "the blocks of a GGUF file are quantized already"));
            };
            self.write_tensor(&id.to_string(), float.name(), &entry.shape, &entry.contiguous())?;
            entry.release();
        }
        self.report.divergences = divergences;
        let report = serde_json::to_string(&self.report).map_err(|error| Error::internal(error.to_string()))?;
        self.header.insert("__metadata__".to_owned(), json!({ "format": "pt", METADATA: report }));
        let mut header = Value::Object(std::mem::take(&mut self.header)).to_string();
        let available = (self.header_len - 8) as usize;
        if header.len() > available {
            return Err(Error::internal(format!("a header of {} bytes; {available} are reserved", header.len())));
        }
        header.extend(std::iter::repeat_n(' ', available - header.len()));
        let written = self
            .file
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.file.write_all(&(available as u64).to_le_bytes()))
            .and_then(|()| self.file.write_all(header.as_bytes()))
            .and_then(|()| self.file.flush())
            .and_then(|()| self.file.get_ref().sync_all());
        written.map_err(|error| Error::io(&self.partial, error))?;
        copy_other_files(source.directory(), &self.directory)?;
        let path = self.directory.join(SINGLE);
        std::fs::rename(&self.partial, &path).map_err(|error| Error::io(&path, error))?;
        Ok(self.report.clone())
    }

    fn write_tensor(&mut self, name: &str, dtype: &str, shape: &[usize], bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| Error::io(&self.partial, error))?;
        let end = self.data_len + bytes.len() as u64;
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [self.data_len, end] });
        self.header.insert(name.to_owned(), entry);
        self.data_len = end;
        Ok(())
    }
}

impl Drop for QuantizedWriter {
    /// Removes the partial file; a no-op after `finish`, which renamed it.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Name and revision of a checkpoint, from the path of the hub's cache: `models--OWNER--NAME/snapshots/REVISION`.
/// Elsewhere the folder's name, without a revision.
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

/// Copies the files of a checkpoint that hold no weights.
fn copy_other_files(source: &Path, destination: &Path) -> Result<()> {
    const EXTENSIONS: [&str; 4] = ["json", "jinja", "txt", "md"];
    let entries = std::fs::read_dir(source).map_err(|error| Error::io(source, error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io(source, error))?.path();
        let has_text = path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|text| extension == *text));
        if let Some(name) = path.file_name().filter(|name| has_text && *name != INDEX && path.is_file()) {
            std::fs::copy(&path, destination.join(name)).map_err(|error| Error::io(&path, error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hub_cache_path_gives_repository_and_revision() {
        let path = Path::new("/missing/models--XiaomiMiMo--MiMo-VL-7B-RL/snapshots/0123abcd");
        assert_eq!(origin(path), ("XiaomiMiMo/MiMo-VL-7B-RL".to_owned(), Some("0123abcd".to_owned())));
        assert_eq!(origin(Path::new("/missing/mimo-vl-tiny")), ("mimo-vl-tiny".to_owned(), None));
    }
}
