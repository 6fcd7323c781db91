//! Attention at the shapes of MiMo-VL-7B: `cargo bench -p mimo-vl-benches --bench attention`.
#![allow(clippy::print_stdout, missing_docs)]

use burn::tensor::{DType, Tensor, TensorData};
use mimo_vl_benches::{machine, noise, seconds};
use mimo_vl_core::Result;
use mimo_vl_core::expert::{Kernels, Mask, WithBackend, dispatch};

struct Attention;

impl WithBackend for Attention {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        println!("{}", machine());
        let causal = |offset| Mask::Causal { offset };
        let cases = [
            ("decode, 1,024 cached", [1, 32, 8, 1, 1024, 128], causal(1023)),
            ("prefill, 512", [1, 32, 8, 512, 512, 128], causal(0)),
            ("prefill, 1,024", [1, 32, 8, 1024, 1024, 128], causal(0)),
            ("vision, windows, 1008²", [81, 16, 16, 64, 64, 80], Mask::Full),
            ("vision, full, 448²", [1, 16, 16, 1024, 1024, 80], Mask::Full),
            ("vision, full, 1008²", [1, 16, 16, 5184, 5184, 80], Mask::Full),
        ];
        for (name, sizes, mask) in cases {
            let [batch, heads, kv_heads, queries, keys, head_dim]: [usize; 6] = sizes;
            let heads_of = |seed: u64, heads: usize, rows: usize| {
                let values = noise(seed, batch * heads * rows * head_dim);
                Tensor::<B, 4>::from_data(TensorData::new(values, [batch, heads, rows, head_dim]), &device)
            };
            let q = heads_of(1, heads, queries);
            let [k, v] = [2, 3].map(|seed| heads_of(seed, kv_heads, keys).cast(DType::F16));
            let time = seconds(|| drop(<B as Kernels>::attention(q.clone(), k.clone(), v.clone(), mask)));
            let visible = if matches!(mask, Mask::Causal { .. }) && queries > 1 { 0.5 } else { 1.0 };
            let operations = 4.0 * visible * (batch * heads * queries * keys * head_dim) as f64;
            println!("{name:28} {:8.3} ms {:7.1} GFLOP/s", time * 1e3, operations / time / 1e9);
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    dispatch("cpu", Attention)
}
