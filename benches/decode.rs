//! Decoding at the shapes of MiMo-VL-7B: `cargo bench -p mimo-vl-benches --bench decode`.
#![allow(missing_docs)]

fn main() -> Result<(), Box<dyn std::error::Error>> {
    mimo_vl_benches::bench_7b_model::run(std::env::args().skip(1), &["decode"])
}
