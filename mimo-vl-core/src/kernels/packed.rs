//! Matrices of four or eight bits a weight, in the order in which the kernels read them.
//!
//! `docs/packed.md` draws the layout.

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, ElementConversion, Int, Tensor, TensorData};
use half::f16;

/// Rows of the matrix that lie interleaved, so that a register holds one column's weights of several of them.
pub const PANEL: usize = 32;

/// What a level is multiplied with, beside the scale: a group's scale is about as large as its largest weight.
pub(super) const UNIT: f32 = 1.0 / 128.0;

/// The values that codes stand for; a weight is its level times the scale of its group, divided by 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Levels {
    /// Sixteen levels, close together near 0, where weights are frequent.
    Normal4,
    /// −128 to 112 in steps of 16.
    Linear4,
    /// −127 to 127.
    Linear8,
}

impl Levels {
    /// Bits of a code.
    pub fn bits(self) -> usize {
        match self {
            Self::Normal4 | Self::Linear4 => 4,
            Self::Linear8 => 8,
        }
    }

    /// The levels of the sixteen codes of four bits, in increasing order.
    ///
    /// Those of `Normal4` minimise the squared error over groups of 64 weights drawn from normal and Student
    /// distributions, with one of them held at 0 (found with Lloyd's algorithm).
    pub fn of_four_bits(self) -> Option<&'static [i8; 16]> {
        match self {
            Self::Normal4 => Some(&[-127, -96, -74, -57, -44, -31, -20, -10, 0, 11, 22, 33, 46, 61, 78, 102]),
            Self::Linear4 => Some(&[-128, -112, -96, -80, -64, -48, -32, -16, 0, 16, 32, 48, 64, 80, 96, 112]),
            Self::Linear8 => None,
        }
    }

    /// The level of a code.
    pub(super) fn level(self, code: u8) -> f32 {
        match self.of_four_bits() {
            Some(levels) => f32::from(levels[usize::from(code & 15)]),
            None => f32::from(code) - 128.0,
        }
    }

    /// The code of level 0.
    pub(super) fn zero(self) -> u8 {
        if self.bits() == 4 { 8 } else { 128 }
    }
}

/// How the weights of a matrix are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// What the codes stand for.
    pub levels: Levels,
    /// Neighbours in a row that share a scale: 32, 64 or 128.
    pub group: usize,
}

impl Format {
    /// Bytes of the codes of one group in [`PANEL`] rows.
    pub fn block_bytes(self) -> usize {
        PANEL * self.group * self.levels.bits() / 8
    }

    /// Bytes of a packed matrix, scales included.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        rows.div_ceil(PANEL) * width.div_ceil(self.group) * (self.block_bytes() + 2 * PANEL)
    }
}

/// A packed matrix in host memory.
///
/// Rows are taken in panels of [`PANEL`], columns in groups of the format. A block holds the codes of one group in
/// the rows of a panel: for every four columns, the rows' codes one after the other, four bytes each. Codes of four
/// bits share these bytes with those of the next four columns, which are in the upper half. Rows and columns
/// that fill up the last panel and group have codes and scales of 0 and columns whose activations are 0.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedData {
    /// `[panels, groups, block]`
    pub codes: Vec<u8>,
    /// `[panels, groups, PANEL]`
    pub scales: Vec<f16>,
    /// Rows of the matrix, without those that fill up the last panel.
    pub rows: usize,
    /// Columns of the matrix, without those that fill up the last group.
    pub width: usize,
    /// How it is packed.
    pub format: Format,
}

