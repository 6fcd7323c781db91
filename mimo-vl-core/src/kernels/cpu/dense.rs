//! Products of few activation rows with unquantized weights. They are bound by memory bandwidth: the weights are read
//! once.

use super::SMALL_BATCH_ROWS;
use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::simd_level::{SimdLevel, run};
use super::stored::Stored;

/// `out = x · weightᵀ + bias` for `rows` rows of `x`.
///
/// # Shapes
/// - `x`: `[rows, in]`
/// - `weight`: `[out, in]`
/// - `bias`: `[out]`
/// - `out`: `[rows, out]`
///
/// # Panics
/// If the sizes do not match, or there are more than [`SMALL_BATCH_ROWS`] rows.
pub(in crate::kernels) fn multiply_dense<T: Stored>(
    level: SimdLevel,
    x: &[f32],
    rows: usize,
    weight: &[T],
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    if out.is_empty() {
        return;
    }
    let (width, columns) = (x.len() / rows, out.len() / rows);
    assert!((1..=SMALL_BATCH_ROWS).contains(&rows), "{rows} rows");
    assert_eq!((x.len(), out.len(), weight.len()), (rows * width, rows * columns, width * columns));
    assert!(bias.is_none_or(|bias| bias.len() == columns));
    let out = Disjoint::new(out);
    parallel_for(columns, columns.div_ceil(64).max(4), |part| {
        for column in part {
            let weight = &weight[column * width..(column + 1) * width];
            let sums = run(level, Column { x, rows, weight });
            for (row, sum) in sums.into_iter().enumerate().take(rows) {
                let at = row * columns + column;
                // SAFETY: each column belongs to exactly one part.
                let out = unsafe { out.part(at..at + 1) };
                out[0] = sum + bias.map_or(0.0, |bias| bias[column]);
            }
        }
    });
}

struct Column<'a, T> {
    x: &'a [f32],
    rows: usize,
    weight: &'a [T],
}

impl<T: Stored> Kernel for Column<'_, T> {
    type Output = [f32; SMALL_BATCH_ROWS];

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> [f32; SMALL_BATCH_ROWS] {
        let mut sums = [0.0; SMALL_BATCH_ROWS];
        let mut row = 0;
        while row < self.rows {
            // SAFETY: as for this function; the rows are in bounds.
            unsafe {
                match self.rows - row {
                    4.. => {
                        sums[row..row + 4].copy_from_slice(&self.dots::<I, 4>(row));
                        row += 4;
                    }
                    _ => {
                        sums[row] = self.dots::<I, 1>(row)[0];
                        row += 1;
                    }
                }
            }
        }
        sums
    }
}

impl<T: Stored> Column<'_, T> {
    #[inline(always)]
    unsafe fn dots<I: Isa, const M: usize>(&self, row: usize) -> [f32; M] {
        let width = self.weight.len();
        let aligned = width / (2 * I::LANES) * (2 * I::LANES);
        // SAFETY: reads are in bounds of the rows.
        unsafe {
            let x = |m: usize, at: usize| I::load(self.x.as_ptr().add((row + m) * width + at));
            let mut sums = [[I::zero(); 2]; M];
            for at in (0..aligned).step_by(2 * I::LANES) {
                let weight = self.weight.as_ptr().add(at);
                let weight = [T::load::<I>(weight), T::load::<I>(weight.add(I::LANES))];
                for (m, sums) in sums.iter_mut().enumerate() {
                    sums[0] = I::fma(x(m, at), weight[0], sums[0]);
                    sums[1] = I::fma(x(m, at + I::LANES), weight[1], sums[1]);
                }
            }
            std::array::from_fn(|m| {
                let remainder = (aligned..width).map(|at| self.x[(row + m) * width + at] * self.weight[at].get());
                I::sum(I::add(sums[m][0], sums[m][1])) + remainder.sum::<f32>()
            })
        }
    }
}
