//! Products with packed weights: bytes times bytes, summed as integers inside a group, scaled, and summed as f32.
//!
//! Few rows of activations read the packed codes as they stream from memory. For many, a panel is unpacked, a part
//! that fits the first cache at a time, and goes over all rows.

use half::f16;

use super::activations::Activations;
use super::isa::{Isa, Kernel};
use super::{Level, run};
use super::disjoint::Disjoint;
use super::pool::split;
use crate::kernels::packed::{Format, PANEL};

/// Rows of activations that share one pass over the packed codes.
const FEW: usize = 6;
/// Columns of a panel that are unpacked at a time: 32 KiB.
const COLUMNS: usize = 1024;
/// Bytes of four columns of a panel.
const QUAD: usize = 4 * PANEL;

/// A packed matrix, as in [`PackedData`](crate::kernels::PackedData).
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Matrix<'a> {
    pub(in crate::kernels) codes: &'a [u8],
    pub(in crate::kernels) scales: &'a [f16],
    pub(in crate::kernels) rows: usize,
    pub(in crate::kernels) format: Format,
}

/// `out = activations · matrixᵀ + bias`.
///
/// # Panics
/// When the sizes do not fit one another.
pub(in crate::kernels) fn multiply(
    level: Level,
    activations: &Activations,
    matrix: Matrix<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    let Activations { rows, groups, group, .. } = *activations;
    assert_eq!(out.len(), rows * matrix.rows);
    if out.is_empty() {
        return;
    }
    let panels = matrix.rows.div_ceil(PANEL);
    assert_eq!(group, matrix.format.group);
    assert_eq!(matrix.codes.len(), panels * groups * matrix.format.block_bytes());
    assert_eq!(matrix.scales.len(), panels * groups * PANEL);
    assert!(bias.is_none_or(|bias| bias.len() == matrix.rows));
    let out = Disjoint::new(out);
    // Parts large enough that fetching ahead pays, small enough that the threads end together.
    let part = if rows <= FEW { panels.div_ceil(32).max(1) } else { 1 };
    split(panels, part, |panels| {
        for panel in panels {
            run(level, Panel { activations, matrix, bias, out: &out, panel });
        }
    });
}

struct Panel<'a> {
    activations: &'a Activations,
    matrix: Matrix<'a>,
    bias: Option<&'a [f32]>,
    out: &'a Disjoint<'a, f32>,
    panel: usize,
}

impl Kernel for Panel<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: as for this function.
        unsafe {
            match (self.activations.rows <= FEW, self.matrix.format.levels.of_four_bits()) {
                (true, Some(levels)) => self.few(Nibbles::<I>(I::levels(levels))),
                (true, None) => self.few::<I, _>(Bytes),
                (false, _) => self.many::<I>(),
            }
        }
    }
}

