//! Products with quantized weights: bytes times bytes, summed as integers inside a group, scaled, and summed as f32.
//!
//! Few rows of activations read the quantized codes as they stream from memory. For many, a panel is unpacked, a part
//! that fits the first cache at a time, and goes over all rows.

use std::ops::Range;

use half::f16;

use super::activations::Activations;
use super::codes::{Bytes, Nibbles, QUAD, Source};
use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::split;
use super::rowwise::gate_row;
use super::{SimdLevel, run};
use crate::quant::{PANEL, QuantFormat};

/// Rows of activations that share one pass over the quantized codes.
const FEW: usize = 6;
/// Columns of a panel that are unpacked at a time: 32 KiB.
const COLUMNS: usize = 1024;

/// A quantized matrix, as in [`QuantizedData`](crate::kernels::QuantizedData).
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Matrix<'a> {
    pub(in crate::kernels) codes: &'a [u8],
    pub(in crate::kernels) scales: &'a [f16],
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) format: QuantFormat,
}

/// `out = activations · matrixᵀ + bias`.
///
/// # Panics
/// When the sizes do not fit one another.
pub(in crate::kernels) fn multiply(
    level: SimdLevel,
    activations: &Activations,
    matrix: Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let product = Product::new(activations, matrix, bias);
    assert_eq!(out.len(), activations.rows * matrix.rows);
    if !out.is_empty() {
        let out = Disjoint::new(out);
        product.each_panel(matrix.rows.div_ceil(PANEL), |panel| run(level, Plain { product, out: &out, panel }));
    }
}

/// `out = silu(gate) · up`, where `gate` and `up` are the first and the second half of the columns of
/// `activations · matrixᵀ + bias`, each of them whole panels.
///
/// # Panics
/// When the sizes do not fit one another.
pub(in crate::kernels) fn multiply_gated(
    level: SimdLevel,
    activations: &Activations,
    matrix: Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let product = Product::new(activations, matrix, bias);
    assert!(matrix.rows.is_multiple_of(2 * PANEL), "halves of {} rows", matrix.rows);
    assert_eq!(out.len(), activations.rows * matrix.rows / 2);
    if !out.is_empty() {
        let out = Disjoint::new(out);
        product.each_panel(matrix.rows / 2 / PANEL, |panel| run(level, Gated { product, out: &out, panel }));
    }
}

#[derive(Clone, Copy)]
struct Product<'a> {
    activations: &'a Activations,
    matrix: Matrix<'a>,
    bias: Option<&'a [f32]>,
}

/// One panel's columns of a product.
struct Plain<'a> {
    product: Product<'a>,
    out: &'a Disjoint<'a, f32>,
    panel: usize,
}

/// One panel's columns of a gated product.
struct Gated<'a> {
    product: Product<'a>,
    out: &'a Disjoint<'a, f32>,
    panel: usize,
}

impl Kernel for Plain<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { product, out, panel } = self;
        let (rows, stride) = (product.activations.rows, product.matrix.rows);
        let columns = panel * PANEL..stride.min((panel + 1) * PANEL);
        // SAFETY: each panel is in one part of the work, and the results of a row are as many as its columns.
        unsafe {
            let part = |row: usize| out.part(row * stride + columns.start..row * stride + columns.end);
            if columns.len() == PANEL {
                return product.sums::<I>(panel, out.start().add(columns.start), stride);
            }
            let mut sums = vec![0.0; rows * PANEL];
            product.sums::<I>(panel, sums.as_mut_ptr(), PANEL);
            for (row, sums) in sums.chunks_exact(PANEL).enumerate() {
                part(row).copy_from_slice(&sums[..columns.len()]);
            }
        }
    }
}

