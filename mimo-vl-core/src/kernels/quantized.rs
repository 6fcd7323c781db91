//! Matrices of four or eight bits a weight, in the order in which the kernels read them.
//!
//! `docs/kernels/quantized.md` draws the layout.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, ElementConversion, Int, Tensor, TensorData};
use half::f16;

use super::Kernels;
use crate::quant::{PANEL, QuantFormat};

/// What a level is multiplied with, beside the scale: a group's scale is about as large as its largest weight.
pub(super) const UNIT: f32 = 1.0 / 128.0;

/// A quantized matrix in host memory.
///
/// Rows are taken in panels of [`PANEL`], columns in groups of the format. A block holds the codes of one group in
/// the rows of a panel: for every four columns, the rows' codes one after the other, four bytes each. Codes of four
/// bits share these bytes with those of the next four columns, which are in the upper half. What fills up the last
/// panel and group counts for nothing: no result is taken from those rows, and activations are 0 in those columns.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedData {
    /// `[panels, groups, block]`
    pub codes: Vec<u8>,
    /// `[panels, groups, PANEL]`
    pub scales: Vec<f16>,
    /// Rows of the matrix, without those that fill up the last panel.
    pub rows: usize,
    /// Columns of the matrix, without those that fill up the last group.
    pub width: usize,
    /// How it is quantized.
    pub format: QuantFormat,
}

impl QuantizedData {
    /// A matrix of `rows` and `width` with all codes and scales 0.
    ///
    /// # Panics
    /// When the format's group is not 32, 64 or 128.
    pub fn zeros(rows: usize, width: usize, format: QuantFormat) -> Self {
        format.check();
        let blocks = rows.div_ceil(PANEL) * width.div_ceil(format.group);
        Self {
            codes: vec![0; blocks * format.block_bytes()],
            scales: vec![f16::ZERO; blocks * PANEL],
            rows,
            width,
            format,
        }
    }
}

impl QuantFormat {
    /// Put the codes of a group in row `lane` of a panel into its block: levels plus 128 for eight bits, indices of
    /// levels for four.
    pub(super) fn put(self, block: &mut [u8], lane: usize, codes: &[u8]) {
        let mut write = |index: usize, quad: u32| {
            block[4 * (index * PANEL + lane)..][..4].copy_from_slice(&quad.to_le_bytes());
        };
        let (quads, _) = codes.as_chunks();
        match self.levels.bits() {
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
    /// Bring a quantized matrix to the device.
    pub fn new(data: QuantizedData, device: &B::Device) -> Self {
        let QuantizedData { codes, scales, rows, width, format } = data;
        let shapes = format.shapes(rows, width);
        let (codes, scales) = (TensorData::new(codes, shapes[0]), TensorData::new(scales, shapes[1]));
        Self::from_data(codes, scales, [rows, width], format, device)
    }

    /// Bring codes and scales, in the layout of [`QuantizedData`], to the device, without a copy where it allows that.
    ///
    /// # Panics
    /// When there is no row or column, or the format's group is not 32, 64 or 128.
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

    /// How it is quantized.
    pub fn format(&self) -> QuantFormat {
        self.format
    }

    /// The matrix that the codes stand for, as f32.
    ///
    /// # Shapes
    /// - result: `[rows, width]`
    pub fn unpack(&self) -> Tensor<B, 2> {
        self.dequantize_panels(0, self.rows.div_ceil(PANEL))
    }

    /// As [`unpack`](Self::unpack), of the rows of some panels.
    fn dequantize_panels(&self, first: usize, count: usize) -> Tensor<B, 2> {
        let [_, groups, bytes] = self.codes.dims();
        let group = self.format.group;
        let codes = self.codes.clone().narrow(0, first, count).reshape([count * groups, bytes]).cast(DType::I32);
        // [count · groups, quads, PANEL, 4]
        let levels = match self.format.levels.of_four_bits() {
            None => codes.reshape([count * groups, group / 4, PANEL, 4]).float().sub_scalar(128.0),
            Some(levels) => {
                let half = |codes: Tensor<B, 2, Int>| codes.reshape([count * groups, group / 8, 1, PANEL * 4]);
                let low = half(codes.clone().bitwise_and_scalar(15_i32.elem()));
                let high = half(codes.bitwise_right_shift_scalar(4_i32.elem()));
                let indices = Tensor::cat(vec![low, high], 2).reshape([count * groups * group * PANEL]);
                let table: Vec<f32> = levels.iter().map(|&level| f32::from(level)).collect();
                let table = Tensor::<B, 1>::from_data(TensorData::new(table, [16]), &indices.device());
                table.select(0, indices).reshape([count * groups, group / 4, PANEL, 4])
            }
        };
        let scales = self.scales.clone().narrow(0, first, count).reshape([count * groups, 1, PANEL, 1]);
        let weights = levels * scales.cast(DType::F32).mul_scalar(UNIT);
        let weights = weights.reshape([count, groups, group / 4, PANEL, 4]).permute([0, 3, 1, 2, 4]);
        let rows = (count * PANEL).min(self.rows - first * PANEL);
        weights.reshape([count * PANEL, groups * group]).slice([0..rows, 0..self.width])
    }
}

/// The portable product: weights are unpacked, activations keep their f32.
pub(super) fn linear<B: Backend>(
    x: Tensor<B, 2>,
    weight: &QuantizedWeight<B>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let panels = weight.rows.div_ceil(PANEL);
    let step = (super::linear::WIDEN_VALUES / (PANEL * weight.width)).max(1);
    let parts = (0..panels).step_by(step).map(|first| {
        let weight = weight.dequantize_panels(first, step.min(panels - first));
        x.clone().matmul(weight.transpose())
    });
    let product = Tensor::cat(parts.collect(), 1);
    match bias {
        Some(bias) => product + super::linear::widened(bias).unsqueeze::<2>(),
        None => product,
    }
}

/// The gate after a product: the first half of its columns is the gate of the second.
pub(super) fn gated<B: Kernels>(
    x: Tensor<B, 2>,
    weight: &QuantizedWeight<B>,
    bias: Option<Tensor<B, 1>>,
) -> Tensor<B, 2> {
    let product = B::linear_quantized(x, weight, bias);
    let half = weight.rows / 2;
    B::swiglu(product.clone().narrow(1, 0, half), product.narrow(1, half, half))
}
