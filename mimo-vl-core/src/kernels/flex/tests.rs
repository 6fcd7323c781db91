//! Tests of every SIMD level against plain arithmetic and the portable bodies.
#![allow(clippy::unwrap_used)]

use burn::tensor::{DType, Tensor, TensorData};
use burn_flex::{Flex, FlexDevice};
use half::f16;

use crate::kernels::attention::{attention, write_int8_rows, write_rows};
use crate::kernels::linear::{linear, to_f32};
use crate::kernels::{
    Int8Rows, Kernels, Mask, QuantizedData, QuantizedWeight, SimdLevel, quantize_matrix, rotate_half_matrix, rowwise,
};
use crate::quant::{Codebook, QuantFormat};

/// Reproducible random numbers in −1..1.
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    pub(super) fn value(&mut self) -> f32 {
        self.next() as f32 / 2_147_483_648.0 - 1.0
    }

    pub(super) fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }
}

pub(super) fn simd_levels() -> impl Iterator<Item = SimdLevel> {
    SimdLevel::ALL.into_iter().filter(|level| level.is_supported())
}

fn matrix(noise: &mut Noise, rows: usize, width: usize, format: QuantFormat) -> QuantizedData {
    let mut data = QuantizedData::zeros(rows, width, format);
    let limit = if format.codebook.bits() == 4 { 256 } else { 255 };
    data.codes.fill_with(|| (noise.next() % limit) as u8 + u8::from(limit == 255));
    data.scales.fill_with(|| f16::from_f32(noise.value()));
    data
}

fn on_device<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> Tensor<Flex, D> {
    Tensor::from_data(TensorData::new(values, shape), &FlexDevice)
}

fn host<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().into_vec().unwrap()
}

/// The activations as the kernels quantize them.
fn quantized_activations(x: &[f32], width: usize, group: usize) -> Vec<f32> {
    let rows = x.chunks_exact(width).flat_map(|row| row.chunks(group));
    rows.flat_map(|group| {
        let largest = group.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        group.iter().map(move |value| (value * inverse).round_ties_even() * (largest / 127.0))
    })
    .collect()
}

