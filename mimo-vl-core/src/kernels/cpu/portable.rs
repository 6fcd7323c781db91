//! The portable level: eight lanes of ordinary arithmetic. It is the reference for tests of the other levels, and runs
//! under Miri.

use std::array::from_fn;

use half::{bf16, f16};

use super::isa::{Isa, Kernel};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

type Lanes<T> = [T; 8];

#[inline(always)]
fn each(bytes: Lanes<i32>, f: impl Fn(u8) -> i8) -> Lanes<i32> {
    bytes.map(|lane| i32::from_le_bytes(lane.to_le_bytes().map(|byte| f(byte) as u8)))
}

impl Isa for Portable {
    const LANES: usize = 8;
    const OFFSET: i32 = 0;
    /// A lookup table occupies the 16 bytes of the first four lanes.
    type I = Lanes<i32>;
    type F = Lanes<f32>;

    #[inline(always)]
    unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
        // SAFETY: every processor supports this level.
        unsafe { kernel.run::<Self>() }
    }

    #[inline(always)]
    unsafe fn splat_i32(value: i32) -> Self::I {
        [value; 8]
    }
    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self::I {
        // SAFETY: the caller passes 32 readable bytes.
        unsafe { from.cast::<Self::I>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_bytes(to: *mut u8, bytes: Self::I) {
        // SAFETY: the caller passes 32 writable bytes.
        unsafe { to.cast::<Self::I>().write_unaligned(bytes) }
    }
    #[inline(always)]
    unsafe fn splat_quad(from: *const i8) -> Self::I {
        // SAFETY: the caller passes 4 readable bytes.
        [unsafe { from.cast::<i32>().read_unaligned() }; 8]
    }
    #[inline(always)]
    unsafe fn levels(levels: &[i8; 16]) -> Self::I {
        from_fn(|lane| match lane {
            0..4 => i32::from_le_bytes(from_fn(|byte| levels[4 * lane + byte] as u8)),
            _ => 0,
        })
    }
    #[inline(always)]
    unsafe fn low(codes: Self::I, levels: Self::I) -> Self::I {
        each(codes, |code| level(levels, code & 15))
    }
    #[inline(always)]
    unsafe fn high(codes: Self::I, levels: Self::I) -> Self::I {
        each(codes, |code| level(levels, code >> 4))
    }
    #[inline(always)]
    unsafe fn bytes(codes: Self::I) -> Self::I {
        each(codes, |code| (code ^ 0x80) as i8)
    }
    #[inline(always)]
    unsafe fn dot(acc: Self::I, weights: Self::I, activations: Self::I) -> Self::I {
        from_fn(|lane| {
            let (w, a) = (weights[lane].to_le_bytes(), activations[lane].to_le_bytes());
            (0..4).fold(acc[lane], |sum, byte| sum + i32::from(w[byte] as i8) * i32::from(a[byte] as i8))
        })
    }

    #[inline(always)]
    unsafe fn zero() -> Self::F {
        [0.0; 8]
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self::F {
        [value; 8]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self::F {
        // SAFETY: the caller passes 8 readable values.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_f16(from: *const f16) -> Self::F {
        // SAFETY: the caller passes 8 readable values.
        unsafe { from.cast::<[f16; 8]>().read_unaligned() }.map(f16::to_f32)
    }
    #[inline(always)]
    unsafe fn load_bf16(from: *const bf16) -> Self::F {
        // SAFETY: the caller passes 8 readable values.
        unsafe { from.cast::<[bf16; 8]>().read_unaligned() }.map(bf16::to_f32)
    }
    #[inline(always)]
    unsafe fn load_i8(from: *const i8) -> Self::F {
        // SAFETY: the caller passes 8 readable values.
        unsafe { from.cast::<[i8; 8]>().read_unaligned() }.map(f32::from)
    }
    #[inline(always)]
    unsafe fn store(to: *mut f32, values: Self::F) {
        // SAFETY: the caller passes 8 writable values.
        unsafe { to.cast::<Self::F>().write_unaligned(values) }
    }
    #[inline(always)]
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| a[lane] - b[lane])
    }
    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| a[lane] * b[lane])
    }
    #[inline(always)]
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| a[lane] / b[lane])
    }
    /// Rounds twice, because a true FMA would be emulated slowly on processors without the instruction.
    #[inline(always)]
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        from_fn(|lane| a[lane] * b[lane] + c[lane])
    }
    #[inline(always)]
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| if a[lane] > b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
        from_fn(|lane| if a[lane] < b[lane] { a[lane] } else { b[lane] })
    }
    #[inline(always)]
    unsafe fn abs(a: Self::F) -> Self::F {
        a.map(f32::abs)
    }
    #[inline(always)]
    unsafe fn keep_unless_below(a: Self::F, b: Self::F, value: Self::F) -> Self::F {
        from_fn(|lane| if a[lane] < b[lane] { 0.0 } else { value[lane] })
    }
    #[inline(always)]
    unsafe fn add_above(sum: Self::F, a: Self::F, b: Self::F, value: Self::F) -> Self::F {
        from_fn(|lane| if a[lane] >= b[lane] { sum[lane] + value[lane] } else { sum[lane] })
    }
    #[inline(always)]
    unsafe fn power_of_two(n: Self::F) -> Self::F {
        n.map(|n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn round(a: Self::F) -> Self::F {
        a.map(f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn sum(a: Self::F) -> f32 {
        a.iter().sum()
    }
    #[inline(always)]
    unsafe fn largest(a: Self::F) -> f32 {
        a.iter().copied().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(always)]
    unsafe fn to_f32(a: Self::I) -> Self::F {
        a.map(|lane| lane as f32)
    }
    #[inline(always)]
    unsafe fn to_i32(a: Self::F) -> Self::I {
        a.map(|lane| lane.round_ties_even() as i32)
    }
    #[inline(always)]
    unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I {
        from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn sum_i32(a: Self::I) -> i32 {
        a.iter().sum()
    }
    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, lanes: Self::I) {
        // SAFETY: the caller passes 8 writable bytes.
        unsafe { to.cast::<[i8; 8]>().write_unaligned(lanes.map(|lane| lane as i8)) }
    }
    #[inline(always)]
    unsafe fn prefetch(_from: *const u8) {}
}

#[inline(always)]
fn level(levels: Lanes<i32>, code: u8) -> i8 {
    levels[usize::from(code / 4)].to_le_bytes()[usize::from(code % 4)] as i8
}
