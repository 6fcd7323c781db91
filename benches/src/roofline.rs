//! What the machine can do at most, measured beside what it is compared with.

use std::hint::black_box;
use std::thread;

use crate::seconds;

/// Bytes a second that `threads` threads read together from memory.
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

/// Multiplications and additions a second of signed by unsigned bytes, by the best instruction of the level in use;
/// `None` where that has no such instruction.
pub fn byte_products(threads: usize) -> Option<f64> {
    const ROUNDS: usize = 4_000_000;
    #[cfg(target_arch = "x86_64")]
    if mimo_vl_core::expert::SimdLevel::current() == mimo_vl_core::expert::SimdLevel::Avx512 {
        let time = seconds(|| {
            thread::scope(|scope| {
                for _ in 0..threads {
                    // SAFETY: the level in use is one that the processor has.
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