/// Relative error `‖a − b‖ / ‖b‖`.
fn difference(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let error = square(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    error / square(&mut b.iter().map(|&b| f64::from(b))).max(1e-30)
}

#[test]
fn quantized_products_match_products_of_quantized_activations() {
    let mut noise = Noise::new(1);
    let formats = [
        (Codebook::Normal4, 64),
        (Codebook::Linear4, 32),
        (Codebook::Linear8, 32),
        (Codebook::Linear8, 64),
        (Codebook::Normal4, 128),
    ];
    for (codebook, group) in formats {
        let format = QuantFormat { codebook, group };
        for (rows, out, width) in [
            (1, 32, 64),
            (1, 33, 100),
            (2, 96, 1),
            (3, 31, 2500),
            (5, 64, 128),
            (6, 1, 130),
            (7, 70, 1030),
            (13, 65, 64),
            (20, 100, 96),
        ] {
            let data = matrix(&mut noise, out, width, format);
            let quantized = QuantizedWeight::<Flex>::new(data, &FlexDevice);
            let x = noise.values(rows * width);
            let bias = (out % 2 == 0).then(|| on_device(noise.values(out), [out]));
            let unpacked = on_device(quantized_activations(&x, width, group), [rows, width])
                .matmul(quantized.dequantize().transpose());
            let expected = match &bias {
                Some(bias) => unpacked + bias.clone().unsqueeze::<2>(),
                None => unpacked,
            };
            let expected = host(expected);
            for level in simd_levels() {
                let x = on_device(x.clone(), [rows, width]);
                let actual = level.force(|| host(Flex::linear_quantized(x, &quantized, bias.clone())));
                let error = difference(&actual, &expected);
                assert!(error < 3e-6, "{level:?} {format:?} {rows}×{width}→{out}: {error:e}");
            }
        }
    }
}

#[test]
fn the_portable_product_matches_the_dequantized_weights() {
    let mut noise = Noise::new(2);
    let data = matrix(&mut noise, 70, 100, QuantFormat { codebook: Codebook::Normal4, group: 64 });
    let quantized = QuantizedWeight::<Flex>::new(data, &FlexDevice);
    let x = on_device(noise.values(300), [3, 100]);
    let expected = host(x.clone().matmul(quantized.dequantize().transpose()));
    let actual = host(crate::kernels::quantized::linear(x, &quantized, None));
    assert!(difference(&actual, &expected) < 1e-6);
}

#[test]
fn empty_and_zero_activations_give_empty_and_zero_results() {
    let quantized = QuantizedWeight::<Flex>::new(
        QuantizedData::zeros(40, 64, QuantFormat { codebook: Codebook::Linear8, group: 64 }),
        &FlexDevice,
    );
    for level in simd_levels() {
        level.force(|| {
            assert!(host(Flex::linear_quantized(on_device(vec![], [0, 64]), &quantized, None)).is_empty());
            assert_eq!(host(Flex::linear_quantized(on_device(vec![0.0; 128], [2, 64]), &quantized, None)), [0.0; 80]);
        });
    }
}

#[test]
fn row_wise_operations_match_the_portable_bodies() {
    let mut noise = Noise::new(3);
    for (rows, heads, head_dim) in [(1, 1, 2), (3, 2, 10), (5, 3, 32), (40, 5, 80), (2, 4, 128), (0, 2, 16)] {
        let width = heads * head_dim;
        // Rows that are slices of wider ones.
        let wide = on_device(noise.values(rows * (width + 7)), [rows, width + 7]);
        let x = wide.clone().slice([0..rows, 3..3 + width]);
        let up = wide.slice([0..rows, 7..7 + width]);
        let weight = on_device(noise.values(width), [width]);
        let angles = noise.values(rows * head_dim / 2);
        let table = |f: fn(f32) -> f32| {
            let rows_of = angles.chunks_exact(head_dim / 2);
            let values = rows_of.flat_map(|row| row.iter().chain(row).map(|&angle| f(3.0 * angle)).collect::<Vec<_>>());
            on_device(values.collect(), [rows, head_dim])
        };
        let (cos, sin) = (table(f32::cos), table(f32::sin));
        let rotate_half = rotate_half_matrix::<Flex>(head_dim, &FlexDevice);
        let repeated = |table: &Tensor<Flex, 2>| table.clone().repeat_dim(1, heads);
        let rotated = rowwise::rope(x.clone(), repeated(&cos), repeated(&sin), rotate_half.clone());
        let normed = rowwise::rms_norm(x.clone(), weight.clone(), 1e-5);
        let gated = rowwise::swiglu(x.clone(), up.clone());
        for level in simd_levels() {
            level.force(|| {
                let actual = Flex::rope(x.clone(), cos.clone(), sin.clone(), rotate_half.clone());
                assert!(difference(&host(actual), &host(rotated.clone())) < 1e-6, "rope {level:?} {rows}×{width}");
                let actual = Flex::rms_norm(x.clone(), weight.clone(), 1e-5);
                assert!(difference(&host(actual), &host(normed.clone())) < 1e-6, "norm {level:?} {rows}×{width}");
                let actual = Flex::swiglu(x.clone(), up.clone());
                assert!(difference(&host(actual), &host(gated.clone())) < 1e-6, "gate {level:?} {rows}×{width}");
            });
        }
    }
}

#[test]
fn swiglu_is_accurate_at_the_ends_of_the_range() {
    let gate =
        vec![0.0, -0.0, 1e-30, 20.0, -20.0, 87.5, -87.5, 1e4, -1e4, 3e38, -3e38, 89.0, -89.0, 1.0, -1.0, 0.5, 0.25];
    let shape = [1, gate.len()];
    let expected: Vec<f32> = gate.iter().map(|&x| (f64::from(x) / (1.0 + (-f64::from(x)).exp())) as f32).collect();
    for level in simd_levels() {
        let actual =
            level.force(|| host(Flex::swiglu(on_device(gate.clone(), shape), on_device(vec![1.0; 17], shape))));
        for ((x, actual), expected) in gate.iter().zip(actual).zip(&expected) {
            let error = (actual - expected).abs();
            assert!(error <= 1e-6 * expected.abs() + 1e-34, "{level:?}: silu({x}) is {actual}, not {expected}");
        }
    }
}

#[test]
fn attention_matches_the_portable_body() {
    let mut noise = Noise::new(4);
    let cases = [
        // batch, heads, kv_heads, queries, keys, head_dim
        (1, 4, 1, 1, 1, 16),
        (1, 8, 2, 1, 200, 128),
        (1, 8, 8, 1, 64, 80),
        (2, 4, 2, 3, 3, 24),
        (3, 2, 2, 64, 64, 80),
        (1, 16, 16, 50, 50, 80),
        (1, 5, 1, 130, 130, 32),
        (1, 4, 1, 70, 333, 128),
        (1, 3, 3, 5, 129, 7),
        (2, 2, 1, 0, 4, 16),
        // More values than are repacked at a time.
        (1, 66, 33, 9, 1030, 128),
    ];
    for (batch, heads, kv_heads, queries, keys, head_dim) in cases {
        // Query heads are interleaved in rows, as projections output them; keys and values are in a larger cache.
        let q = on_device(noise.values(batch * queries * heads * head_dim), [batch, queries, heads, head_dim]);
        let q = q.swap_dims(1, 2).mul_scalar(3.0);
        let mut cache = || {
            let cache = on_device(
                noise.values(batch * kv_heads * (keys + 3) * head_dim),
                [batch, kv_heads, keys + 3, head_dim],
            );
            cache.narrow(2, 0, keys)
        };
        let (k, v) = (cache(), cache());
        let mut masks = vec![Mask::Full];
        if keys >= queries {
            masks.push(Mask::Causal { offset: keys - queries });
        }
        for mask in masks {
            if queries == 0 {
                assert!(host(Flex::attention(q.clone(), k.clone(), v.clone(), mask)).is_empty());
                continue;
            }
            let expected = host(attention(q.clone(), k.clone(), v.clone(), mask));
            let half = |x: &Tensor<Flex, 4>| x.clone().cast(DType::F16);
            let expected_half = host(attention(q.clone(), to_f32(half(&k)), to_f32(half(&v)), mask));
            for level in simd_levels() {
                level.force(|| {
                    let case = (level, mask, batch, heads, kv_heads, queries, keys, head_dim);
                    let actual = host(Flex::attention(q.clone(), k.clone(), v.clone(), mask));
                    assert!(difference(&actual, &expected) < 2e-6, "{case:?}: {:e}", difference(&actual, &expected));
                    let actual = host(Flex::attention(q.clone(), half(&k), half(&v), mask));
                    assert!(difference(&actual, &expected_half) < 2e-6, "f16 {case:?}");
                });
            }
        }
    }
}

#[test]
fn products_of_few_rows_match_the_portable_body() {
    let mut noise = Noise::new(5);
    for (rows, width, columns) in
        [(0, 8, 8), (1, 1, 1), (1, 160, 33), (2, 31, 70), (4, 100, 5), (7, 65, 12), (8, 300, 1), (9, 20, 20)]
    {
        let x = on_device(noise.values(rows * width), [rows, width]);
        let weight = on_device(noise.values(columns * width), [columns, width]);
        let bias = (columns % 2 == 1).then(|| on_device(noise.values(columns), [columns]));
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let weight = weight.clone().cast(dtype);
            let expected = host(linear(x.clone(), to_f32(weight.clone()), bias.clone()));
            for level in simd_levels() {
                let actual = level.force(|| host(Flex::linear(x.clone(), weight.clone(), bias.clone())));
                let error = difference(&actual, &expected);
                assert!(error < 1e-6, "{level:?} {dtype:?} {rows}×{width}→{columns}: {error:e}");
            }
        }
    }
}

