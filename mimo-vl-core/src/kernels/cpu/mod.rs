//! Kernels on plain slices, written once and compiled for every SIMD level.

// Instructions of a level may run only on processors that support it, which the type system cannot express.
#![allow(unsafe_code)]

mod activations;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod codes;
mod dense;
mod disjoint;
mod exp;
mod isa;
mod pool;
mod portable;
mod quantize;
mod quantized;
mod rowwise;
mod simd_level;
mod stored;
#[cfg(test)]
mod tests;

pub(super) use activations::Activations;
pub(super) use attention::{HeadsView, KvView, Sizes, attend, release_scratch};
pub(super) use dense::multiply_dense;
pub use pool::cores;
pub(crate) use pool::with_threads;
pub use quantize::{QuantizationError, quantize_matrix, repack_matrix};
pub(super) use quantized::{Matrix, multiply, multiply_gated};
pub(super) use rowwise::{RowsView, rms_norm, rope, swiglu};
pub use simd_level::SimdLevel;
pub(super) use stored::Stored;

/// Largest number of activation rows or queries for which the decode kernels are used. In these kernels the result of a
/// row does not depend on the other rows, so decoding in batches and checking draft tokens is exact.
pub(super) const SMALL_BATCH_ROWS: usize = 8;
