//! Where a model takes its tensors from while it is built.

use std::cell::{Cell, RefCell};
use std::str::FromStr;

use burn::tensor::backend::Backend;
use burn::tensor::{AllocationProperty, Bytes, DType, Tensor, TensorData};

use half::{bf16, f16};
use safetensors::Dtype;
use serde::{Deserialize, Serialize};

use super::files::{Checkpoint, Stored};
use super::rounded::{Receipt, RoundedWriter};
use crate::cancel::Watch;
use crate::error::{Error, Result};
use crate::kernels::{Packed, pack};
use crate::quant::{Bits, format_of};

/// The number format that weights have in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Weights {
    /// As the checkpoint stores them, without a copy where the device allows it; f32 where it lacks their type.
    #[default]
    Native,
    /// Cast to f32 while loading.
    F32,
    /// Cast to f16 while loading.
    F16,
    /// Cast to bf16 while loading.
    Bf16,
    /// Rounded to eight bits while loading, as [`quant`](crate::quant) says.
    Int8,
    /// Rounded to four bits while loading, the more delicate ones to eight, as [`quant`](crate::quant) says.
    Int4,
}

impl Weights {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Native, Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Int4];

    /// The name, as `from_str` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// How many bits most matrices get, when they are rounded.
    pub(super) fn bits(self) -> Option<Bits> {
        match self {
            Self::Int4 => Some(Bits::Four),
            Self::Int8 => Some(Bits::Eight),
            Self::Native | Self::F32 | Self::F16 | Self::Bf16 => None,
        }
    }
}

impl FromStr for Weights {
    type Err = Error;

    /// # Errors
    /// [`Error::Option`] for a name that is none of these.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|weights| weights.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("weights", format!("{name:?} is none of {names}"))
        })
    }
}

/// A number format that a checkpoint may store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
}

impl FloatType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name that safetensors has for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Gives tensors by name; the model asks for each exactly once, with the shape that its configuration implies.
pub trait TensorSource<B: Backend> {
    /// The tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or has another shape or type.
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>>;

    /// Matrices of `width` columns, given by their names and numbers of rows, packed one below the other; `None`
    /// when this source has them as tensors.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing, has another shape or type, or cannot be rounded.
    fn packed(&self, matrices: &[(&str, usize)], width: usize) -> Result<Option<Packed<B>>> {
        let _ = (matrices, width);
        Ok(None)
    }
}

/// Tensors of a checkpoint on their way to one device.
#[derive(Debug)]
pub struct CheckpointSource<'a, B: Backend> {
    checkpoint: &'a Checkpoint,
    weights: Weights,
    device: &'a B::Device,
    watch: Watch<'a>,
    /// Bytes of the files that were read.
    read: Cell<u64>,
    writer: Option<&'a RefCell<RoundedWriter>>,
}

impl Checkpoint {
    /// The tensors of this checkpoint, in the number format `weights`, on `device`.
    pub fn source<'a, B: Backend>(&'a self, weights: Weights, device: &'a B::Device) -> CheckpointSource<'a, B> {
        CheckpointSource { checkpoint: self, weights, device, watch: Watch::new(), read: Cell::new(0), writer: None }
    }
}

impl<'a, B: Backend> CheckpointSource<'a, B> {
    /// Report to `watch` before each tensor.
    #[must_use]
    pub fn watched(mut self, watch: Watch<'a>) -> Self {
        self.watch = watch;
        self
    }

    /// Write what is given to a rounded checkpoint, too.
    #[must_use]
    pub fn written_to(mut self, writer: Option<&'a RefCell<RoundedWriter>>) -> Self {
        self.writer = writer;
        self
    }

    fn stored(&self, name: &str, shape: &[usize]) -> Result<Stored> {
        let stored = self.checkpoint.stored(name)?;
        if stored.shape != shape {
            return Err(Error::tensor(name, format!("shape {:?}; the configuration asks for {shape:?}", stored.shape)));
        }
        self.report(stored.bytes.len())?;
        Ok(stored)
    }

    fn report(&self, bytes: usize) -> Result<()> {
        self.watch.step(self.read.get(), self.checkpoint.bytes())?;
        self.read.set(self.read.get() + bytes as u64);
        Ok(())
    }

