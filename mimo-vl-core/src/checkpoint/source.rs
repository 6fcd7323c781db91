//! Tensors for a model that is being built.

use std::cell::{Cell, RefCell};

use burn::tensor::backend::Backend;
use burn::tensor::{AllocationProperty, Bytes, DType, Tensor, TensorData};

use half::f16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::entry::{Encoding, TensorEntry};
use super::files::Checkpoint;
use super::formats::{FloatType, WeightFormat};
use super::gguf::blocks::Block;
use super::names::TensorId;
use super::quantized::QuantizationReport;
use super::quantized_writer::QuantizedWriter;
use crate::cancel::{Stage, TaskControl};
use crate::config::TensorRole;
use crate::error::{Error, Result};
use crate::kernels::{QuantizationError, QuantizedWeight, quantize_matrix, repack_matrix};
use crate::quant::{Bits, Codebook, QuantFormat, quant_format};

/// A source of tensors by id, with the shape that the model's configuration implies.
pub trait TensorSource<B: Backend> {
    /// The tensor `id`, which must have `shape`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or has another shape or type.
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>>;

    /// Matrices of `width` columns, given as ids and numbers of rows, quantized one below the other; `None` when this
    /// source has them as tensors.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing, has another shape or type, or cannot be quantized.
    fn quantized(&self, matrices: &[(TensorId, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        let _ = (matrices, width);
        Ok(None)
    }
}

/// Tensors of a checkpoint in a number format, on a device.
#[derive(Debug)]
pub struct CheckpointSource<'a, B: Backend> {
    checkpoint: &'a Checkpoint,
    weights: WeightFormat,
    device: &'a B::Device,
    control: Option<&'a TaskControl>,
    /// Stored bytes that were read.
    read: Cell<u64>,
    /// Stored bytes of all tensors.
    total: u64,
    writer: Option<&'a RefCell<QuantizedWriter>>,
}

impl Checkpoint {
    /// The tensors of this checkpoint, in the number format `weights`, on `device`.
    pub fn source<'a, B: Backend>(&'a self, weights: WeightFormat, device: &'a B::Device) -> CheckpointSource<'a, B> {
        CheckpointSource {
            checkpoint: self,
            weights,
            device,
            control: None,
            read: Cell::new(0),
            total: self.bytes(),
            writer: None,
        }
    }
}

impl<'a, B: Backend> CheckpointSource<'a, B> {
    /// Sets the control that progress is reported to, in bytes, and that is checked before each tensor.
    #[must_use]
    pub fn control(mut self, control: &'a TaskControl) -> Self {
        self.control = Some(control);
        self
    }

    /// Sets the writer that stores every tensor in a quantized checkpoint.
    #[must_use]
    pub fn writer(mut self, writer: Option<&'a RefCell<QuantizedWriter>>) -> Self {
        self.writer = writer;
        self
    }

    fn entry(&self, id: TensorId, shape: &[usize]) -> Result<&'a TensorEntry> {
        let entry = self.checkpoint.entry(id)?;
        if entry.shape != shape {
            let reason = format!("shape {:?}; the configuration requires {shape:?}", entry.shape);
            return Err(Error::tensor(id.to_string(), reason));
        }
        Ok(entry)
    }

    /// Reports progress before `bytes` more are read. A tied embedding is read twice.
    fn report(&self, bytes: usize) -> Result<()> {
        if let Some(control) = self.control {
            control.step(Stage::Load, self.read.get().min(self.total), self.total)?;
        }
        self.read.set(self.read.get() + bytes as u64);
        Ok(())
    }

    /// The stored product of these matrices of a quantized checkpoint, shared with the memory map.
    fn stored_product(
        &self,
        report: &QuantizationReport,
        matrices: &[(TensorId, usize)],
        width: usize,
    ) -> Result<Option<QuantizedWeight<B>>> {
        let Some(matrix) = report.matrix(matrices) else { return Ok(None) };
        let expected: Vec<usize> = matrices.iter().map(|&(_, rows)| rows).collect();
        if matrix.rows != expected || matrix.width != width {
            let stored = format!("{:?} rows of {}", matrix.rows, matrix.width);
            let reason = format!(
                "{stored}; the configuration requires {expected:?} of {width}: the weights are of another model"
            );
            return Err(Error::tensor(matrices[0].0.to_string(), reason));
        }
        let rows = expected.iter().sum();
        let shapes = matrix.format.shapes(rows, width);
        let [codes, scales] = matrix.stored_names();
        let codes = self.checkpoint.quantized_entry(&codes, Encoding::Bytes, shapes[0])?;
        let scales = self.checkpoint.quantized_entry(&scales, Encoding::Float(FloatType::F16), shapes[1])?;
        self.report(codes.byte_len() + scales.byte_len())?;
        let codes = TensorData::from_bytes(shared(codes.contiguous(), 1), shapes[0].to_vec(), DType::U8);
        let scales = TensorData::from_bytes(shared(scales.contiguous(), 2), shapes[1].to_vec(), DType::F16);
        Ok(Some(QuantizedWeight::from_data(codes, scales, [rows, width], matrix.format, self.device)))
    }

