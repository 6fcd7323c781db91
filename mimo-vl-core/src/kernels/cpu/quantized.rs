//! Products with quantized weights: integer dot products inside each group, scaled and summed as f32.
//!
//! With few activation rows, the codes are decoded as they stream from memory. With many, each panel is unpacked to
//! bytes in chunks that fit the L1 cache, and every chunk is multiplied with all rows.

use std::ops::Range;

use half::f16;

use super::activations::Activations;
use super::codes::{Bytes, CodeSource, Nibbles, QUAD};
use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::rowwise::gate_row;
use super::simd_level::{SimdLevel, run};
use crate::quant::{PANEL_ROWS, QuantFormat};

/// Activation rows that share one pass over the codes: their sums fit the AVX-512 registers beside two registers of
/// weights.
const PASS_ROWS: usize = 6;
/// Columns of a panel that are unpacked at a time: 32 KiB, the size of an L1 cache.
const UNPACK_COLUMNS: usize = 1024;

/// View of a quantized matrix in the layout of [`QuantizedData`](crate::kernels::QuantizedData).
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
/// If the sizes do not match.
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
        product
            .each_panel(matrix.rows.div_ceil(PANEL_ROWS), |panel| run(level, PlainPanel { product, out: &out, panel }));
    }
}

/// `out = silu(gate) · up`, where `gate` and `up` are the two halves of the columns of `activations · matrixᵀ + bias`,
/// each a multiple of [`PANEL_ROWS`].
///
/// # Panics
/// If the sizes do not match.
pub(in crate::kernels) fn multiply_gated(
    level: SimdLevel,
    activations: &Activations,
    matrix: Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let product = Product::new(activations, matrix, bias);
    assert!(
        matrix.rows.is_multiple_of(2 * PANEL_ROWS),
        "the halves of {} rows are not a number of full panels",
        matrix.rows
    );
    assert_eq!(out.len(), activations.rows * matrix.rows / 2);
    if !out.is_empty() {
        let out = Disjoint::new(out);
        product.each_panel(matrix.rows / 2 / PANEL_ROWS, |panel| run(level, GatedPanel { product, out: &out, panel }));
    }
}

/// Operands of a product.
#[derive(Clone, Copy)]
struct Product<'a> {
    activations: &'a Activations,
    matrix: Matrix<'a>,
    bias: Option<&'a [f32]>,
}

/// Kernel for the output columns of one panel.
struct PlainPanel<'a> {
    product: Product<'a>,
    out: &'a Disjoint<'a, f32>,
    panel: usize,
}

/// Kernel for the output columns of one panel of a gated product.
struct GatedPanel<'a> {
    product: Product<'a>,
    out: &'a Disjoint<'a, f32>,
    panel: usize,
}

impl Kernel for PlainPanel<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { product, out, panel } = self;
        let (rows, stride) = (product.activations.rows, product.matrix.rows);
        let columns = panel * PANEL_ROWS..stride.min((panel + 1) * PANEL_ROWS);
        // SAFETY: each panel belongs to exactly one part of the work, and a row of `out` has `stride` values.
        unsafe {
            let part = |row: usize| out.part(row * stride + columns.start..row * stride + columns.end);
            if columns.len() == PANEL_ROWS {
                return product.sums::<I>(panel, out.start().add(columns.start), stride);
            }
            let mut sums = vec![0.0; rows * PANEL_ROWS];
            product.sums::<I>(panel, sums.as_mut_ptr(), PANEL_ROWS);
            for (row, sums) in sums.chunks_exact(PANEL_ROWS).enumerate() {
                part(row).copy_from_slice(&sums[..columns.len()]);
            }
        }
    }
}