impl Kernel for Gated<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { product, out, panel } = self;
        let (rows, stride) = (product.activations.rows, product.matrix.rows / 2);
        let (mut gate, mut up) = (vec![0.0; rows * PANEL], vec![0.0; rows * PANEL]);
        // SAFETY: as in `Plain`.
        unsafe {
            product.sums::<I>(panel, gate.as_mut_ptr(), PANEL);
            product.sums::<I>(stride / PANEL + panel, up.as_mut_ptr(), PANEL);
            for (row, (gate, up)) in gate.chunks_exact(PANEL).zip(up.chunks_exact(PANEL)).enumerate() {
                let start = row * stride + panel * PANEL;
                gate_row::<I>(gate, up, out.part(start..start + PANEL));
            }
        }
    }
}

impl<'a> Product<'a> {
    fn new(activations: &'a Activations, matrix: Matrix<'a>, bias: Option<&'a [f32]>) -> Self {
        let Activations { groups, group, .. } = *activations;
        let Matrix { codes, scales, rows, format } = matrix;
        format.check();
        let blocks = rows.div_ceil(PANEL) * groups;
        assert_eq!(group, format.group);
        assert_eq!((codes.len(), scales.len()), (blocks * format.block_bytes(), blocks * PANEL));
        assert!(bias.is_none_or(|bias| bias.len() == rows));
        Self { activations, matrix, bias }
    }

    /// Do `work` for each panel, with all threads.
    fn each_panel(&self, panels: usize, work: impl Fn(usize) + Sync) {
        // Parts large enough that fetching ahead pays, small enough that the threads end together.
        let part = if self.activations.rows <= FEW { panels.div_ceil(32).max(1) } else { 1 };
        split(panels, part, |part| part.for_each(&work));
    }

    /// Write the results of all rows for the columns of a panel, the ones that fill it up included.
    #[inline(always)]
    unsafe fn sums<I: Isa>(&self, panel: usize, sums: *mut f32, stride: usize) {
        let Activations { rows, groups, group, .. } = *self.activations;
        let mut start = [0.0; PANEL];
        if let Some(bias) = self.bias {
            let bias = &bias[panel * PANEL..self.matrix.rows.min((panel + 1) * PANEL)];
            start[..bias.len()].copy_from_slice(bias);
        }
        // SAFETY: the sizes were checked; there is room for the panel's columns in each row.
        unsafe {
            for row in 0..rows {
                sums.add(row * stride).copy_from_nonoverlapping(start.as_ptr(), PANEL);
            }
            let at = At { panel, sums, stride };
            if rows <= FEW {
                let codes = self.matrix.codes.as_ptr().add(panel * groups * self.matrix.format.block_bytes());
                match self.matrix.format.levels.of_four_bits() {
                    Some(levels) => self.rows::<I, _>(&Nibbles::<I>(I::levels(levels)), codes, 0..groups, FEW, at),
                    None => self.rows::<I, _>(&Bytes::<true>, codes, 0..groups, FEW, at),
                }
            } else {
                let mut unpacked = Aligned([0; COLUMNS * PANEL]);
                for first in (0..groups).step_by(COLUMNS / group) {
                    let chunk = first..(first + COLUMNS / group).min(groups);
                    self.unpack::<I>(panel, chunk.clone(), &mut unpacked.0);
                    self.rows::<I, _>(&Bytes::<false>, unpacked.0.as_ptr(), chunk, I::LANES * 3 / 8, at);
                }
            }
        }
    }

    /// The codes of some groups as bytes that [`Isa::dot`] takes.
    #[inline(always)]
    unsafe fn unpack<I: Isa>(&self, panel: usize, groups: Range<usize>, to: &mut [u8; COLUMNS * PANEL]) {
        let bytes = self.matrix.format.block_bytes();
        let first = panel * self.activations.groups + groups.start;
        let codes = &self.matrix.codes[first * bytes..(first + groups.len()) * bytes];
        let register = 4 * I::LANES;
        // SAFETY: reads stay in `codes`, writes in `to`, since a chunk has at most `COLUMNS` columns.
        unsafe {
            match self.matrix.format.levels.of_four_bits() {
                Some(levels) => {
                    let levels = I::levels(levels);
                    for (index, quads) in codes.chunks_exact(QUAD).enumerate() {
                        for at in (0..QUAD).step_by(register) {
                            let codes = I::load_bytes(quads.as_ptr().add(at));
                            let to = to.as_mut_ptr().add(2 * index * QUAD + at);
                            I::store_bytes(to, I::low(codes, levels));
                            I::store_bytes(to.add(QUAD), I::high(codes, levels));
                        }
                    }
                }
                None => {
                    for at in (0..codes.len()).step_by(register) {
                        let to = to.as_mut_ptr().add(at);
                        I::store_bytes(to, I::bytes(I::load_bytes(codes.as_ptr().add(at))));
                    }
                }
            }
        }
    }

