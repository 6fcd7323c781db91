//! Products with quantized weights at the shapes of MiMo-VL-7B: `cargo bench -p mimo-vl-benches --bench linear`.
//!
//! One row, as in decode, is compared with the read bandwidth of memory. Many rows, as in prefill and the vision tower,
//! are compared with the peak throughput of the byte dot product instruction.
#![allow(clippy::print_stdout, missing_docs)]

use burn::tensor::{Tensor, TensorData};
use mimo_vl_benches::{machine, noise, roofline, seconds};
use mimo_vl_core::Result;
use mimo_vl_core::expert::{
    Codebook, Kernels, QuantFormat, QuantizedWeight, WithBackend, cores, dispatch, quantize_matrix,
};

const SHAPES: [(&str, usize, usize); 7] = [
    ("qkv", 4096, 6144),
    ("attention out", 4096, 4096),
    ("gate and up", 4096, 22_016),
    ("down", 11_008, 4096),
    ("vision qkv", 1280, 3840),
    ("vision gate and up", 1280, 6912),
    ("vision down", 3456, 1280),
];

struct Linear;

impl WithBackend for Linear {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        let threads = cores();
        println!("{}", machine());
        let peak = roofline::peak_int8_ops(threads);
        for (name, width, rows) in SHAPES {
            let weights = noise(1, width * 64);
            for (codebook, format) in [(Codebook::Normal4, "int4"), (Codebook::Linear8, "int8")] {
                let quant_format = QuantFormat { codebook, group: 64 };
                let read =
                    |row: usize, output: &mut [f32]| output.copy_from_slice(&weights[row % 64 * width..][..width]);
                let Ok((data, _)) = quantize_matrix([rows, width], quant_format, read) else { continue };
                // Several copies, so that the weights of an iteration are not in a cache.
                let bytes = quant_format.bytes(rows, width);
                let copies: Vec<QuantizedWeight<B>> = (0..(400_000_000 / bytes).clamp(1, 40))
                    .map(|_| QuantizedWeight::new(data.clone(), &device))
                    .collect();
                let mut next = 0;
                for count in [1, 512] {
                    let x =
                        Tensor::<B, 2>::from_data(TensorData::new(noise(2, count * width), [count, width]), &device);
                    let bandwidth = roofline::read_bandwidth(threads);
                    let time = seconds(|| {
                        next = (next + 1) % copies.len();
                        drop(B::linear_quantized(x.clone(), &copies[next], None));
                    });
                    let (speed, unit, ceiling) = match count {
                        1 => (bytes as f64 / time, "GB/s", Some(bandwidth)),
                        _ => (2.0 * (count * width * rows) as f64 / time, "GOP/s", peak),
                    };
                    let share = ceiling.map_or(String::new(), |ceiling| format!("{:5.1} %", 100.0 * speed / ceiling));
                    println!(
                        "{name:20} {format} {count:4} rows {:8.3} ms {:7.1} {unit:5} {share}",
                        time * 1e3,
                        speed / 1e9
                    );
                }
            }
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    dispatch("cpu", Linear)
}
