//! Tests of the portable kernels against plain loops, few and small enough for Miri. Larger sizes and the other SIMD
//! levels are tested in `kernels/flex/tests.rs`.
#![allow(clippy::unwrap_used)]

use half::f16;

use super::*;
use crate::kernels::{Mask, QuantizedData};
use crate::quant::{Codebook, PANEL_ROWS, QuantFormat};

fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn assert_close(actual: &[f32], expected: &[f32]) {
    assert_eq!(actual.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |max, x| max.max(x.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        assert!((actual - expected).abs() <= 1e-5 * largest.max(1e-3), "{index}: {actual}, expected {expected}");
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The weights of a quantized matrix, computed from the description of the layout.
fn dequantized(data: &QuantizedData) -> Vec<f32> {
    let QuantFormat { codebook, group } = data.format;
    let groups = data.width.div_ceil(group);
    let weight = |row: usize, column: usize| {
        let (index, column) = (row / PANEL_ROWS * groups + column / group, column % group);
        let block = &data.codes[index * data.format.block_bytes()..];
        let level = match codebook.lookup_table() {
            Some(table) => {
                let byte = block[column / 8 * 4 * PANEL_ROWS + row % PANEL_ROWS * 4 + column % 4];
                f32::from(table[usize::from(byte >> (column / 4 % 2 * 4) & 15)])
            }
            None => f32::from(block[column / 4 * 4 * PANEL_ROWS + row % PANEL_ROWS * 4 + column % 4]) - 128.0,
        };
        level * data.scales[index * PANEL_ROWS + row % PANEL_ROWS].to_f32() / 128.0
    };
    (0..data.rows).flat_map(|row| (0..data.width).map(move |column| (row, column))).map(|(r, c)| weight(r, c)).collect()
}

#[test]
fn products_with_quantized_weights_match_plain_loops() {
    for (codebook, x_rows, rows, width) in [
        (Codebook::Normal4, 1, 33, 70),
        (Codebook::Linear8, 2, 64, 64),
        (Codebook::Linear4, 7, 64, 33),
        (Codebook::Normal4, 9, 5, 130),
    ] {
        let format = QuantFormat { codebook, group: 32 };
        let weights = noise(1, rows * width);
        let (data, _) = quantize_matrix([rows, width], format, |row, output| {
            output.copy_from_slice(&weights[row * width..][..width])
        })
        .unwrap();
        // Activations that are exactly representable in 8 bits.
        let x: Vec<f32> = noise(2, x_rows * width).iter().map(|x| (x * 127.0).round()).collect();
        let x: Vec<f32> = x
            .chunks(width)
            .flat_map(|row| row.iter().enumerate().map(|(at, x)| if at % 32 == 0 { 127.0 } else { *x }))
            .collect();
        let bias = noise(3, rows);
        let mut activations = Activations::default();
        activations.quantize(SimdLevel::Portable, &x, x_rows, width, format.group);
        let matrix = Matrix { codes: &data.codes, scales: &data.scales, rows, format };
        let mut out = vec![0.0; x_rows * rows];
        multiply(SimdLevel::Portable, &activations, matrix, Some(&bias), &mut out);
        let weights = dequantized(&data);
        let product = |x: &[f32], row: usize| bias[row] + dot(x, &weights[row * width..][..width]);
        let expected: Vec<f32> =
            x.chunks(width).flat_map(|x| (0..rows).map(|row| product(x, row)).collect::<Vec<_>>()).collect();
        assert_close(&out, &expected);
        if rows == 2 * PANEL_ROWS {
            let mut out = vec![0.0; x_rows * PANEL_ROWS];
            multiply_gated(SimdLevel::Portable, &activations, matrix, Some(&bias), &mut out);
            let gated = |row: &[f32]| {
                (0..PANEL_ROWS).map(|at| row[at] / (1.0 + (-row[at]).exp()) * row[PANEL_ROWS + at]).collect::<Vec<_>>()
            };
            assert_close(&out, &expected.chunks(rows).flat_map(gated).collect::<Vec<_>>());
        }
    }
}

#[test]
fn repacked_codes_follow_the_documented_layout() {
    let format = QuantFormat { codebook: Codebook::Linear8, group: 32 };
    let (rows, width) = (35, 64);
    let code = |row: usize, column: usize| ((row * 31 + column * 7) % 256) as u8;
    let data = repack_matrix([rows, width], format, |row, codes, scales| {
        codes.iter_mut().enumerate().for_each(|(column, output)| *output = code(row, column));
        scales.fill(f16::from_f32(128.0));
        Some(QuantizationError::default())
    });
    let (data, _) = data.unwrap();
    let expected: Vec<f32> = (0..rows * width).map(|at| f32::from(code(at / width, at % width)) - 128.0).collect();
    assert_eq!(dequantized(&data), expected);
}

#[test]
fn products_with_unquantized_weights_match_plain_loops() {
    for (rows, columns, width) in [(1, 3, 40), (5, 7, 17)] {
        let (x, weight, bias) = (noise(4, rows * width), noise(5, columns * width), noise(6, columns));
        let mut out = vec![0.0; rows * columns];
        multiply_dense(SimdLevel::Portable, &x, rows, &weight, Some(&bias), &mut out);
        let product = |x: &[f32], column: usize| bias[column] + dot(x, &weight[column * width..][..width]);
        let expected: Vec<f32> =
            x.chunks(width).flat_map(|x| (0..columns).map(|column| product(x, column)).collect::<Vec<_>>()).collect();
        assert_close(&out, &expected);
    }
}

#[test]
fn attention_with_and_without_repacking_matches_plain_loops() {
    for (heads, kv_heads, queries, keys, head_dim) in [(2, 1, 1, 5, 16), (2, 1, 20, 21, 16), (2, 2, 3, 66, 7)] {
        let q = noise(7, queries * heads * head_dim);
        let (k, v) = (noise(8, kv_heads * keys * head_dim), noise(9, kv_heads * keys * head_dim));
        let sizes = Sizes { batch: 1, heads, kv_heads, queries, keys, head_dim };
        let offset = keys - queries;
        // Queries are row by row, as projections output them; keys and values head by head, as in the cache.
        let q_view = HeadsView { values: &q[..], offset: 0, strides: [0, head_dim, heads * head_dim] };
        let kv_strides = [0, keys * head_dim, head_dim];
        let kv_view = |values| KvView { rows: HeadsView { values, offset: 0, strides: kv_strides }, scales: None };
        let mut out = vec![0.0; q.len()];
        attend::<f32>(SimdLevel::Portable, sizes, q_view, kv_view(&k), kv_view(&v), Mask::Causal { offset }, &mut out);
        let mut expected = Vec::new();
        for (query, head) in (0..queries).flat_map(|query| (0..heads).map(move |head| (query, head))) {
            let q = &q[(query * heads + head) * head_dim..][..head_dim];
            let row = |values: &[f32], key: usize| {
                values[(head / (heads / kv_heads) * keys + key) * head_dim..][..head_dim].to_vec()
            };
            let weights: Vec<f32> =
                (0..=offset + query).map(|key| (dot(q, &row(&k, key)) / (head_dim as f32).sqrt()).exp()).collect();
            let total: f32 = weights.iter().sum();
            expected.extend((0..head_dim).map(|at| {
                weights.iter().enumerate().map(|(key, weight)| weight / total * row(&v, key)[at]).sum::<f32>()
            }));
        }
        assert_close(&out, &expected);
    }
}

#[test]
fn row_wise_operations_match_plain_loops() {
    let (count, width) = (2, 24);
    let (x, y, weight) = (noise(10, count * width), noise(11, count * width), noise(12, width));
    let rows = |values| RowsView { values, width, stride: width };
    let mut out = vec![0.0; count * width];
    rms_norm(SimdLevel::Portable, rows(&x), &weight, 1e-6, &mut out);
    let norm = |row: &[f32]| {
        let root = (dot(row, row) / width as f32 + 1e-6).sqrt();
        row.iter().zip(&weight).map(|(x, w)| x / root * w).collect::<Vec<_>>()
    };
    assert_close(&out, &x.chunks(width).flat_map(norm).collect::<Vec<_>>());
    swiglu(SimdLevel::Portable, rows(&x), rows(&y), &mut out);
    assert_close(&out, &x.iter().zip(&y).map(|(x, y)| x / (1.0 + (-x).exp()) * y).collect::<Vec<_>>());
    // Two heads of 12 values; both halves of a head have the same angles.
    let angles: Vec<f32> = noise(13, count * 6).iter().map(|x| x * 3.0).collect();
    let table = |f: fn(f32) -> f32| angles.chunks(6).flat_map(|row| [row, row].concat()).map(f).collect::<Vec<_>>();
    rope(SimdLevel::Portable, rows(&x), &table(f32::cos), &table(f32::sin), 12, &mut out);
    let rotated = |at: usize| {
        let (start, angle) = (at / 12 * 12, angles[at / width * 6 + at % 6]);
        match at % 12 {
            0..6 => x[at] * angle.cos() - x[start + at % 6 + 6] * angle.sin(),
            _ => x[at] * angle.cos() + x[start + at % 6] * angle.sin(),
        }
    };
    assert_close(&out, &(0..count * width).map(rotated).collect::<Vec<_>>());
}
