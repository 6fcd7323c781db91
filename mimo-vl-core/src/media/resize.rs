//! 8-bit antialiased bicubic resizing, width first and then height.

use std::borrow::Cow;

use rayon::prelude::*;

use crate::error::{Error, Result};

/// The library whose bicubic arithmetic is reproduced byte for byte: they differ in the rounding of the kernel's
/// weights.
///
/// The reference resizes images with Pillow and video frames with torchvision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bicubic {
    /// Weights in steps of 2⁻²², as in Pillow before version 13.
    Pillow,
    /// Weights in the finest steps with which the largest weight fits 16 bits, as in torchvision on 8-bit tensors.
    Torchvision,
}

/// Resizes RGB pixels without gaps between the rows, `[height, width, 3]`, to (`new_height`, `new_width`).
///
/// The kernel is the cubic convolution of Keys with a = −0.5, widened by the scale factor when an axis shrinks. It runs
/// along the rows and then along the columns, and the values are rounded to 8 bits after each. An axis of unchanged
/// size is skipped: the kernel would not change a byte. Pixels of unchanged size are borrowed.
///
/// # Errors
/// [`Error::Internal`] when `pixels` does not hold `3 * height * width` bytes or a side is 0.
pub fn resize<'a>(
    pixels: &'a [u8],
    (height, width): (usize, usize),
    (new_height, new_width): (usize, usize),
    bicubic: Bicubic,
) -> Result<Cow<'a, [u8]>> {
    let bytes = height.checked_mul(width).and_then(|count| count.checked_mul(3));
    if bytes != Some(pixels.len()) || [height, width, new_height, new_width].contains(&0) {
        return Err(Error::internal(format!(
            "resize of {} bytes from {height}x{width} to {new_height}x{new_width}",
            pixels.len()
        )));
    }
    let mut resized = Cow::Borrowed(pixels);
    if new_width != width {
        resized = Cow::Owned(along_rows(&resized, width, &Taps::new(width, new_width, bicubic)));
    }
    if new_height != height {
        resized = Cow::Owned(along_columns(&resized, new_width, &Taps::new(height, new_height, bicubic)));
    }
    Ok(resized)
}

/// The inputs and weights of every output along one axis.
struct Taps {
    /// First input of every output, and the range of its weights.
    spans: Vec<(usize, std::ops::Range<usize>)>,
    /// Weights in multiples of 2^−`bits`.
    weights: Vec<i32>,
    bits: u32,
}

impl Taps {
    fn new(inputs: usize, outputs: usize, bicubic: Bicubic) -> Self {
        let scale = inputs as f64 / outputs as f64;
        let widen = scale.max(1.0);
        let support = 2.0 * widen;
        let (mut spans, mut exact) = (Vec::with_capacity(outputs), Vec::new());
        for output in 0..outputs {
            let centre = (output as f64 + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(inputs);
            let start = exact.len();
            exact.extend((first..end).map(|input| keys((input as f64 - centre + 0.5) * (1.0 / widen))));
            let sum: f64 = exact[start..].iter().sum();
            exact[start..].iter_mut().for_each(|weight| *weight /= sum);
            spans.push((first, start..exact.len()));
        }
        let bits = match bicubic {
            Bicubic::Pillow => PILLOW_BITS,
            Bicubic::Torchvision => torchvision_bits(&exact),
        };
        let unit = f64::from(1 << bits);
        let weights = exact.iter().map(|weight| (weight * unit + 0.5_f64.copysign(*weight)) as i32).collect();
        Self { spans, weights, bits }
    }

    /// The first input and the weights of every output.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.spans.iter().map(|(first, range)| (*first, &self.weights[range.clone()]))
    }

    /// Initial value of a sum: with it, dropping the fraction rounds to nearest.
    fn half(&self) -> i32 {
        1 << (self.bits - 1)
    }

    fn to_byte(&self, sum: i32) -> u8 {
        (sum >> self.bits).clamp(0, 255) as u8
    }
}

/// Fraction bits of Pillow's weights: 32 bits less 8 for the value and 2 for weights above 1 and below 0.
const PILLOW_BITS: u32 = 22;

/// Fraction bits of torchvision's weights: as many as let the largest weight fit a signed 16-bit number.
fn torchvision_bits(weights: &[f64]) -> u32 {
    let largest = weights.iter().copied().fold(0.0, f64::max);
    let fits = |bits: &u32| (0.5 + largest * f64::from(1 << (bits + 1))) < f64::from(1 << 15);
    (0..PILLOW_BITS).find(|bits| !fits(bits)).unwrap_or(PILLOW_BITS)
}

/// The cubic convolution kernel (Keys 1981) with a = −0.5, at a distance of `x` samples.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn along_rows(pixels: &[u8], width: usize, taps: &Taps) -> Vec<u8> {
    let line = taps.spans.len() * 3;
    let mut resized = vec![0; pixels.len() / (width * 3) * line];
    resized.par_chunks_exact_mut(line).zip(pixels.par_chunks_exact(width * 3)).for_each(|(row, source)| {
        for (pixel, (first, weights)) in row.as_chunks_mut::<3>().0.iter_mut().zip(taps.iter()) {
            let mut sums = [taps.half(); 3];
            for (&weight, input) in weights.iter().zip(&source.as_chunks::<3>().0[first..]) {
                for (sum, &value) in sums.iter_mut().zip(input) {
                    *sum += weight * i32::from(value);
                }
            }
            *pixel = sums.map(|sum| taps.to_byte(sum));
        }
    });
    resized
}

fn along_columns(pixels: &[u8], width: usize, taps: &Taps) -> Vec<u8> {
    let line = width * 3;
    let mut resized = vec![0; taps.spans.len() * line];
    resized.par_chunks_exact_mut(line).zip(&taps.spans).for_each_init(
        || vec![0; line],
        |sums, (row, (first, range))| {
            sums.fill(taps.half());
            for (&weight, source) in taps.weights[range.clone()].iter().zip(pixels[first * line..].chunks_exact(line)) {
                for (sum, &value) in sums.iter_mut().zip(source) {
                    *sum += weight * i32::from(value);
                }
            }
            for (value, &sum) in row.iter_mut().zip(sums.iter()) {
                *value = taps.to_byte(sum);
            }
        },
    );
    resized
}