impl Kernel for GatedPanel<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { product, out, panel } = self;
        let (rows, stride) = (product.activations.rows, product.matrix.rows / 2);
        let (mut gate, mut up) = (vec![0.0; rows * PANEL_ROWS], vec![0.0; rows * PANEL_ROWS]);
        // SAFETY: as in `PlainPanel`.
        unsafe {
            product.sums::<I>(panel, gate.as_mut_ptr(), PANEL_ROWS);
            product.sums::<I>(stride / PANEL_ROWS + panel, up.as_mut_ptr(), PANEL_ROWS);
            for (row, (gate, up)) in gate.chunks_exact(PANEL_ROWS).zip(up.chunks_exact(PANEL_ROWS)).enumerate() {
                let start = row * stride + panel * PANEL_ROWS;
                gate_row::<I>(gate, up, out.part(start..start + PANEL_ROWS));
            }
        }
    }
}

impl<'a> Product<'a> {
    fn new(activations: &'a Activations, matrix: Matrix<'a>, bias: Option<&'a [f32]>) -> Self {
        let Activations { groups, group, .. } = *activations;
        let Matrix { codes, scales, rows, format } = matrix;
        format.check();
        let blocks = rows.div_ceil(PANEL_ROWS) * groups;
        assert_eq!(group, format.group);
        assert_eq!((codes.len(), scales.len()), (blocks * format.block_bytes(), blocks * PANEL_ROWS));
        assert!(bias.is_none_or(|bias| bias.len() == rows));
        Self { activations, matrix, bias }
    }

    /// Calls `work` for each panel, on all threads.
    fn each_panel(&self, panels: usize, work: impl Fn(usize) + Sync) {
        // Parts are large enough for prefetching to pay and small enough for threads to finish together.
        let part = if self.activations.rows <= PASS_ROWS { panels.div_ceil(32).max(1) } else { 1 };
        parallel_for(panels, part, |part| part.for_each(&work));
    }

    /// Computes the results of all rows for the columns of a panel, padding included.
    #[inline(always)]
    unsafe fn sums<I: Isa>(&self, panel: usize, sums: *mut f32, stride: usize) {
        let Activations { rows, groups, group, .. } = *self.activations;
        let mut start = [0.0; PANEL_ROWS];
        if let Some(bias) = self.bias {
            let bias = &bias[panel * PANEL_ROWS..self.matrix.rows.min((panel + 1) * PANEL_ROWS)];
            start[..bias.len()].copy_from_slice(bias);
        }
        // SAFETY: the sizes were checked; each row of `sums` has space for the panel's columns.
        unsafe {
            for row in 0..rows {
                sums.add(row * stride).copy_from_nonoverlapping(start.as_ptr(), PANEL_ROWS);
            }
            let at = PanelSums { panel, sums, stride };
            if rows <= PASS_ROWS {
                let codes = self.matrix.codes.as_ptr().add(panel * groups * self.matrix.format.block_bytes());
                match self.matrix.format.codebook.lookup_table() {
                    Some(levels) => {
                        self.rows::<I, _>(&Nibbles::<I>(I::levels(levels)), codes, 0..groups, PASS_ROWS, at)
                    }
                    None => self.rows::<I, _>(&Bytes::<true>, codes, 0..groups, PASS_ROWS, at),
                }
            } else {
                let mut unpacked = Aligned([0; UNPACK_COLUMNS * PANEL_ROWS]);
                for first in (0..groups).step_by(UNPACK_COLUMNS / group) {
                    let chunk = first..(first + UNPACK_COLUMNS / group).min(groups);
                    self.unpack::<I>(panel, chunk.clone(), &mut unpacked.0);
                    self.rows::<I, _>(&Bytes::<false>, unpacked.0.as_ptr(), chunk, I::LANES * 3 / 8, at);
                }
            }
        }
    }

