//! Limits of the machine, measured close in time to the results that are compared with them.

use std::hint::black_box;
use std::thread;

use crate::seconds;

/// Read bandwidth of memory with `threads` threads, in bytes per second.
pub fn read_bandwidth(threads: usize) -> f64 {
    const WORDS: usize = 32 << 20;
    let data: Vec<Vec<u64>> = (0..threads).map(|_| vec![1; WORDS]).collect();
    let time = seconds(|| {
        thread::scope(|scope| {
            for part in &data {
                scope.spawn(|| black_box(part.iter().fold(0_u64, |sum, word| sum ^ word)));
            }
        });
    });
    (threads * WORDS * 8) as f64 / time
}

/// Peak throughput of 8-bit dot products with `threads` threads, in operations (multiplications and additions) per
/// second. Only implemented for AVX-512 VNNI; `None` for other SIMD levels.
pub fn peak_int8_ops(threads: usize) -> Option<f64> {
    const ROUNDS: usize = 4_000_000;
    #[cfg(target_arch = "x86_64")]
    if mimo_vl_core::expert::SimdLevel::current() == mimo_vl_core::expert::SimdLevel::Avx512 {
        let time = seconds(|| {
            thread::scope(|scope| {
                for _ in 0..threads {
                    // SAFETY: the processor supports the level in use.
                    #[allow(unsafe_code)]
                    scope.spawn(|| black_box(unsafe { vnni(ROUNDS) }));
                }
            });
        });
        return Some((threads * ROUNDS * ACCUMULATORS * 128) as f64 / time);
    }
    let _ = (threads, ROUNDS);
    None
}

#[cfg(target_arch = "x86_64")]
const ACCUMULATORS: usize = 24;

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
fn vnni(rounds: usize) -> i32 {
    use std::arch::x86_64::*;
    let (a, b) = (black_box(_mm512_set1_epi8(1)), black_box(_mm512_set1_epi8(2)));
    let mut sums = [_mm512_setzero_si512(); ACCUMULATORS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    sums.into_iter().map(|sum| _mm512_reduce_add_epi32(sum)).fold(0, i32::wrapping_add)
}
