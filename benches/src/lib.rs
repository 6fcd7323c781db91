//! Shared parts of the benchmarks: timing, machine description and roofline.

#![allow(clippy::print_stdout)]

pub mod bench_7b_model;
pub mod checkpoint;
pub mod roofline;

use std::time::{Duration, Instant};

/// Median time of `work` in seconds: one warm-up run, then at least five runs and as many as fit into half a second.
pub fn seconds(mut work: impl FnMut()) -> f64 {
    work();
    let start = Instant::now();
    let mut runs = Vec::new();
    while runs.len() < 5 || (start.elapsed() < Duration::from_millis(500) && runs.len() < 10_000) {
        let start = Instant::now();
        work();
        runs.push(start.elapsed().as_secs_f64());
    }
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// The processor's name, its number of cores, and the SIMD level in use.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let level = mimo_vl_core::expert::SimdLevel::current().name();
    format!("{}, {cores} cores, {level}", name.trim_start_matches([' ', '\t', ':']))
}

/// Reproducible random numbers in −1..1.
pub fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}