    /// What a rounded checkpoint has of these matrices, shared with the memory map.
    fn mapped(&self, receipt: &Receipt, matrices: &[(&str, usize)], width: usize) -> Result<Option<Packed<B>>> {
        let Some(matrix) = receipt.matrix(matrices) else { return Ok(None) };
        let wanted: Vec<usize> = matrices.iter().map(|&(_, rows)| rows).collect();
        if matrix.rows != wanted || matrix.width != width {
            let (rows, columns) = (&matrix.rows, matrix.width);
            let reason = format!(
                "{rows:?} rows of {columns}; the configuration asks for {wanted:?} of {width}: the weights of another model"
            );
            return Err(Error::tensor(matrices[0].0, reason));
        }
        let rows = wanted.iter().sum();
        let shapes = matrix.format.shapes(rows, width);
        let [codes, scales] = matrix.tensors();
        let codes = self.checkpoint.place(&codes, Dtype::U8, shapes[0])?;
        let scales = self.checkpoint.place(&scales, Dtype::F16, shapes[1])?;
        self.report(codes.bytes.len() + scales.bytes.len())?;
        let codes = TensorData::from_bytes(shared(&codes.bytes, 1), shapes[0].to_vec(), DType::U8);
        let scales = TensorData::from_bytes(shared(&scales.bytes, 2), shapes[1].to_vec(), DType::F16);
        Ok(Some(Packed::from_data(codes, scales, [rows, width], matrix.format, self.device)))
    }
}

impl<B: Backend> TensorSource<B> for CheckpointSource<'_, B> {
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let stored = self.stored(name, &shape)?;
        if let Some(writer) = self.writer {
            writer.borrow_mut().dense(name, stored.clone());
        }
        let wanted = match self.weights {
            Weights::Native | Weights::Int8 | Weights::Int4 => stored.float.dtype(),
            Weights::F32 => DType::F32,
            Weights::F16 => DType::F16,
            Weights::Bf16 => DType::BF16,
        };
        let dtype = match self.weights {
            _ if B::supports_dtype(self.device, wanted) => wanted,
            Weights::Native | Weights::Int8 | Weights::Int4 => DType::F32,
            asked => {
                return Err(Error::option("weights", format!("the device has no {asked:?}; choose Native or F32")));
            }
        };
        let data =
            TensorData::from_bytes(shared(&stored.bytes, stored.float.size()), stored.shape, stored.float.dtype());
        Ok(Tensor::from_data(data.convert_dtype(dtype), (self.device, dtype)))
    }

    fn packed(&self, matrices: &[(&str, usize)], width: usize) -> Result<Option<Packed<B>>> {
        if let Some(receipt) = self.checkpoint.receipt() {
            return self.mapped(receipt, matrices, width);
        }
        let Some(format) = self.weights.bits().and_then(|bits| format_of(matrices[0].0, bits)) else {
            return Ok(None);
        };
        let stored: Vec<Stored> =
            matrices.iter().map(|&(name, rows)| self.stored(name, &[rows, width])).collect::<Result<_>>()?;
        let rows: usize = matrices.iter().map(|&(_, rows)| rows).sum();
        let place = |mut row: usize| {
            let holds = |&(_, rows): &(&str, usize)| match row < rows {
                true => true,
                false => {
                    row -= rows;
                    false
                }
            };
            let index = matrices.iter().position(holds).unwrap_or_default();
            (index, row)
        };
        let read = |row: usize, to: &mut [f32]| {
            let (index, row) = place(row);
            stored[index].read_row(row, to);
        };
        let (data, rounding) = pack([rows, width], format, read).map_err(|row| {
            let (index, row) = place(row);
            Error::tensor(matrices[index].0, format!("row {row} has a value that is not finite, or above 60,000"))
        })?;
        tracing::debug!(name = matrices[0].0, error = rounding.relative(), "rounded");
        stored.iter().for_each(Stored::release);
        if let Some(writer) = self.writer {
            writer.borrow_mut().packed(matrices, &data, rounding)?;
        }
        Ok(Some(Packed::new(data, self.device)))
    }
}

impl Stored {
    /// A row of a matrix as f32.
    fn read_row(&self, row: usize, to: &mut [f32]) {
        let size = self.float.size();
        let bytes = &self.bytes[row * to.len() * size..(row + 1) * to.len() * size];
        let pairs = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        match self.float {
            FloatType::F32 => to
                .iter_mut()
                .zip(bytes.chunks_exact(4))
                .for_each(|(to, four)| *to = f32::from_le_bytes([four[0], four[1], four[2], four[3]])),
            FloatType::F16 => to.iter_mut().zip(pairs).for_each(|(to, bits)| *to = f16::from_bits(bits).to_f32()),
            FloatType::Bf16 => to.iter_mut().zip(pairs).for_each(|(to, bits)| *to = bf16::from_bits(bits).to_f32()),
        }
    }
}

/// Stored bytes as Burn's, shared with the memory map where they start at a multiple of `size`.
fn shared(bytes: &bytes::Bytes, size: usize) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(size) {
        Bytes::from_shared(bytes.clone(), AllocationProperty::File)
    } else {
        Bytes::from_bytes_vec(bytes.to_vec())
    }
}