    /// The type of dense values on the device.
    fn dtype(&self, encoding: Encoding) -> Result<DType> {
        let preferred = match (self.weights, encoding) {
            (WeightFormat::F32, _) => DType::F32,
            (WeightFormat::F16, _) => DType::F16,
            (WeightFormat::Bf16, _) => DType::BF16,
            (_, Encoding::Float(float)) => float.dtype(),
            // As precise as the scales of the blocks.
            _ => DType::F16,
        };
        match self.weights {
            _ if B::supports_dtype(self.device, preferred) => Ok(preferred),
            WeightFormat::Native | WeightFormat::Int8 | WeightFormat::Int4 => Ok(DType::F32),
            format => Err(Error::option("weights", format!("the device has no {format:?}; choose Native or F32"))),
        }
    }
}

/// The quantization of a matrix while it is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuantSpec {
    pub(super) format: QuantFormat,
    /// The kind of stored blocks whose codes are kept exactly; `None` where their values are quantized anew.
    exact: Option<Block>,
}

/// The quantization of a matrix that is loaded as `weights`; `None` when it stays dense.
///
/// Blocks of a GGUF file keep their weights where a format has exactly the same. Others become bytes in groups as
/// small as theirs, which changes them little, unless `weights` is [`WeightFormat::Int4`].
pub(super) fn quant_spec(role: TensorRole, encoding: Encoding, weights: WeightFormat) -> Option<QuantSpec> {
    let by_policy = |bits| quant_format(role, bits).map(|format| QuantSpec { format, exact: None });
    let Encoding::Block(block) = encoding else { return weights.bits().and_then(by_policy) };
    let exact = block.format().map(|format| QuantSpec { format, exact: Some(block) });
    match weights {
        WeightFormat::F32 | WeightFormat::F16 | WeightFormat::Bf16 => None,
        WeightFormat::Int4 => {
            let policy = by_policy(Bits::Four)?;
            exact.filter(|exact| exact.format.codebook.bits() <= policy.format.codebook.bits()).or(Some(policy))
        }
        WeightFormat::Native | WeightFormat::Int8 => Some(
            exact.unwrap_or(QuantSpec { format: QuantFormat { codebook: Codebook::Linear8, group: 32 }, exact: None }),
        ),
    }
}

impl<B: Backend> TensorSource<B> for CheckpointSource<'_, B> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let entry = self.entry(id, &shape)?;
        self.report(entry.byte_len())?;
        if let Some(writer) = self.writer {
            writer.borrow_mut().add_dense(id, entry.clone());
        }
        let dtype = self.dtype(entry.encoding)?;
        let data = match entry.encoding {
            Encoding::Float(float) => {
                let bytes = shared(entry.contiguous(), float.size());
                TensorData::from_bytes(bytes, entry.shape.clone(), float.dtype()).convert_dtype(dtype)
            }
            _ if dtype == DType::F32 => TensorData::new(entry.values(), entry.shape.clone()),
            _ => {
                // Row by row: all of them as f32 would be twice as large as the result.
                let width = shape[D - 1];
                let mut values = vec![f16::ZERO; shape.iter().product()];
                values.par_chunks_exact_mut(width).enumerate().for_each(|(row, out)| {
                    let mut values = vec![0.0; width];
                    entry.read_row(row, &mut values);
                    out.convert_from_f32_slice(&values);
                });
                TensorData::new(values, entry.shape.clone()).convert_dtype(dtype)
            }
        };
        Ok(Tensor::from_data(data, (self.device, dtype)))
    }

    fn quantized(&self, matrices: &[(TensorId, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        if let Some(report) = self.checkpoint.quantization_report() {
            return self.stored_product(report, matrices, width);
        }
        let entries: Vec<&TensorEntry> =
            matrices.iter().map(|&(id, rows)| self.entry(id, &[rows, width])).collect::<Result<_>>()?;
        let spec_of = |index: usize| quant_spec(matrices[index].0.role, entries[index].encoding, self.weights);
        let Some(spec) = spec_of(0) else { return Ok(None) };
        if (1..entries.len()).any(|index| spec_of(index) != Some(spec)) {
            // Matrices in different formats are products of their own.
            return Ok(None);
        }
        self.report(entries.iter().map(|entry| entry.byte_len()).sum())?;
        let rows: usize = matrices.iter().map(|&(_, rows)| rows).sum();
        // Index of the matrix that a row of the product is in, and its row there.
        let locate = |mut row: usize| {
            let contains = |&(_, rows): &(TensorId, usize)| match row < rows {
                true => true,
                false => {
                    row -= rows;
                    false
                }
            };
            let index = matrices.iter().position(contains).unwrap_or_default();
            (index, row)
        };
        let quantized = if let Some(block) = spec.exact {
            repack_matrix([rows, width], spec.format, |row, codes, scales| {
                let (index, row) = locate(row);
                let blocks = entries[index].row(row, width).chunks_exact(block.bytes());
                for ((codes, scale), bytes) in codes.chunks_exact_mut(block.values()).zip(&mut *scales).zip(blocks) {
                    *scale = block.codes(bytes, codes);
                }
                scales.iter().all(|scale| scale.is_finite()).then(QuantizationError::default)
            })
        } else {
            quantize_matrix([rows, width], spec.format, |row, out| {
                let (index, row) = locate(row);
                entries[index].read_row(row, out);
            })
        };
        let (data, rounding) = quantized.map_err(|row| {
            let (index, row) = locate(row);
            let reason = format!("row {row} has a value that is not finite, or above 60,000");
            Error::tensor(matrices[index].0.to_string(), reason)
        })?;
        tracing::debug!(name = %matrices[0].0, error = rounding.relative(), "quantized");
        entries.iter().for_each(|entry| entry.release());
        if let Some(writer) = self.writer {
            writer.borrow_mut().add_quantized(matrices, &data, rounding)?;
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
