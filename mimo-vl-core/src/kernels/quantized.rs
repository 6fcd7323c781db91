//! Matrices of 4 or 8 bits per weight, interleaved in the order in which the kernels read them.
//!
//! The layout is described in `docs/kernels/quantized.md`.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, ElementConversion, Int, Tensor, TensorData};
use half::f16;

use super::Kernels;
use crate::quant::{PANEL_ROWS, QuantFormat};

/// Constant factor of every weight: `level · scale · LEVEL_SCALE`. It makes the scale of a group about as large as the
/// group's largest weight.
pub(super) const LEVEL_SCALE: f32 = 1.0 / 128.0;

/// A quantized matrix in host memory.
///
/// Rows are divided into panels of [`PANEL_ROWS`], columns into groups of the format's size. A block holds the codes of
/// one group for the rows of one panel: for every four columns, four bytes of each row in turn. 4-bit codes share a
/// byte with the code four columns further on, which is in the upper half. The padding of the last panel and group is
/// ignored: no result comes from those rows, and activations are 0 in those columns.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedData {
    /// `[panels, groups, block]`
    pub codes: Vec<u8>,
    /// `[panels, groups, PANEL_ROWS]`
    pub scales: Vec<f16>,
    /// Rows of the matrix, without padding.
    pub rows: usize,
    /// Columns of the matrix, without padding.
    pub width: usize,
    /// Codebook and group size.
    pub format: QuantFormat,
}

impl QuantizedData {
    /// A matrix of `rows` × `width` whose codes and scales are all 0.
    ///
    /// # Panics
    /// If the format's group is not 32, 64 or 128.
    pub fn zeros(rows: usize, width: usize, format: QuantFormat) -> Self {
        format.check();
        let blocks = rows.div_ceil(PANEL_ROWS) * width.div_ceil(format.group);
        Self {
            codes: vec![0; blocks * format.block_bytes()],
            scales: vec![f16::ZERO; blocks * PANEL_ROWS],
            rows,
            width,
            format,
        }
    }
}

impl QuantFormat {
    /// Writes the codes of one group of row `lane` of a panel into the group's block. 8-bit codes are levels plus 128;
    /// 4-bit codes are indices into the codebook.
    pub(super) fn write_codes(self, block: &mut [u8], lane: usize, codes: &[u8]) {
        let mut write = |index: usize, quad: u32| {
            block[4 * (index * PANEL_ROWS + lane)..][..4].copy_from_slice(&quad.to_le_bytes());
        };
        let (quads, _) = codes.as_chunks();
        match self.codebook.bits() {
            4 => {
                for (index, [low, high]) in quads.as_chunks().0.iter().enumerate() {
                    write(index, u32::from_le_bytes(*low) | u32::from_le_bytes(*high) << 4);
                }
            }
            _ => quads.iter().enumerate().for_each(|(index, quad)| write(index, u32::from_le_bytes(*quad))),
        }
    }
}

/// A quantized matrix on a device.
#[derive(Module, Debug)]
pub struct QuantizedWeight<B: Backend> {
    pub(super) codes: Tensor<B, 3, Int>,
    pub(super) scales: Tensor<B, 3>,
    pub(super) rows: usize,
    pub(super) width: usize,
    #[module(skip)]
    pub(super) format: QuantFormat,
}

impl<B: Backend> QuantizedWeight<B> {
    /// Moves a quantized matrix to the device.
    pub fn new(data: QuantizedData, device: &B::Device) -> Self {
        let QuantizedData { codes, scales, rows, width, format } = data;
        let shapes = format.shapes(rows, width);
        let (codes, scales) = (TensorData::new(codes, shapes[0]), TensorData::new(scales, shapes[1]));
        Self::from_data(codes, scales, [rows, width], format, device)
    }

