//! All benchmarks of a model with the shapes of MiMo-VL-7B: `cargo run --release --bin bench_7b`.

use std::process::ExitCode;

use mimo_vl_benches::bench_7b_model::{PARTS, run};

fn main() -> ExitCode {
    match run(std::env::args().skip(1), &PARTS) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench_7b: {error}");
            ExitCode::FAILURE
        }
    }
}
