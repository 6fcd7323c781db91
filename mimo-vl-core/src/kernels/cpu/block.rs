//! Matrix products of small f32 blocks that fit in the caches.

use super::isa::Isa;

/// Rows of the left block that share one load of the right block.
const TILE_ROWS: usize = 6;

/// A block of rows that are `stride` values apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct StridedRows {
    pub(super) start: *const f32,
    pub(super) stride: usize,
}

/// `c += a · b`, or `c = a · b` with `overwrite`.
///
/// # Safety
/// `a` is `[rows, depth]`, `b` is `[depth, columns]` and `c` is `[rows, columns]`, rows of both `columns` apart;
/// `columns` is a multiple of the lanes.
#[inline(always)]
pub(super) unsafe fn multiply_block<I: Isa>(
    a: StridedRows,
    b: *const f32,
    c: *mut f32,
    [rows, depth, columns]: [usize; 3],
    overwrite: bool,
) {
    let wide = if I::LANES == 16 { 4 } else { 2 };
    let mut column = 0;
    while column < columns {
        let registers = ((columns - column) / I::LANES).min(wide);
        let mut row = 0;
        while row < rows {
            let left = (rows - row).min(TILE_ROWS);
            // SAFETY: the tile is in bounds of the blocks.
            unsafe {
                let a = StridedRows { start: a.start.add(row * a.stride), ..a };
                let (b, c) = (b.add(column), c.add(row * columns + column));
                match (registers, left) {
                    (4.., TILE_ROWS..) => tile::<I, TILE_ROWS, 4>(a, b, c, depth, columns, overwrite),
                    (4.., _) => remainder::<I, 4>(a, b, c, [left, depth, columns], overwrite),
                    (2..4, TILE_ROWS..) => tile::<I, TILE_ROWS, 2>(a, b, c, depth, columns, overwrite),
                    (2..4, _) => remainder::<I, 2>(a, b, c, [left, depth, columns], overwrite),
                    (_, TILE_ROWS..) => tile::<I, TILE_ROWS, 1>(a, b, c, depth, columns, overwrite),
                    _ => remainder::<I, 1>(a, b, c, [left, depth, columns], overwrite),
                }
            }
            row += left;
        }
        column += I::LANES
            * if registers >= 4 {
                4
            } else if registers >= 2 {
                2
            } else {
                1
            };
    }
}

/// The remaining rows, one at a time.
#[inline(always)]
unsafe fn remainder<I: Isa, const N: usize>(
    a: StridedRows,
    b: *const f32,
    c: *mut f32,
    [rows, depth, columns]: [usize; 3],
    overwrite: bool,
) {
    for row in 0..rows {
        // SAFETY: as for this function.
        unsafe {
            let a = StridedRows { start: a.start.add(row * a.stride), ..a };
            tile::<I, 1, N>(a, b, c.add(row * columns), depth, columns, overwrite);
        }
    }
}

#[inline(always)]
unsafe fn tile<I: Isa, const M: usize, const N: usize>(
    a: StridedRows,
    b: *const f32,
    c: *mut f32,
    depth: usize,
    columns: usize,
    overwrite: bool,
) {
    // SAFETY: as for this function.
    unsafe {
        let at = |m: usize, n: usize| c.add(m * columns + n * I::LANES);
        let mut sums: [[I::F; N]; M] =
            std::array::from_fn(|m| std::array::from_fn(|n| if overwrite { I::zero() } else { I::load(at(m, n)) }));
        for k in 0..depth {
            let b: [I::F; N] = std::array::from_fn(|n| I::load(b.add(k * columns + n * I::LANES)));
            for (m, sums) in sums.iter_mut().enumerate() {
                let a = I::splat(*a.start.add(m * a.stride + k));
                for n in 0..N {
                    sums[n] = I::fma(a, b[n], sums[n]);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            for (n, &sum) in sums.iter().enumerate() {
                I::store(at(m, n), sum);
            }
        }
    }
}
