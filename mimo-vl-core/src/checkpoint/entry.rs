//! Stored tensors: their encoding, shape, and bytes in a memory-mapped file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::Dtype;

use super::formats::FloatType;
use super::gguf::blocks::Block;
use crate::error::{Error, Result};

/// The encoding of stored values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Float(FloatType),
    /// Blocks of neighbours in a row.
    Block(Block),
    /// Unsigned bytes.
    Bytes,
    /// A type without support.
    Other(Dtype),
}

impl Encoding {
    pub(super) fn new(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::Float(FloatType::F32),
            Dtype::F16 => Self::Float(FloatType::F16),
            Dtype::BF16 => Self::Float(FloatType::Bf16),
            Dtype::U8 => Self::Bytes,
            other => Self::Other(other),
        }
    }

    /// Bytes of `values` consecutive values; `None` when they are not a multiple of a block.
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

    /// Bytes of a tensor; `None` when its rows are not multiples of a block, or on overflow.
    pub(super) fn bytes(self, shape: &[usize]) -> Option<usize> {
        let (&width, outer) = shape.split_last()?;
        let rows = outer.iter().try_fold(1_usize, |rows, &size| rows.checked_mul(size))?;
        self.size(width)?.checked_mul(rows)
    }
}

/// A tensor in a file.
#[derive(Debug, Clone)]
pub(super) struct TensorEntry {
    pub(super) file: PathBuf,
    pub(super) encoding: Encoding,
    pub(super) shape: Vec<usize>,
    /// Consecutive rows; several pieces where a file stores one matrix as several tensors.
    pub(super) pieces: Vec<Bytes>,
    /// The map that the pieces lie in; `None` for a tensor that was built in memory.
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

    /// A tensor of the same file and encoding.
    pub(super) fn with_data(&self, shape: Vec<usize>, pieces: Vec<Bytes>) -> Self {
        Self { shape, pieces, ..self.clone() }
    }

    /// Stored bytes.
    pub(super) fn byte_len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// All bytes in one buffer, shared with the map where there is only one piece.
    pub(super) fn contiguous(&self) -> Bytes {
        match self.pieces.as_slice() {
            [piece] => piece.clone(),
            pieces => pieces.concat().into(),
        }
    }

    /// Decodes a row of `out.len()` values to f32.
    pub(super) fn read_row(&self, row: usize, out: &mut [f32]) {
        let bytes = self.row(row, out.len());
        let pairs = bytes.as_chunks().0.iter().map(|&pair| u16::from_le_bytes(pair));
        match self.encoding {
            Encoding::Float(FloatType::F32) => {
                out.iter_mut().zip(bytes.as_chunks().0).for_each(|(out, &four)| *out = f32::from_le_bytes(four));
            }
            Encoding::Float(FloatType::F16) => {
                out.iter_mut().zip(pairs).for_each(|(out, bits)| *out = f16::from_bits(bits).to_f32());
            }
            Encoding::Float(FloatType::Bf16) => {
                out.iter_mut().zip(pairs).for_each(|(out, bits)| *out = bf16::from_bits(bits).to_f32());
            }
            Encoding::Block(block) => {
                let blocks = bytes.chunks_exact(block.bytes());
                out.chunks_exact_mut(block.values()).zip(blocks).for_each(|(out, bytes)| block.unpack(bytes, out));
            }
            Encoding::Bytes | Encoding::Other(_) => unreachable!("not numbers"),
        }
    }

    /// The bytes of a row of `width` values.
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
        values.chunks_exact_mut(width.max(1)).enumerate().for_each(|(row, out)| self.read_row(row, out));
        values
    }

    /// Releases the pages of the map that hold the values; the system reads them again on the next access.
    ///
    /// Only Unix has that; elsewhere the memory is freed when the checkpoint is closed.
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
        // Pages at either end may be shared with the neighbours; `PAGE` is a multiple of every page size in use.
        let (start, end) = (start.next_multiple_of(PAGE), (start + piece.len()) / PAGE * PAGE);
        if start < end {
            // SAFETY: the map is of a file and read-only, so nothing that was written can be lost.
            #[allow(unsafe_code)]
            let released =
                unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, end - start) };
            if let Err(error) = released {
                tracing::debug!(%error, "memory of the map stays in use");
            }
        }
    }
}

#[cfg(unix)]
const PAGE: usize = 1 << 16;

/// A memory map as the owner of [`Bytes`].
pub(super) struct Shared(pub(super) Arc<Mmap>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Maps a file, read-only.
pub(super) fn map_file(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    // SAFETY: the map is read-only and private to this process. Another program that cuts the file short while it
    // is in use can end this process with SIGBUS, as with every library that maps its weights.
    #[allow(unsafe_code)]
    unsafe { Mmap::map(&file) }.map_err(|error| Error::io(path, error))
}