    /// Moves codes and scales in the layout of [`QuantizedData`] to the device, without a copy if the device allows it.
    ///
    /// # Panics
    /// If the matrix is empty or the format's group is not 32, 64 or 128.
    pub fn from_data(
        codes: TensorData,
        scales: TensorData,
        [rows, width]: [usize; 2],
        format: QuantFormat,
        device: &B::Device,
    ) -> Self {
        format.check();
        assert!(rows > 0 && width > 0, "a matrix of {rows} rows and {width} columns");
        let scale_type = if B::supports_dtype(device, DType::F16) { DType::F16 } else { DType::F32 };
        Self {
            codes: Tensor::from_data(codes, (device, DType::U8)),
            scales: Tensor::from_data(scales.convert_dtype(scale_type), (device, scale_type)),
            rows,
            width,
            format,
        }
    }

    /// Rows and columns.
    pub fn dims(&self) -> [usize; 2] {
        [self.rows, self.width]
    }

    /// Codebook and group size.
    pub fn format(&self) -> QuantFormat {
        self.format
    }

    /// The matrix as f32.
    ///
    /// # Shapes
    /// - result: `[rows, width]`
    pub fn dequantize(&self) -> Tensor<B, 2> {
        self.dequantize_panels(0, self.rows.div_ceil(PANEL_ROWS))
    }

    /// [`dequantize`](Self::dequantize) for the rows of `count` panels.
    fn dequantize_panels(&self, first: usize, count: usize) -> Tensor<B, 2> {
        let [_, groups, bytes] = self.codes.dims();
        let group = self.format.group;
        let codes = self.codes.clone().narrow(0, first, count).reshape([count * groups, bytes]).cast(DType::I32);
        // [count · groups, quads, PANEL_ROWS, 4]
        let levels = match self.format.codebook.lookup_table() {
            None => codes.reshape([count * groups, group / 4, PANEL_ROWS, 4]).float().sub_scalar(128.0),
            Some(levels) => {
                let half = |codes: Tensor<B, 2, Int>| codes.reshape([count * groups, group / 8, 1, PANEL_ROWS * 4]);
                let low = half(codes.clone().bitwise_and_scalar(15_i32.elem()));
                let high = half(codes.bitwise_right_shift_scalar(4_i32.elem()));
                let indices = Tensor::cat(vec![low, high], 2).reshape([count * groups * group * PANEL_ROWS]);
                let table: Vec<f32> = levels.iter().map(|&level| f32::from(level)).collect();
                let table = Tensor::<B, 1>::from_data(TensorData::new(table, [16]), &indices.device());
                table.select(0, indices).reshape([count * groups, group / 4, PANEL_ROWS, 4])
            }
        };
        let scales = self.scales.clone().narrow(0, first, count).reshape([count * groups, 1, PANEL_ROWS, 1]);
        let weights = levels * scales.cast(DType::F32).mul_scalar(LEVEL_SCALE);
        let weights = weights.reshape([count, groups, group / 4, PANEL_ROWS, 4]).permute([0, 3, 1, 2, 4]);
        let rows = (count * PANEL_ROWS).min(self.rows - first * PANEL_ROWS);
        weights.reshape([count * PANEL_ROWS, groups * group]).slice([0..rows, 0..self.width])
    }
}

/// The portable product: weights are dequantized panel by panel, activations stay f32.
pub(super) fn linear<B: Backend>(
    x: Tensor<B, 2>,
    weight: &QuantizedWeight<B>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let panels = weight.rows.div_ceil(PANEL_ROWS);
    let step = (super::linear::CONVERT_VALUES / (PANEL_ROWS * weight.width)).max(1);
    let chunks = (0..panels).step_by(step).map(|first| {
        let weight = weight.dequantize_panels(first, step.min(panels - first));
        x.clone().matmul(weight.transpose())
    });
    let product = Tensor::cat(chunks.collect(), 1);
    match bias {
        Some(bias) => product + super::linear::to_f32(bias).unsqueeze::<2>(),
        None => product,
    }
}

/// The portable product with SwiGLU: the first half of its columns is the gate of the second half.
pub(super) fn gated<B: Kernels>(
    x: Tensor<B, 2>,
    weight: &QuantizedWeight<B>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let product = B::linear_quantized(x, weight, bias);
    let half = weight.rows / 2;
    B::swiglu(product.clone().narrow(1, 0, half), product.narrow(1, half, half))
}
