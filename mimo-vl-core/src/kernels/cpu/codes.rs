//! Readers of weight codes: in their stored layout, from memory, or unpacked to bytes, from the cache.

use super::isa::Isa;
use crate::quant::PANEL_ROWS;

/// Bytes of four columns of a panel at one byte per weight.
pub(super) const QUAD: usize = 4 * PANEL_ROWS;

/// A layout of weight codes.
pub(super) trait CodeSource<I: Isa> {
    /// Bytes of four columns of a panel in this layout.
    const QUAD_BYTES: usize;

    /// Adds the dot products over one group of `group` columns to `acc`, for two registers of the panel's rows.
    unsafe fn dots<const M: usize>(
        &self,
        codes: *const u8,
        rows: &[*const i8; M],
        group: usize,
        acc: &mut [[I::I; 2]; M],
    );
}

/// Adds the dot products over four columns.
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

/// 4-bit codes, with the lookup table of their codebook in a register.
pub(super) struct Nibbles<I: Isa>(pub(super) I::I);
/// One byte per weight: stored 8-bit codes if `STORED`, else the output of `Product::unpack`.
pub(super) struct Bytes<const STORED: bool>;

/// Number of bytes by which prefetching runs ahead.
const PREFETCH_BYTES: usize = 4096;

/// Prefetches the cache lines that a later iteration reads.
#[inline(always)]
unsafe fn prefetch_next<I: Isa>(codes: *const u8) {
    for line in (0..8 * I::LANES).step_by(64) {
        // SAFETY: as for this function.
        unsafe { I::prefetch(codes.wrapping_add(PREFETCH_BYTES + line)) };
    }
}

impl<I: Isa> CodeSource<I> for Nibbles<I> {
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
                prefetch_next::<I>(codes);
                let codes = [I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))];
                quad::<I, M>(codes.map(|codes| I::low(codes, self.0)), rows, column, acc);
                quad::<I, M>(codes.map(|codes| I::high(codes, self.0)), rows, column + 4, acc);
            }
        }
    }
}

impl<I: Isa, const STORED: bool> CodeSource<I> for Bytes<STORED> {
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
                let mut weights = [I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))];
                if STORED {
                    prefetch_next::<I>(codes);
                    weights = weights.map(|codes| I::bytes(codes));
                }
                quad::<I, M>(weights, rows, column, acc);
            }
        }
    }
}
