//! The operations that kernels need from an instruction set.

use half::{bf16, f16};

/// An instruction set. The kernels are written once, against this trait.
///
/// Every function except [`run`](Self::run) may be called only inside `run`, on a processor that supports the level.
///
/// A register holds 4·`LANES` weight codes as bytes, four adjacent ones of a row per lane. Activations are signed bytes
/// in the same arrangement.
pub(crate) trait Isa: Copy {
    /// 32-bit values per register.
    const LANES: usize;
    /// Offset that [`dot`](Self::dot) expects on weight levels: 128 if it multiplies unsigned bytes, else 0.
    const OFFSET: i32;
    /// `LANES` 32-bit integers, or four times as many bytes.
    type I: Copy;
    /// `LANES` 32-bit floats.
    type F: Copy;

    /// Runs a kernel compiled for this level.
    unsafe fn run<K: Kernel>(kernel: K) -> K::Output;

    unsafe fn splat_i32(value: i32) -> Self::I;
    unsafe fn load_bytes(from: *const u8) -> Self::I;
    unsafe fn store_bytes(to: *mut u8, bytes: Self::I);
    /// Broadcasts the four bytes at `from` to every lane.
    unsafe fn splat_quad(from: *const i8) -> Self::I;

    /// Lookup table of sixteen levels for [`low`](Self::low) and [`high`](Self::high).
    unsafe fn levels(levels: &[i8; 16]) -> Self::I;
    /// Levels of the lower four bits of each byte, plus [`OFFSET`](Self::OFFSET).
    unsafe fn low(codes: Self::I, levels: Self::I) -> Self::I;
    /// Levels of the upper four bits of each byte, plus [`OFFSET`](Self::OFFSET).
    unsafe fn high(codes: Self::I, levels: Self::I) -> Self::I;
    /// Levels of 8-bit codes, which are stored plus 128, plus [`OFFSET`](Self::OFFSET).
    unsafe fn bytes(codes: Self::I) -> Self::I;
    /// `acc` plus the dot product of the four bytes of each lane.
    unsafe fn dot(acc: Self::I, weights: Self::I, activations: Self::I) -> Self::I;

    unsafe fn zero() -> Self::F;
    unsafe fn splat(value: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn load_f16(from: *const f16) -> Self::F;
    unsafe fn load_bf16(from: *const bf16) -> Self::F;
    unsafe fn load_i8(from: *const i8) -> Self::F;
    unsafe fn store(to: *mut f32, values: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// `a · b + c`, rounded once.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// Maximum of each lane; `b` where either is NaN.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// Minimum of each lane; `b` where either is NaN.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// `value`, or 0 in the lanes where `a` is below `b`.
    unsafe fn keep_unless_below(a: Self::F, b: Self::F, value: Self::F) -> Self::F;
    /// `sum`, plus `value` in the lanes where `a` is at least `b`.
    unsafe fn add_above(sum: Self::F, a: Self::F, b: Self::F, value: Self::F) -> Self::F;
    /// 2 to the power of `n`, integers from −126 to 127.
    unsafe fn power_of_two(n: Self::F) -> Self::F;
    /// Rounds to the nearest integer, ties to even.
    unsafe fn round(a: Self::F) -> Self::F;
    unsafe fn sum(a: Self::F) -> f32;
    unsafe fn largest(a: Self::F) -> f32;

    unsafe fn to_f32(a: Self::I) -> Self::F;
    /// Converts to the nearest integer, ties to even.
    unsafe fn to_i32(a: Self::F) -> Self::I;
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn sum_i32(a: Self::I) -> i32;
    /// Stores each lane, which must be in −128..=127, as a byte.
    unsafe fn store_i8(to: *mut i8, lanes: Self::I);
    /// Prefetches the cache line at `from`, which may be any address.
    unsafe fn prefetch(from: *const u8);
}

/// A kernel, compiled for every level.
pub(crate) trait Kernel {
    /// The result of the kernel.
    type Output;

    /// Runs the kernel. Implementations are `#[inline(always)]`, so that they are compiled for the level.
    ///
    /// # Safety
    /// The processor must support the level `I`.
    unsafe fn run<I: Isa>(self) -> Self::Output;
}
