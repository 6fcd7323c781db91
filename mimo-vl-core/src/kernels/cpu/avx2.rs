//! AVX2, without and with VNNI: eight lanes.

use std::arch::x86_64::*;

use half::{bf16, f16};

use super::isa::{Isa, Kernel};

/// AVX2 with FMA and F16C. Byte products are signed, because sums of unsigned ones could overflow 16 bits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2;

/// AVX2, FMA and F16C with the VNNI instructions on 256-bit registers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AvxVnni;

impl Avx2 {
    pub(super) fn is_supported() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c")
    }
}

impl AvxVnni {
    pub(super) fn is_supported() -> bool {
        Avx2::is_supported() && is_x86_feature_detected!("avxvnni")
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller has checked that the processor supports this level.
    unsafe { kernel.run::<Avx2>() }
}

#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
unsafe fn run_avx_vnni<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: the caller has checked that the processor supports this level.
    unsafe { kernel.run::<AvxVnni>() }
}

// SAFETY of every block below: the functions are called only inside `run`, with pointers to as many values as a
// register holds.
macro_rules! eight_lanes {
    ($isa:ident, $run:ident, $offset:literal, $dot:expr) => {
        impl Isa for $isa {
            const LANES: usize = 8;
            const OFFSET: i32 = $offset;
            type I = __m256i;
            type F = __m256;

            #[inline(always)]
            unsafe fn run<K: Kernel>(kernel: K) -> K::Output {
                // SAFETY: as for this function.
                unsafe { $run(kernel) }
            }
            #[inline(always)]
            unsafe fn splat_i32(value: i32) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_set1_epi32(value) }
            }
            #[inline(always)]
            unsafe fn load_bytes(from: *const u8) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_loadu_si256(from.cast()) }
            }
            #[inline(always)]
            unsafe fn store_bytes(to: *mut u8, bytes: Self::I) {
                // SAFETY: see above.
                unsafe { _mm256_storeu_si256(to.cast(), bytes) }
            }
            #[inline(always)]
            unsafe fn splat_quad(from: *const i8) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
            }
            #[inline(always)]
            unsafe fn levels(levels: &[i8; 16]) -> Self::I {
                // SAFETY: see above.
                unsafe {
                    let levels = _mm256_broadcastsi128_si256(_mm_loadu_si128(levels.as_ptr().cast()));
                    _mm256_add_epi8(levels, _mm256_set1_epi8(Self::OFFSET as i8))
                }
            }
            #[inline(always)]
            unsafe fn low(codes: Self::I, levels: Self::I) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_shuffle_epi8(levels, _mm256_and_si256(codes, _mm256_set1_epi8(15))) }
            }
            #[inline(always)]
            unsafe fn high(codes: Self::I, levels: Self::I) -> Self::I {
                // SAFETY: see above.
                unsafe {
                    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), _mm256_set1_epi8(15));
                    _mm256_shuffle_epi8(levels, upper)
                }
            }
            #[inline(always)]
            unsafe fn bytes(codes: Self::I) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_add_epi8(codes, _mm256_set1_epi8((Self::OFFSET - 128) as i8)) }
            }
            #[inline(always)]
            unsafe fn dot(acc: Self::I, weights: Self::I, activations: Self::I) -> Self::I {
                // SAFETY: see above.
                unsafe { $dot(acc, weights, activations) }
            }
            #[inline(always)]
            unsafe fn zero() -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_setzero_ps() }
            }
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_set1_ps(value) }
            }
            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_loadu_ps(from) }
            }
            #[inline(always)]
            unsafe fn load_f16(from: *const f16) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
            }
            #[inline(always)]
            unsafe fn load_bf16(from: *const bf16) -> Self::F {
                // SAFETY: see above.
                unsafe {
                    let upper = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(upper))
                }
            }
            #[inline(always)]
            unsafe fn load_i8(from: *const i8) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.cast()))) }
            }
            #[inline(always)]
            unsafe fn store(to: *mut f32, values: Self::F) {
                // SAFETY: see above.
                unsafe { _mm256_storeu_ps(to, values) }
            }
            #[inline(always)]
            unsafe fn add(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_add_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn sub(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_sub_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_mul_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn div(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_div_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_fmadd_ps(a, b, c) }
            }
            #[inline(always)]
            unsafe fn max(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_max_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn min(a: Self::F, b: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_min_ps(a, b) }
            }
            #[inline(always)]
            unsafe fn abs(a: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_andnot_ps(_mm256_set1_ps(-0.0), a) }
            }
            #[inline(always)]
            unsafe fn keep_unless_below(a: Self::F, b: Self::F, value: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(a, b), value) }
            }
            #[inline(always)]
            unsafe fn add_above(sum: Self::F, a: Self::F, b: Self::F, value: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_add_ps(sum, _mm256_and_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(a, b), value)) }
            }
            #[inline(always)]
            unsafe fn power_of_two(n: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe {
                    let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
                    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
                }
            }
            #[inline(always)]
            unsafe fn round(a: Self::F) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a) }
            }
            #[inline(always)]
            unsafe fn sum(a: Self::F) -> f32 {
                // SAFETY: see above.
                unsafe {
                    let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                    let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
                }
            }
            #[inline(always)]
            unsafe fn largest(a: Self::F) -> f32 {
                // SAFETY: see above.
                unsafe {
                    let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
                    let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
                    _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
                }
            }
            #[inline(always)]
            unsafe fn to_f32(a: Self::I) -> Self::F {
                // SAFETY: see above.
                unsafe { _mm256_cvtepi32_ps(a) }
            }
            #[inline(always)]
            unsafe fn to_i32(a: Self::F) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_cvtps_epi32(a) }
            }
            #[inline(always)]
            unsafe fn add_i32(a: Self::I, b: Self::I) -> Self::I {
                // SAFETY: see above.
                unsafe { _mm256_add_epi32(a, b) }
            }
            #[inline(always)]
            unsafe fn sum_i32(a: Self::I) -> i32 {
                // SAFETY: see above.
                unsafe {
                    let four = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256::<1>(a));
                    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b1110>(four));
                    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<1>(two)))
                }
            }
            #[inline(always)]
            unsafe fn store_i8(to: *mut i8, lanes: Self::I) {
                // SAFETY: see above.
                unsafe {
                    let words = _mm_packs_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes));
                    _mm_storel_epi64(to.cast(), _mm_packs_epi16(words, words));
                }
            }
            #[inline(always)]
            unsafe fn prefetch(from: *const u8) {
                // SAFETY: see above.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
            }
        }
    };
}

eight_lanes!(Avx2, run_avx2, 0, dot_of_signed);
eight_lanes!(AvxVnni, run_avx_vnni, 128, _mm256_dpbusd_avx_epi32);

#[inline(always)]
unsafe fn dot_of_signed(acc: __m256i, weights: __m256i, activations: __m256i) -> __m256i {
    // SAFETY: called only inside `run`.
    unsafe {
        // The sign of the weight moves to the activation. Two products of at most 128·127 fit 16 bits.
        let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(activations, weights));
        _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
    }
}