#[test]
fn gated_products_match_products_followed_by_swiglu() {
    let mut noise = Noise::new(6);
    for codebook in [Codebook::Normal4, Codebook::Linear8] {
        let format = QuantFormat { codebook, group: 64 };
        for (rows, out, width) in [(0, 64, 64), (1, 64, 100), (4, 128, 64), (9, 192, 1100), (3, 34, 64), (8, 32, 64)] {
            let quantized = QuantizedWeight::<Flex>::new(matrix(&mut noise, out, width, format), &FlexDevice);
            let bias = (rows % 2 == 1).then(|| on_device(noise.values(out), [out]));
            let x = on_device(noise.values(rows * width), [rows, width]);
            for level in simd_levels() {
                level.force(|| {
                    let expected = host(crate::kernels::quantized::gated(x.clone(), &quantized, bias.clone()));
                    let actual = host(Flex::gated_quantized(x.clone(), &quantized, bias.clone()));
                    let error = difference(&actual, &expected);
                    assert!(error < 1e-6, "{level:?} {codebook:?} {rows}×{width}→{out}: {error:e}");
                });
            }
        }
    }
}

#[test]
fn dequantized_weights_differ_by_the_reported_error() {
    let mut noise = Noise::new(7);
    for codebook in [Codebook::Normal4, Codebook::Linear4, Codebook::Linear8] {
        for (rows, width, group) in [(33, 100, 64), (31, 64, 32), (1, 1, 64), (70, 300, 128)] {
            let weights = noise.values(rows * width);
            let read = |row: usize, output: &mut [f32]| output.copy_from_slice(&weights[row * width..][..width]);
            let (data, reported) = quantize_matrix([rows, width], QuantFormat { codebook, group }, read).unwrap();
            let unpacked = host(QuantizedWeight::<Flex>::new(data, &FlexDevice).dequantize());
            let error = difference(&unpacked, &weights);
            assert!((error - reported.relative()).abs() < 1e-5, "{codebook:?} {rows}×{width}: {error} {reported:?}");
            assert!(error < 0.12, "{codebook:?} {rows}×{width}: {error}");
        }
    }
}

