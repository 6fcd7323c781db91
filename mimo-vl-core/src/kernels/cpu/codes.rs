//! Codes of weights as the products read them: quantized, from memory, or unpacked, from a cache.

use super::isa::Isa;
use crate::quant::PANEL;

/// Bytes of four columns of a panel, a byte each.
pub(super) const QUAD: usize = 4 * PANEL;

/// Where weights come from.
pub(super) trait Source<I: Isa> {
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
pub(super) struct Nibbles<I: Isa>(pub(super) I::I);
/// A byte for each weight: codes of eight bits as they are quantized, or what `Product::unpack` made.
pub(super) struct Bytes<const PACKED: bool>;

/// Bytes ahead of the codes in use that are asked for.
const AHEAD: usize = 4096;

/// Ask for what a later turn reads where this one reads two registers.
#[inline(always)]
unsafe fn ahead<I: Isa>(codes: *const u8) {
    for line in (0..8 * I::LANES).step_by(64) {
        // SAFETY: as for this function.
        unsafe { I::prefetch(codes.wrapping_add(AHEAD + line)) };
    }
}

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
                ahead::<I>(codes);
                let codes = [I::load_bytes(codes), I::load_bytes(codes.add(4 * I::LANES))];
                quad::<I, M>(codes.map(|codes| I::low(codes, self.0)), rows, column, acc);
                quad::<I, M>(codes.map(|codes| I::high(codes, self.0)), rows, column + 4, acc);
            }
        }
    }
}

impl<I: Isa, const PACKED: bool> Source<I> for Bytes<PACKED> {
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
                if PACKED {
                    ahead::<I>(codes);
                    weights = weights.map(|codes| I::bytes(codes));
                }
                quad::<I, M>(weights, rows, column, acc);
            }
        }
    }
}
