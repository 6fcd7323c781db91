//! A file with a text and named tensors, the format of saved sessions: safetensors with the text in its metadata.

use std::borrow::Cow;
use std::path::Path;

use safetensors::{Dtype, SafeTensors, View};

use crate::error::{Error, Result};

/// The key of the text in the file's metadata.
const METADATA_KEY: &str = "mimo_vl_session";

/// The values of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum TensorValues<'a> {
    /// Unsigned bytes.
    Bytes(Cow<'a, [u8]>),
    /// Values of f32.
    Floats(Cow<'a, [f32]>),
}

/// A named tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedTensor<'a> {
    /// Name in the file.
    pub name: String,
    /// Sizes, the outermost first.
    pub shape: Vec<usize>,
    /// Values, row by row.
    pub values: TensorValues<'a>,
}

impl View for NamedTensor<'_> {
    fn dtype(&self) -> Dtype {
        match self.values {
            TensorValues::Bytes(_) => Dtype::U8,
            TensorValues::Floats(_) => Dtype::F32,
        }
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.values {
            TensorValues::Bytes(bytes) => Cow::Borrowed(bytes),
            TensorValues::Floats(values) if cfg!(target_endian = "little") => {
                Cow::Borrowed(bytemuck::cast_slice(values))
            }
            TensorValues::Floats(values) => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    fn data_len(&self) -> usize {
        match &self.values {
            TensorValues::Bytes(bytes) => bytes.len(),
            TensorValues::Floats(values) => 4 * values.len(),
        }
    }
}

/// Writes a text and tensors. The file is replaced in one step.
///
/// # Errors
/// [`Error::Io`] when it cannot be written.
pub fn write_tensor_file(path: &Path, text: String, tensors: Vec<NamedTensor<'_>>) -> Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let tensors = tensors.into_iter().map(|tensor| (tensor.name.clone(), tensor));
    let metadata = [(METADATA_KEY.to_owned(), text)].into();
    safetensors::serialize_to_file(tensors, Some(metadata), Path::new(&partial))
        .map_err(|error| Error::io(path, std::io::Error::other(error.to_string())))?;
    std::fs::rename(&partial, path).map_err(|error| Error::io(path, error))
}

/// Reads the text and the tensors that [`write_tensor_file`] wrote.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read, [`Error::Checkpoint`] when it is of another kind, or truncated.
pub fn read_tensor_file(path: &Path) -> Result<(String, Vec<NamedTensor<'static>>)> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
    let broken = |error: String| Error::checkpoint(path, format!("not a complete saved session: {error}"));
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|error| broken(error.to_string()))?;
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(METADATA_KEY)).cloned();
    let text = text.ok_or_else(|| broken("it is another kind of safetensors file".to_owned()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| broken(error.to_string()))?;
    let tensors = file.tensors().into_iter().map(|(name, view)| {
        let values = match view.dtype() {
            Dtype::U8 => TensorValues::Bytes(view.data().to_vec().into()),
            Dtype::F32 => {
                let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
                TensorValues::Floats(numbers.collect())
            }
            other => return Err(broken(format!("tensor {name} is {other:?}"))),
        };
        Ok(NamedTensor { name, shape: view.shape().to_vec(), values })
    });
    Ok((text, tensors.collect::<Result<_>>()?))
}