#[test]
fn inputs_that_are_not_finite_give_nan() {
    let mut noise = Noise::new(8);
    let quantized = QuantizedWeight::<Flex>::new(
        matrix(&mut noise, 40, 200, QuantFormat { codebook: Codebook::Normal4, group: 64 }),
        &FlexDevice,
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, 63, 100, 199] {
            let mut x = noise.values(2 * 200);
            x[200 + at] = bad;
            for level in simd_levels() {
                level.force(|| {
                    let actual = host(Flex::linear_quantized(on_device(x.clone(), [2, 200]), &quantized, None));
                    assert!(actual[..40].iter().all(|value| value.is_finite()), "{level:?} {bad} at {at}");
                    assert!(actual[40..].iter().all(|value| value.is_nan()), "{level:?} {bad} at {at}");
                });
            }
        }
    }
    for keys in [3, 200] {
        let q = on_device(noise.values(16), [1, 1, 1, 16]);
        let mut k = noise.values(keys * 16);
        k[2 * 16 + 5] = f32::NAN;
        let (k, v) = (on_device(k, [1, 1, keys, 16]), on_device(noise.values(keys * 16), [1, 1, keys, 16]));
        for level in simd_levels() {
            let actual = level.force(|| host(Flex::attention(q.clone(), k.clone(), v.clone(), Mask::Full)));
            assert!(actual.iter().all(|value| value.is_nan()), "{level:?}, {keys} keys");
        }
    }
}

#[test]
#[should_panic(expected = "groups of 24")]
fn unknown_group_sizes_are_refused() {
    let _ = QuantizedData::zeros(32, 24, QuantFormat { codebook: Codebook::Linear8, group: 24 });
}

#[test]
fn rows_are_written_in_place() {
    let mut noise = Noise::new(9);
    for (batch, heads, capacity, head_dim, start, count) in
        [(1, 2, 9, 16, 0, 9), (1, 3, 8, 5, 7, 1), (2, 2, 6, 8, 2, 3), (1, 1, 4, 8, 4, 0), (1, 8, 70, 128, 64, 1)]
    {
        for dtype in [DType::F32, DType::F16] {
            let cache =
                on_device(noise.values(batch * heads * capacity * head_dim), [batch, heads, capacity, head_dim]);
            let cache = cache.cast(dtype);
            let rows = on_device(noise.values(batch * count * heads * head_dim), [batch, count, heads, head_dim]);
            let rows = rows.swap_dims(1, 2);
            let expected = write_rows(cache.clone(), rows.clone(), start).into_data();
            let shared = cache.clone();
            let actual = Flex::write_rows(cache.clone(), rows.clone(), start);
            actual.clone().into_data().assert_eq(&expected, true);
            // A shared tensor is not modified, and an unshared one is written in place.
            shared.into_data().assert_eq(&cache.into_data(), true);
            let address = |tensor: &Tensor<Flex, 4>| tensor.clone().into_primitive().tensor().bytes().as_ptr();
            let before = address(&actual);
            let again = Flex::write_rows(actual, rows, start);
            assert_eq!(address(&again), before, "copied");
            again.into_data().assert_eq(&expected, true);
        }
    }
}

