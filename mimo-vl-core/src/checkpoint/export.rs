//! Writing a checkpoint's weights.

use std::borrow::Cow;
use std::path::Path;

use half::bf16;
use safetensors::{Dtype, View};

use super::names::SINGLE;
use crate::error::{Error, Result};

struct Bf16Values {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Bf16Values {
    fn dtype(&self) -> Dtype {
        Dtype::BF16
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        (&self.bytes).into()
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes `(name, shape, values)` as `directory/model.safetensors` in bf16, rounded to nearest even.
///
/// The file is replaced in one step, so an interrupted call leaves the old one intact.
///
/// # Errors
/// [`Error::Io`] when the file cannot be written.
pub fn save_bf16(directory: &Path, tensors: impl IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>) -> Result<()> {
    let views = tensors.into_iter().map(|(name, shape, values)| {
        let bytes = values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect();
        (name, Bf16Values { shape, bytes })
    });
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let (path, partial) = (directory.join(SINGLE), directory.join(format!("{SINGLE}.partial")));
    safetensors::serialize_to_file(views, Some(metadata), &partial)
        .map_err(|error| Error::io(&partial, std::io::Error::other(error.to_string())))?;
    std::fs::rename(&partial, &path).map_err(|error| Error::io(&path, error))
}
