//! Where a model takes its tensors from while it is built.

use std::cell::{Cell, RefCell};
use std::str::FromStr;

use burn::tensor::backend::Backend;
use burn::tensor::{AllocationProperty, Bytes, DType, Tensor, TensorData};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::files::{Checkpoint, Encoding, TensorEntry};
use super::gguf::blocks::Block;
use super::quantized::{QuantizationReport, QuantizedWriter};
use crate::cancel::{Stage, TaskControl};
use crate::error::{Error, Result};
use crate::kernels::{QuantizationError, QuantizedWeight, quantize_matrix, repack_matrix};
use crate::quant::{Bits, Codebook, QuantFormat, quant_format};

/// The number format that weights have in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WeightFormat {
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

impl WeightFormat {
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

impl FromStr for WeightFormat {
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

/// Gives tensors by name, with the shape that the model's configuration implies.
pub trait TensorSource<B: Backend> {
    /// The tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or has another shape or type.
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>>;

    /// Matrices of `width` columns, given by their names and numbers of rows, quantized one below the other; `None`
    /// when this source has them as tensors.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing, has another shape or type, or cannot be rounded.
    fn quantized(&self, matrices: &[(&str, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        let _ = (matrices, width);
        Ok(None)
    }
}

/// Tensors of a checkpoint on their way to one device.
#[derive(Debug)]
pub struct CheckpointSource<'a, B: Backend> {
    checkpoint: &'a Checkpoint,
    weights: WeightFormat,
    device: &'a B::Device,
    control: Option<&'a TaskControl>,
    /// Bytes of the files that were read, and of all tensors.
    read: Cell<u64>,
    all: u64,
    writer: Option<&'a RefCell<QuantizedWriter>>,
}

impl Checkpoint {
    /// The tensors of this checkpoint, in the number format `weights`, on `device`.
    pub fn source<'a, B: Backend>(&'a self, weights: WeightFormat, device: &'a B::Device) -> CheckpointSource<'a, B> {
        let (read, all) = (Cell::new(0), self.bytes());
        CheckpointSource { checkpoint: self, weights, device, control: None, read, all, writer: None }
    }
}

impl<'a, B: Backend> CheckpointSource<'a, B> {
    /// Reports to `control` and checks it before each tensor.
    #[must_use]
    pub fn controlled_by(mut self, control: &'a TaskControl) -> Self {
        self.control = Some(control);
        self
    }

    /// Write what is given to a rounded checkpoint, too.
    #[must_use]
    pub fn written_to(mut self, writer: Option<&'a RefCell<QuantizedWriter>>) -> Self {
        self.writer = writer;
        self
    }

    fn place(&self, name: &str, shape: &[usize]) -> Result<&'a TensorEntry> {
        let place = self.checkpoint.place(name)?;
        if place.shape != shape {
            return Err(Error::tensor(name, format!("shape {:?}; the configuration asks for {shape:?}", place.shape)));
        }
        Ok(place)
    }

    /// Tell the one who watches, before so many bytes are taken. A tied embedding is taken twice.
    fn report(&self, bytes: usize) -> Result<()> {
        if let Some(control) = self.control {
            control.step(Stage::Load, self.read.get().min(self.all), self.all)?;
        }
        self.read.set(self.read.get() + bytes as u64);
        Ok(())
    }

    /// What a rounded checkpoint has of these matrices, shared with the memory map.
    fn mapped(
        &self,
        receipt: &QuantizationReport,
        matrices: &[(&str, usize)],
        width: usize,
    ) -> Result<Option<QuantizedWeight<B>>> {
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
        let codes = self.checkpoint.part(&codes, Encoding::Bytes, shapes[0])?;
        let scales = self.checkpoint.part(&scales, Encoding::Float(FloatType::F16), shapes[1])?;
        self.report(codes.len() + scales.len())?;
        let codes = TensorData::from_bytes(shared(codes.whole(), 1), shapes[0].to_vec(), DType::U8);
        let scales = TensorData::from_bytes(shared(scales.whole(), 2), shapes[1].to_vec(), DType::F16);
        Ok(Some(QuantizedWeight::from_data(codes, scales, [rows, width], matrix.format, self.device)))
    }

