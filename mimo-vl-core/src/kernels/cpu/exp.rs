//! The exponential function.

use super::isa::Isa;

/// `e^x` with a relative error below 3e-7; 0 for `x` below −87, infinity from 88 on, and NaN for NaN.
///
/// `x = n·ln 2 + r` with `|r| ≤ ln 2 / 2`, so `e^x = 2^n · e^r`, where `e^r` is Taylor's polynomial of degree 6.
#[inline(always)]
pub(super) unsafe fn exp<I: Isa>(x: I::F) -> I::F {
    // SAFETY: as for this function.
    unsafe {
        let (floor, ceiling) = (I::splat(-87.0), I::splat(88.0));
        let bounded = I::min(ceiling, I::max(floor, x));
        let n = I::round(I::mul(bounded, I::splat(std::f32::consts::LOG2_E)));
        // ln 2 in two parts. The first has few bits, so that its product with n is exact.
        let r = I::fma(n, I::splat(-0.693_359_4), bounded);
        let r = I::fma(n, I::splat(2.121_944_4e-4), r);
        let mut sum = I::splat(1.0 / 720.0);
        for coefficient in [1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            sum = I::fma(sum, r, I::splat(coefficient));
        }
        let beyond = I::keep_unless_below(x, ceiling, I::splat(f32::INFINITY));
        I::add(I::keep_unless_below(x, floor, I::mul(sum, I::power_of_two(n))), beyond)
    }
}
