//! The portable kernels on small slices against plain loops. They are few and small, so that Miri can run them; larger
//! sizes and the other levels of instructions are tested in `kernels/flex/tests.rs`.
#![allow(clippy::unwrap_used)]

use half::f16;

use super::*;
use crate::kernels::{Mask, QuantizedData};
use crate::quant::{Codebook, PANEL, QuantFormat};

fn noise(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn assert_close(given: &[f32], expected: &[f32]) {
    assert_eq!(given.len(), expected.len());
    let largest = expected.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    for (index, (given, expected)) in given.iter().zip(expected).enumerate() {
        assert!((given - expected).abs() <= 1e-5 * largest.max(1e-3), "{index}: {given} and {expected}");
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What the codes stand for, by the description of the layout.
fn unpacked(data: &QuantizedData) -> Vec<f32> {
    let QuantFormat { levels, group } = data.format;
    let groups = data.width.div_ceil(group);
    let weight = |row: usize, column: usize| {
        let (index, column) = (row / PANEL * groups + column / group, column % group);
        let block = &data.codes[index * data.format.block_bytes()..];
        let level = match levels.of_four_bits() {
            Some(levels) => {
                let byte = block[column / 8 * 4 * PANEL + row % PANEL * 4 + column % 4];
                f32::from(levels[usize::from(byte >> (column / 4 % 2 * 4) & 15)])
            }
            None => f32::from(block[column / 4 * 4 * PANEL + row % PANEL * 4 + column % 4]) - 128.0,
        };
        level * data.scales[index * PANEL + row % PANEL].to_f32() / 128.0
    };
    (0..data.rows).flat_map(|row| (0..data.width).map(move |column| (row, column))).map(|(r, c)| weight(r, c)).collect()
}

#[test]
fn products_with_packed_weights() {
    for (levels, rows_of_x, rows, width) in [
        (Codebook::Normal4, 1, 33, 70),
        (Codebook::Linear8, 2, 64, 64),
        (Codebook::Linear4, 7, 64, 33),
        (Codebook::Normal4, 9, 5, 130),
    ] {
        let format = QuantFormat { levels, group: 32 };
        let weights = noise(1, rows * width);
        let (data, _) =
            quantize_matrix([rows, width], format, |row, to| to.copy_from_slice(&weights[row * width..][..width]))
                .unwrap();
        // Activations that bytes hold exactly.
        let x: Vec<f32> = noise(2, rows_of_x * width).iter().map(|x| (x * 127.0).round()).collect();
        let x: Vec<f32> = x
            .chunks(width)
            .flat_map(|row| row.iter().enumerate().map(|(at, x)| if at % 32 == 0 { 127.0 } else { *x }))
            .collect();
        let bias = noise(3, rows);
        let mut activations = Activations::default();
        activations.fill(SimdLevel::Portable, &x, rows_of_x, width, format.group);
        let matrix = Matrix { codes: &data.codes, scales: &data.scales, rows, format };
        let mut out = vec![0.0; rows_of_x * rows];
        multiply(SimdLevel::Portable, &activations, matrix, Some(&bias), &mut out);
        let weights = unpacked(&data);
        let product = |x: &[f32], row: usize| bias[row] + dot(x, &weights[row * width..][..width]);
        let expected: Vec<f32> =
            x.chunks(width).flat_map(|x| (0..rows).map(|row| product(x, row)).collect::<Vec<_>>()).collect();
        assert_close(&out, &expected);
        if rows == 2 * PANEL {
            let mut out = vec![0.0; rows_of_x * PANEL];
            multiply_gated(SimdLevel::Portable, &activations, matrix, Some(&bias), &mut out);
            let gated = |row: &[f32]| {
                (0..PANEL).map(|at| row[at] / (1.0 + (-row[at]).exp()) * row[PANEL + at]).collect::<Vec<_>>()
            };
            assert_close(&out, &expected.chunks(rows).flat_map(gated).collect::<Vec<_>>());
        }
    }
}

#[test]
fn laid_out_codes_are_in_their_places() {
    let format = QuantFormat { levels: Codebook::Linear8, group: 32 };
    let (rows, width) = (35, 64);
    let code = |row: usize, column: usize| ((row * 31 + column * 7) % 256) as u8;
    let data = repack_matrix([rows, width], format, |row, codes, scales| {
        codes.iter_mut().enumerate().for_each(|(column, to)| *to = code(row, column));
        scales.fill(f16::from_f32(128.0));
        Some(RoundingError::default())
    });
    let (data, _) = data.unwrap();
    let expected: Vec<f32> = (0..rows * width).map(|at| f32::from(code(at / width, at % width)) - 128.0).collect();
    assert_eq!(unpacked(&data), expected);
}

#[test]
fn products_with_stored_weights() {
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
fn attention_with_and_without_layout() {
    for (heads, kv_heads, queries, keys, head_dim) in [(2, 1, 1, 5, 16), (2, 1, 20, 21, 16), (2, 2, 3, 66, 7)] {
        let q = noise(7, queries * heads * head_dim);
        let (k, v) = (noise(8, kv_heads * keys * head_dim), noise(9, kv_heads * keys * head_dim));
        let sizes = Sizes { batch: 1, heads, kv_heads, queries, keys, head_dim };
        let offset = keys - queries;
        // Queries lie as a projection gives them, keys and values head by head.
        let of_q = Heads { values: &q[..], offset: 0, strides: [0, head_dim, heads * head_dim] };
        let of =
            |values| Keys { rows: Heads { values, offset: 0, strides: [0, keys * head_dim, head_dim] }, scales: None };
        let mut out = vec![0.0; q.len()];
        attend::<f32>(SimdLevel::Portable, sizes, of_q, of(&k), of(&v), Mask::Causal { offset }, &mut out);
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
fn rows_are_normed_turned_and_gated() {
    let (count, width) = (2, 24);
    let (x, y, weight) = (noise(10, count * width), noise(11, count * width), noise(12, width));
    let rows = |values| Rows { values, width, stride: width };
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
    let turned = |at: usize| {
        let (start, angle) = (at / 12 * 12, angles[at / width * 6 + at % 6]);
        match at % 12 {
            0..6 => x[at] * angle.cos() - x[start + at % 6 + 6] * angle.sin(),
            _ => x[at] * angle.cos() + x[start + at % 6] * angle.sin(),
        }
    };
    assert_close(&out, &(0..count * width).map(turned).collect::<Vec<_>>());
}