impl Panel<'_> {
    /// The bias of the panel's rows, and 0 where it is filled up.
    fn start(&self) -> [f32; PANEL] {
        let mut start = [0.0; PANEL];
        if let Some(bias) = self.bias {
            let bias = &bias[self.panel * PANEL..self.matrix.rows.min((self.panel + 1) * PANEL)];
            start[..bias.len()].copy_from_slice(bias);
        }
        start
    }

    /// The results of row `row` of the activations that this panel gives.
    #[inline(always)]
    unsafe fn results(&self, row: usize) -> &mut [f32] {
        let start = row * self.matrix.rows;
        let columns = self.panel * PANEL..self.matrix.rows.min((self.panel + 1) * PANEL);
        // SAFETY: each panel is in one part of the work.
        unsafe { self.out.part(start + columns.start..start + columns.end) }
    }

    #[inline(always)]
    unsafe fn few<I: Isa, S: Source<I>>(&self, source: S) {
        let groups = 0..self.activations.groups;
        let (mut row, start) = (0, self.start());
        // SAFETY: the sizes were checked in `multiply`.
        unsafe {
            let codes = self.matrix.codes.as_ptr().add(self.panel * groups.end * self.matrix.format.block_bytes());
            while row < self.activations.rows {
                let mut sums = [[0.0; PANEL]; FEW];
                sums.fill(start);
                let count = self.block::<I, S>(&source, codes, groups.clone(), row, FEW, sums.as_mut_ptr().cast(), PANEL);
                for (index, sums) in sums.iter().enumerate().take(count) {
                    let results = self.results(row + index);
                    results.copy_from_slice(&sums[..results.len()]);
                }
                row += count;
            }
        }
    }

    #[inline(always)]
    unsafe fn many<I: Isa>(&self) {
        let Activations { rows, groups, group, .. } = *self.activations;
        let block = if I::LANES == 16 { 6 } else { 3 };
        let whole = (self.panel + 1) * PANEL <= self.matrix.rows;
        let mut unpacked = Aligned([0; COLUMNS * PANEL]);
        let start = self.start();
        for row in 0..rows {
            // SAFETY: as for this function.
            let results = unsafe { self.results(row) };
            results.copy_from_slice(&start[..results.len()]);
        }
        for first in (0..groups).step_by(COLUMNS / group) {
            let chunk = first..(first + COLUMNS / group).min(groups);
            // SAFETY: the sizes were checked in `multiply`; the pieces fit the buffers.
            unsafe {
                self.unpack::<I>(chunk.clone(), &mut unpacked.0);
                let mut row = 0;
                while row < rows {
                    let count;
                    if whole {
                        let sums = self.results(row).as_mut_ptr();
                        let (source, codes) = (Unpacked, unpacked.0.as_ptr());
                        count = self.block::<I, _>(&source, codes, chunk.clone(), row, block, sums, self.matrix.rows);
                    } else {
                        let mut sums = [[0.0; PANEL]; FEW];
                        for (index, sums) in sums.iter_mut().enumerate().take(rows - row) {
                            let results = self.results(row + index);
                            sums[..results.len()].copy_from_slice(results);
                        }
                        let (pointer, codes) = (sums.as_mut_ptr().cast(), unpacked.0.as_ptr());
                        count = self.block::<I, _>(&Unpacked, codes, chunk.clone(), row, block, pointer, PANEL);
                        for (index, sums) in sums.iter().enumerate().take(count) {
                            let results = self.results(row + index);
                            results.copy_from_slice(&sums[..results.len()]);
                        }
                    }
                    row += count;
                }
            }
        }
    }

    /// The codes of some groups as bytes that [`Isa::dot`] takes.
    #[inline(always)]
    unsafe fn unpack<I: Isa>(&self, groups: std::ops::Range<usize>, to: &mut [u8; COLUMNS * PANEL]) {
        let bytes = self.matrix.format.block_bytes();
        let first = self.panel * self.activations.groups + groups.start;
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

    /// Add the products of up to `most` rows from `row` on to `sums`; gives how many rows.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    unsafe fn block<I: Isa, S: Source<I>>(
        &self,
        source: &S,
        codes: *const u8,
        groups: std::ops::Range<usize>,
        row: usize,
        most: usize,
        sums: *mut f32,
        stride: usize,
    ) -> usize {
        let left = (self.activations.rows - row).min(most);
        // SAFETY: as for this function.
        unsafe {
            match left {
                6.. => self.tile::<I, S, 6>(source, codes, groups, row, sums, stride),
                4..6 => self.tile::<I, S, 4>(source, codes, groups, row, sums, stride),
                3 => self.tile::<I, S, 3>(source, codes, groups, row, sums, stride),
                2 => self.tile::<I, S, 2>(source, codes, groups, row, sums, stride),
                _ => self.tile::<I, S, 1>(source, codes, groups, row, sums, stride),
            }
        }
    }

    #[inline(always)]
    unsafe fn tile<I: Isa, S: Source<I>, const M: usize>(
        &self,
        source: &S,
        codes: *const u8,
        groups: std::ops::Range<usize>,
        row: usize,
        sums: *mut f32,
        stride: usize,
    ) -> usize {
        let activations = self.activations;
        let group = activations.group;
        let block = S::QUAD_BYTES * group / 4;
        // SAFETY: the sizes were checked in `multiply`, and the rows are there.
        unsafe {
            let scales = self.matrix.scales.as_ptr().add(self.panel * activations.groups * PANEL);
            for lane in (0..PANEL).step_by(2 * I::LANES) {
                let mut codes = codes.add(4 * lane);
                let at = |m: usize, half: usize| sums.add(m * stride + lane + half * I::LANES);
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
                    codes = codes.add(block);
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

/// Where weights come from.
trait Source<I: Isa> {
    /// Bytes of four columns of a panel.
    const QUAD_BYTES: usize;

    /// Add the products of one group of `group` columns, in two registers of a panel's rows, to `acc`.
    unsafe fn dots<const M: usize>(
        &self,
        codes: *const u8,
        rows: &[*const i8; M],
        group: usize,
        acc: &mut [[I::I; 2]; M],
    );
}

/// Add the products of four columns.
#[inline(always)]
unsafe fn quad<I: Isa, const M: usize>(
    weights: [I::I; 2],
    rows: &[*const i8; M],
    column: usize,
    acc: &mut [[I::I; 2]; M],
) {
    for m in 0..M {
        // SAFETY: as for this function.
        unsafe {
            let activations = I::splat_quad(rows[m].add(column));
            acc[m][0] = I::dot(acc[m][0], weights[0], activations);
            acc[m][1] = I::dot(acc[m][1], weights[1], activations);
        }
    }
}

/// Codes of four bits, with their levels.
struct Nibbles<I: Isa>(I::I);
/// Codes of eight bits.
struct Bytes;
/// What [`Panel::unpack`] made.
struct Unpacked;

/// Bytes ahead of the codes in use that are asked for.
const AHEAD: usize = 4096;

impl<I: Isa> Source<I> for Nibbles<I> {
    const QUAD_BYTES: usize = QUAD / 2;

    #[inline(always)]
    unsafe fn dots<const M: usize>(
        &self,
        codes: *const u8,
        rows: &[*const i8; M],
        group: usize,
        acc: &mut [[I::I; 2]; M],
    ) {
        for column in (0..group).step_by(8) {
            // SAFETY: as for this function.
            unsafe {
                let codes = codes.add(column * QUAD / 8);
                I::prefetch(codes.wrapping_add(AHEAD));
                I::prefetch(codes.wrapping_add(AHEAD + 64));
                let codes = [I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))];
                quad::<I, M>(codes.map(|codes| I::low(codes, self.0)), rows, column, acc);
                quad::<I, M>(codes.map(|codes| I::high(codes, self.0)), rows, column + 4, acc);
            }
        }
    }
}

impl<I: Isa> Source<I> for Bytes {
    const QUAD_BYTES: usize = QUAD;

    #[inline(always)]
    unsafe fn dots<const M: usize>(
        &self,
        codes: *const u8,
        rows: &[*const i8; M],
        group: usize,
        acc: &mut [[I::I; 2]; M],
    ) {
        for column in (0..group).step_by(4) {
            // SAFETY: as for this function.
            unsafe {
                let codes = codes.add(column * QUAD / 4);
                I::prefetch(codes.wrapping_add(AHEAD));
                I::prefetch(codes.wrapping_add(AHEAD + 64));
                let weights = [I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))];
                quad::<I, M>(weights.map(|codes| I::bytes(codes)), rows, column, acc);
            }
        }
    }
}

impl<I: Isa> Source<I> for Unpacked {
    const QUAD_BYTES: usize = QUAD;

    #[inline(always)]
    unsafe fn dots<const M: usize>(
        &self,
        codes: *const u8,
        rows: &[*const i8; M],
        group: usize,
        acc: &mut [[I::I; 2]; M],
    ) {
        for column in (0..group).step_by(4) {
            // SAFETY: as for this function.
            unsafe {
                let codes = codes.add(column * QUAD / 4);
                quad::<I, M>([I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))], rows, column, acc);
            }
        }
    }
}