#[test]
fn int8_rows_match_the_portable_bodies() {
    let mut noise = Noise::new(10);
    for (heads, kv_heads, queries, keys, head_dim) in
        [(4, 1, 1, 70, 16), (8, 2, 3, 40, 128), (4, 2, 50, 50, 24), (8, 2, 40, 200, 128), (2, 2, 1, 1, 80)]
    {
        let mut floats = |heads: usize, rows: usize| {
            let values = noise.values(rows * heads * head_dim);
            on_device(values, [1, rows, heads, head_dim]).swap_dims(1, 2).mul_scalar(3.0)
        };
        let q = floats(heads, queries);
        let [k, v] = [0, 1].map(|_| floats(kv_heads, keys));
        let empty = || Int8Rows::<Flex>::zeros([1, kv_heads, keys + 5, head_dim], &FlexDevice);
        // In two parts, as in prefill and decode.
        let filled = |rows: &Tensor<Flex, 4>, write: fn(Int8Rows<Flex>, Tensor<Flex, 4>, usize) -> Int8Rows<Flex>| {
            let cut = keys / 2;
            let cache = write(empty(), rows.clone().narrow(2, 0, keys - cut), 0);
            if cut == 0 { cache } else { write(cache, rows.clone().narrow(2, keys - cut, cut), keys - cut) }
        };
        let native = [&k, &v].map(|rows| filled(rows, Flex::write_int8_rows));
        for (rows, native) in [&k, &v].into_iter().zip(&native) {
            let portable = filled(rows, write_int8_rows);
            assert!(difference(&host(native.scales.clone()), &host(portable.scales.clone())) < 1e-6);
            let error = difference(&host(native.clone().dequantize()), &host(portable.dequantize()));
            assert!(error < 2e-3, "codes may differ only at ties: {error:e}");
            let exact = host(rows.clone());
            let error = difference(&host(native.first_rows(keys).dequantize()), &exact);
            assert!(error > 1e-3 && error < 6e-3, "{error:e}");
        }
        let [k, v] = native.map(|rows| rows.first_rows(keys));
        let mask = Mask::Causal { offset: keys - queries };
        let expected = host(attention(q.clone(), k.clone().dequantize(), v.clone().dequantize(), mask));
        for level in simd_levels() {
            let actual = level.force(|| host(Flex::attention_int8(q.clone(), k.clone(), v.clone(), mask)));
            assert!(difference(&actual, &expected) < 2e-6, "{level:?}: {:e}", difference(&actual, &expected));
        }
    }
    // Rows of zeros have scale 0 and stay zeros.
    let cache = Int8Rows::<Flex>::zeros([1, 1, 2, 16], &FlexDevice);
    let written = Flex::write_int8_rows(cache, Tensor::zeros([1, 1, 2, 16], &FlexDevice), 0);
    assert!(host(written.dequantize()).iter().all(|&x| x == 0.0));
}

#[test]
fn attention_of_few_queries_matches_one_query_at_a_time() {
    let mut noise = Noise::new(11);
    for (heads, kv_heads, keys, head_dim) in [(16, 2, 150, 32), (10, 2, 70, 128), (4, 4, 9, 24), (7, 1, 200, 80)] {
        let (queries, offset) = (8, keys - 8);
        let mut floats = |heads: usize, rows: usize| {
            on_device(noise.values(heads * rows * head_dim), [1, heads, rows, head_dim]).mul_scalar(3.0)
        };
        let (q, k, v) = (floats(heads, queries), floats(kv_heads, keys), floats(kv_heads, keys));
        for level in simd_levels() {
            level.force(|| {
                let batched = Flex::attention(q.clone(), k.clone(), v.clone(), Mask::Causal { offset });
                for query in 0..queries {
                    let position = offset + query;
                    let [k, v] = [&k, &v].map(|rows| rows.clone().narrow(2, 0, position + 1));
                    let single = q.clone().narrow(2, query, 1);
                    let single = host(Flex::attention(single, k, v, Mask::Causal { offset: position }));
                    let case = (level, heads, kv_heads, head_dim, query);
                    assert_eq!(host(batched.clone().narrow(2, query, 1)), single, "{case:?}");
                }
            });
        }
    }
}