    /// Add the products of some groups to the sums of all rows, up to `most` rows at a time.
    #[inline(always)]
    unsafe fn rows<I: Isa, S: Source<I>>(
        &self,
        source: &S,
        codes: *const u8,
        groups: Range<usize>,
        most: usize,
        at: At,
    ) {
        let mut row = 0;
        while row < self.activations.rows {
            let groups = groups.clone();
            // SAFETY: as for this function.
            row += unsafe {
                match (self.activations.rows - row).min(most) {
                    6.. => self.tile::<I, S, 6>(source, codes, groups, row, at),
                    4..6 => self.tile::<I, S, 4>(source, codes, groups, row, at),
                    3 => self.tile::<I, S, 3>(source, codes, groups, row, at),
                    2 => self.tile::<I, S, 2>(source, codes, groups, row, at),
                    _ => self.tile::<I, S, 1>(source, codes, groups, row, at),
                }
            };
        }
    }

    #[inline(always)]
    unsafe fn tile<I: Isa, S: Source<I>, const M: usize>(
        &self,
        source: &S,
        codes: *const u8,
        groups: Range<usize>,
        row: usize,
        At { panel, sums, stride }: At,
    ) -> usize {
        let activations = self.activations;
        let group = activations.group;
        let block = S::QUAD_BYTES * group / 4;
        // SAFETY: the sizes were checked, and the rows are there.
        unsafe {
            let scales = self.matrix.scales.as_ptr().add(panel * activations.groups * PANEL);
            for lane in (0..PANEL).step_by(2 * I::LANES) {
                let mut codes = codes.add(4 * lane);
                let at = |m: usize, half: usize| sums.add((row + m) * stride + lane + half * I::LANES);
                let mut total: [[I::F; 2]; M] = std::array::from_fn(|m| [I::load(at(m, 0)), I::load(at(m, 1))]);
                for index in groups.clone() {
                    let entry = row * activations.groups + index;
                    let rows: [*const i8; M] = std::array::from_fn(|m| {
                        activations.codes.as_ptr().add((entry + m * activations.groups) * group)
                    });
                    let mut acc: [[I::I; 2]; M] = std::array::from_fn(|m| {
                        [I::splat_i32(*activations.starts.as_ptr().add(entry + m * activations.groups)); 2]
                    });
                    source.dots(codes, &rows, group, &mut acc);
                    // After the last group it points behind the codes, from where nothing is read.
                    codes = codes.wrapping_add(block);
                    let scales = scales.add(index * PANEL + lane);
                    let weights = [I::load_f16(scales), I::load_f16(scales.add(I::LANES))];
                    for m in 0..M {
                        let scale = I::splat(*activations.scales.as_ptr().add(entry + m * activations.groups));
                        for half in 0..2 {
                            let scale = I::mul(weights[half], scale);
                            total[m][half] = I::fma(I::to_f32(acc[m][half]), scale, total[m][half]);
                        }
                    }
                }
                for (m, total) in total.iter().enumerate() {
                    I::store(at(m, 0), total[0]);
                    I::store(at(m, 1), total[1]);
                }
            }
        }
        M
    }
}

/// Lines of the caches start at multiples of 64.
#[repr(align(64))]
struct Aligned([u8; COLUMNS * PANEL]);

/// Where the sums of a panel are.
#[derive(Clone, Copy)]
struct At {
    panel: usize,
    sums: *mut f32,
    /// From one row to the next.
    stride: usize,
}