    /// Unpacks the codes of a range of groups to the bytes that [`Isa::dot`] expects.
    #[inline(always)]
    unsafe fn unpack<I: Isa>(
        &self,
        panel: usize,
        groups: Range<usize>,
        output: &mut [u8; UNPACK_COLUMNS * PANEL_ROWS],
    ) {
        let bytes = self.matrix.format.block_bytes();
        let first = panel * self.activations.groups + groups.start;
        let codes = &self.matrix.codes[first * bytes..(first + groups.len()) * bytes];
        let register = 4 * I::LANES;
        // SAFETY: reads are in bounds of `codes`, writes of `output`, since a chunk has at most `UNPACK_COLUMNS`
        // columns.
        unsafe {
            match self.matrix.format.codebook.lookup_table() {
                Some(levels) => {
                    let levels = I::levels(levels);
                    for (index, quads) in codes.chunks_exact(QUAD).enumerate() {
                        for at in (0..QUAD).step_by(register) {
                            let codes = I::load_bytes(quads.as_ptr().add(at));
                            let output = output.as_mut_ptr().add(2 * index * QUAD + at);
                            I::store_bytes(output, I::low(codes, levels));
                            I::store_bytes(output.add(QUAD), I::high(codes, levels));
                        }
                    }
                }
                None => {
                    for at in (0..codes.len()).step_by(register) {
                        let output = output.as_mut_ptr().add(at);
                        I::store_bytes(output, I::bytes(I::load_bytes(codes.as_ptr().add(at))));
                    }
                }
            }
        }
    }

    /// Adds the products over a range of groups to the sums of all rows, at most `max_rows` rows at a time.
    #[inline(always)]
    unsafe fn rows<I: Isa, S: CodeSource<I>>(
        &self,
        source: &S,
        codes: *const u8,
        groups: Range<usize>,
        max_rows: usize,
        at: PanelSums,
    ) {
        let mut row = 0;
        while row < self.activations.rows {
            let groups = groups.clone();
            // SAFETY: as for this function.
            row += unsafe {
                match (self.activations.rows - row).min(max_rows) {
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
    unsafe fn tile<I: Isa, S: CodeSource<I>, const M: usize>(
        &self,
        source: &S,
        codes: *const u8,
        groups: Range<usize>,
        row: usize,
        PanelSums { panel, sums, stride }: PanelSums,
    ) -> usize {
        let activations = self.activations;
        let group = activations.group;
        let block = S::QUAD_BYTES * group / 4;
        // SAFETY: the sizes were checked, and the rows are in bounds.
        unsafe {
            let scales = self.matrix.scales.as_ptr().add(panel * activations.groups * PANEL_ROWS);
            for lane in (0..PANEL_ROWS).step_by(2 * I::LANES) {
                let mut codes = codes.add(4 * lane);
                let at = |m: usize, half: usize| sums.add((row + m) * stride + lane + half * I::LANES);
                let mut total: [[I::F; 2]; M] = std::array::from_fn(|m| [I::load(at(m, 0)), I::load(at(m, 1))]);
                for index in groups.clone() {
                    let entry = row * activations.groups + index;
                    let rows: [*const i8; M] = std::array::from_fn(|m| {
                        activations.codes.as_ptr().add((entry + m * activations.groups) * group)
                    });
                    let mut acc: [[I::I; 2]; M] = std::array::from_fn(|m| {
                        [I::splat_i32(*activations.initial.as_ptr().add(entry + m * activations.groups)); 2]
                    });
                    source.dots(codes, &rows, group, &mut acc);
                    // After the last group, this points past the codes and is not read.
                    codes = codes.wrapping_add(block);
                    let scales = scales.add(index * PANEL_ROWS + lane);
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

/// Buffer that is aligned to cache lines.
#[repr(align(64))]
struct Aligned([u8; UNPACK_COLUMNS * PANEL_ROWS]);

/// Location of the sums of a panel.
#[derive(Clone, Copy)]
struct PanelSums {
    panel: usize,
    /// Sum of the first row and column.
    sums: *mut f32,
    /// Distance between rows, in values.
    stride: usize,
}
