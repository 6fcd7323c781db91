//! What the kernels ask of an instruction set.

use half::{bf16, f16};

/// A level of instructions. The kernels are written once, against this trait.
///
/// Every function but [`run`](Self::run) may only be called inside it, on a processor that has the level.
///
/// Codes of weights are 4·`LANES` bytes in a register, four neighbouring ones of a row for each lane; activations are
/// signed bytes in the same places.
pub(crate) trait Isa: Copy {
    /// Values of 32 bits in a register.
    const LANES: usize;
    /// What [`dot`](Self::dot) wants added to the levels of weights: 128 where it multiplies unsigned bytes.
    const OFFSET: i32;
    /// `LANES` integers of 32 bits, or four times as many bytes.
    type I: Copy;
    /// `LANES` numbers of 32 bits.
    type F: Copy;

    /// Run a kernel compiled for this level.
    unsafe fn run<K: Kernel>(kernel: K) -> K::Output;

    unsafe fn splat_i32(value: i32) -> Self::I;
    unsafe fn load_bytes(from: *const u8) -> Self::I;
    unsafe fn store_bytes(to: *mut u8, bytes: Self::I);
    /// The four bytes at `from` in every lane.
    unsafe fn splat_quad(from: *const i8) -> Self::I;

    /// Sixteen levels as [`low`](Self::low) and [`high`](Self::high) take them.
    unsafe fn levels(levels: &[i8; 16]) -> Self::I;
    /// The levels of the lower four bits of each byte, plus [`OFFSET`](Self::OFFSET).
    unsafe fn low(codes: Self::I, levels: Self::I) -> Self::I;
    /// The levels of the upper four bits of each byte, plus [`OFFSET`](Self::OFFSET).
    unsafe fn high(codes: Self::I, levels: Self::I) -> Self::I;
    /// Codebook that are stored as bytes plus 128, plus [`OFFSET`](Self::OFFSET).
    unsafe fn bytes(codes: Self::I) -> Self::I;
    /// `acc` plus the product of the four bytes of each lane.
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
    /// The larger one, and `b` where one is not a number.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller one, and `b` where one is not a number.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn abs(a: Self::F) -> Self::F;
    /// `value`, and 0 in the lanes where `a` is below `b`.
    unsafe fn keep_unless_below(a: Self::F, b: Self::F, value: Self::F) -> Self::F;
    /// `sum`, plus `value` in the lanes where `a` is at least `b`.
    unsafe fn add_above(sum: Self::F, a: Self::F, b: Self::F, value: Self::F) -> Self::F;
    /// 2 to the power of `n`, whole numbers from −126 to 127.
    unsafe fn power_of_two(n: Self::F) -> Self::F;
    /// To the nearest whole number, halves to the even one.
    unsafe fn round(a: Self::F) -> Self::F;
    unsafe fn sum(a: Self::F) -> f32;
    unsafe fn largest(a: Self::F) -> f32;

    unsafe fn to_f32(a: Self::I) -> Self::F;
    /// To the nearest integer, halves to the even one.
    unsafe fn to_i32(a: Self::F) -> Self::I;
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I;
    unsafe fn sum_i32(a: Self::I) -> i32;
    /// Store each lane, which lies within −128..=127, as a byte.
    unsafe fn store_i8(to: *mut i8, lanes: Self::I);
    /// Ask for the line at `from`, which may lie anywhere, before it is needed.
    unsafe fn prefetch(from: *const u8);
}

/// Work that is compiled for every level.
pub(crate) trait Kernel {
    /// What it gives.
    type Output;

    /// Do the work. Implementations are `#[inline(always)]`, so that they are compiled for the level.
    ///
    /// # Safety
    /// The processor has the level `I`.
    unsafe fn run<I: Isa>(self) -> Self::Output;
}