    /// The type that values have on the device.
    fn dtype(&self, encoding: Encoding) -> Result<DType> {
        let wanted = match (self.weights, encoding) {
            (WeightFormat::F32, _) => DType::F32,
            (WeightFormat::F16, _) => DType::F16,
            (WeightFormat::Bf16, _) => DType::BF16,
            (_, Encoding::Float(float)) => float.dtype(),
            // As precise as their scales.
            _ => DType::F16,
        };
        match self.weights {
            _ if B::supports_dtype(self.device, wanted) => Ok(wanted),
            WeightFormat::Native | WeightFormat::Int8 | WeightFormat::Int4 => Ok(DType::F32),
            asked => Err(Error::option("weights", format!("the device has no {asked:?}; choose Native or F32"))),
        }
    }
}

/// How a matrix is quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuantSpec {
    pub(super) format: QuantFormat,
    /// The stored blocks of this kind are quantized as they are; else what they stand for is rounded.
    exact: Option<Block>,
}

/// How the matrix called `name` is quantized when `weights` is asked for; `None` when it is not.
///
/// Blocks of a GGUF file keep their weights where a format has exactly the same. Others become bytes in groups as small
/// as theirs, which changes them little, unless four bits are asked for.
pub(super) fn quant_spec(name: &str, encoding: Encoding, weights: WeightFormat) -> Option<QuantSpec> {
    let rounded = |bits| quant_format(name, bits).map(|format| QuantSpec { format, exact: None });
    let Encoding::Block(block) = encoding else { return weights.bits().and_then(rounded) };
    let exact = block.format().map(|format| QuantSpec { format, exact: Some(block) });
    match weights {
        WeightFormat::F32 | WeightFormat::F16 | WeightFormat::Bf16 => None,
        WeightFormat::Int4 => {
            let wanted = rounded(Bits::Four)?;
            exact.filter(|exact| exact.format.codebook.bits() <= wanted.format.codebook.bits()).or(Some(wanted))
        }
        WeightFormat::Native | WeightFormat::Int8 => Some(
            exact.unwrap_or(QuantSpec { format: QuantFormat { codebook: Codebook::Linear8, group: 32 }, exact: None }),
        ),
    }
}

impl<B: Backend> TensorSource<B> for CheckpointSource<'_, B> {
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let place = self.place(name, &shape)?;
        self.report(place.len())?;
        if let Some(writer) = self.writer {
            writer.borrow_mut().dense(name, place.clone());
        }
        let dtype = self.dtype(place.encoding)?;
        let data = match place.encoding {
            Encoding::Float(float) => {
                let bytes = shared(place.whole(), float.size());
                TensorData::from_bytes(bytes, place.shape.clone(), float.dtype()).convert_dtype(dtype)
            }
            _ if dtype == DType::F32 => TensorData::new(place.values(), place.shape.clone()),
            _ => {
                // Row by row: the whole as f32 would be twice as large as the result.
                let width = shape[D - 1];
                let mut values = vec![f16::ZERO; shape.iter().product()];
                values.par_chunks_exact_mut(width).enumerate().for_each(|(row, to)| {
                    let mut values = vec![0.0; width];
                    place.read_row(row, &mut values);
                    to.convert_from_f32_slice(&values);
                });
                TensorData::new(values, place.shape.clone()).convert_dtype(dtype)
            }
        };
        Ok(Tensor::from_data(data, (self.device, dtype)))
    }

    fn quantized(&self, matrices: &[(&str, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        if let Some(receipt) = self.checkpoint.quantization_report() {
            return self.mapped(receipt, matrices, width);
        }
        let places: Vec<&TensorEntry> =
            matrices.iter().map(|&(name, rows)| self.place(name, &[rows, width])).collect::<Result<_>>()?;
        let packing_of = |index: usize| quant_spec(matrices[index].0, places[index].encoding, self.weights);
        let Some(quant_spec) = packing_of(0) else { return Ok(None) };
        if (1..places.len()).any(|index| packing_of(index) != Some(quant_spec)) {
            // QuantizedWeight in different ways, they are products of their own.
            return Ok(None);
        }
        self.report(places.iter().map(|place| place.len()).sum())?;
        let rows: usize = matrices.iter().map(|&(_, rows)| rows).sum();
        let at = |mut row: usize| {
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
        let quantized = if let Some(block) = quant_spec.exact {
            repack_matrix([rows, width], quant_spec.format, |row, codes, scales| {
                let (index, row) = at(row);
                let blocks = places[index].row(row, width).chunks_exact(block.bytes());
                for ((codes, scale), bytes) in codes.chunks_exact_mut(block.values()).zip(&mut *scales).zip(blocks) {
                    *scale = block.codes(bytes, codes);
                }
                scales.iter().all(|scale| scale.is_finite()).then(QuantizationError::default)
            })
        } else {
            quantize_matrix([rows, width], quant_spec.format, |row, to| {
                let (index, row) = at(row);
                places[index].read_row(row, to);
            })
        };
        let (data, rounding) = quantized.map_err(|row| {
            let (index, row) = at(row);
            Error::tensor(matrices[index].0, format!("row {row} has a value that is not finite, or above 60,000"))
        })?;
        tracing::debug!(name = matrices[0].0, error = rounding.relative(), "quantized");
        places.iter().for_each(|place| place.release());
        if let Some(writer) = self.writer {
            writer.borrow_mut().quantized(matrices, &data, rounding)?;
        }
        Ok(Some(QuantizedWeight::new(data, self.device)))
    }
}

/// Stored bytes as Burn's, shared with the memory map where they start at a multiple of `size`.
fn shared(bytes: bytes::Bytes, size: usize) -> Bytes {
    if bytes.as_ptr().addr().is_multiple_of(size) {
        Bytes::from_shared(bytes, AllocationProperty::File)
    } else {
        Bytes::from_bytes_vec(bytes.to_vec())
    }
}
