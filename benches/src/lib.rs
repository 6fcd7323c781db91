//! What the measurements share: medians, the machine's name, and its roofline.

#![allow(clippy::print_stdout)]

pub mod bench_7b_model;
pub mod checkpoint;
pub mod roofline;

use std::time::{Duration, Instant};

/// Seconds of `work`: the median of at least five runs, and of as many as fit half a second, after one that does not
/// count.
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

/// The processor's name and number of cores, and the level of instructions in use.
pub fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let level = mimo_vl_core::expert::SimdLevel::current().name();
    format!("{}, {cores} cores, {level}", name.trim_start_matches([' ', '\t', ':']))
}

/// Numbers in −1..1 that are the same in every run.
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