impl PackedData {
    /// A matrix of `rows` and `width` whose groups are still to be put.
    pub fn zeros(rows: usize, width: usize, format: Format) -> Self {
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

impl Format {
    /// Put the codes of a group in row `lane` of a panel into its block: levels plus 128 for eight bits, indices of
    /// levels for four. What was there before is 0.
    pub(super) fn put(self, block: &mut [u8], lane: usize, codes: &[u8]) {
        for (column, &code) in codes.iter().enumerate() {
            let (at, shift) = self.place(lane, column);
            block[at] |= code << shift;
        }
    }

    /// Byte of a block and bit in it where the code of a panel's row and a group's column starts.
    fn place(self, lane: usize, column: usize) -> (usize, usize) {
        match self.levels.bits() {
            4 => (column / 8 * 4 * PANEL + 4 * lane + column % 4, column / 4 % 2 * 4),
            _ => (column / 4 * 4 * PANEL + 4 * lane + column % 4, 0),
        }
    }
}

/// A packed matrix on a device.
#[derive(Module, Debug)]
pub struct Packed<B: Backend> {
    pub(super) codes: Tensor<B, 3, Int>,
    pub(super) scales: Tensor<B, 3>,
    pub(super) rows: usize,
    pub(super) width: usize,
    #[module(skip)]
    pub(super) format: Format,
}

impl<B: Backend> Packed<B> {
    /// Bring a packed matrix to the device.
    pub fn new(data: PackedData, device: &B::Device) -> Self {
        let PackedData { codes, scales, rows, width, format } = data;
        let (panels, groups) = (rows.div_ceil(PANEL), width.div_ceil(format.group));
        let codes = TensorData::new(codes, [panels, groups, format.block_bytes()]);
        let scales = TensorData::new(scales, [panels, groups, PANEL]);
        Self::from_data(codes, scales, [rows, width], format, device)
    }

    /// Bring codes and scales, in the layout of [`PackedData`], to the device, without a copy where it allows that.
    pub fn from_data(
        codes: TensorData,
        scales: TensorData,
        [rows, width]: [usize; 2],
        format: Format,
        device: &B::Device,
    ) -> Self {
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

    /// How it is packed.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The matrix that the codes stand for, as f32.
    ///
    /// # Shapes
    /// - result: `[rows, width]`
    pub fn unpack(&self) -> Tensor<B, 2> {
        let panels = self.codes.dims()[0];
        let parts = (0..panels).map(|panel| self.unpack_panel(panel));
        Tensor::cat(parts.collect(), 0)
    }

    /// As [`unpack`](Self::unpack), of one panel's rows.
    fn unpack_panel(&self, panel: usize) -> Tensor<B, 2> {
        let [_, groups, bytes] = self.codes.dims();
        let group = self.format.group;
        let codes = self.codes.clone().narrow(0, panel, 1).reshape([groups, bytes]).cast(DType::I32);
        // [groups, quads, PANEL, 4]
        let levels = match self.format.levels.of_four_bits() {
            None => codes.reshape([groups, group / 4, PANEL, 4]).float().sub_scalar(128.0),
            Some(levels) => {
                let half = |codes: Tensor<B, 2, Int>| codes.reshape([groups, group / 8, 1, PANEL * 4]);
                let low = half(codes.clone().bitwise_and_scalar(15_i32.elem()));
                let high = half(codes.bitwise_right_shift_scalar(4_i32.elem()));
                let indices = Tensor::cat(vec![low, high], 2).reshape([groups * group * PANEL]);
                let table: Vec<f32> = levels.iter().map(|&level| f32::from(level)).collect();
                let table = Tensor::<B, 1>::from_data(TensorData::new(table, [16]), &indices.device());
                table.select(0, indices).reshape([groups, group / 4, PANEL, 4])
            }
        };
        let scales = self.scales.clone().narrow(0, panel, 1).reshape([groups, 1, PANEL, 1]).cast(DType::F32);
        let rows = PANEL.min(self.rows - panel * PANEL);
        let weights = (levels * scales.mul_scalar(UNIT)).permute([2, 0, 1, 3]).reshape([PANEL, groups * group]);
        weights.slice([0..rows, 0..self.width])
    }
}

/// The portable product: weights are unpacked, activations keep their f32.
pub(super) fn linear<B: Backend>(x: Tensor<B, 2>, weight: &Packed<B>, bias: Option<Tensor<B, 1>>) -> Tensor<B, 2> {
    let panels = weight.rows.div_ceil(PANEL);
    let parts = (0..panels).map(|panel| x.clone().matmul(weight.unpack_panel(panel).transpose()));
    let product = Tensor::cat(parts.collect(), 1);
    match bias {
        Some(bias) => product + super::linear::widened(bias).unsqueeze::<2>(),
        None => product,
    }
}
