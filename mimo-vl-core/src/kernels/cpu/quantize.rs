//! Quantization of weights to the levels of a codebook. The scale of each group is searched for the smallest squared
//! error.

use half::f16;

use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::simd_level::{SimdLevel, run};
use crate::kernels::quantized::{LEVEL_SCALE, QuantizedData};
use crate::quant::{Codebook, PANEL_ROWS, QuantFormat};

/// Candidate levels for the largest weight of a group with [`Codebook::Normal4`], which is not symmetric. A candidate
/// beyond the codebook's range clips the largest weight, which makes the others more precise.
const NORMAL4_CANDIDATES: [f32; 6] = [-135.0, -127.0, -115.0, 100.0, 113.0, 125.0];
/// Candidate levels for [`Codebook::Linear4`].
const LINEAR4_CANDIDATES: [f32; 6] = [-136.0, -128.0, -116.0, 104.0, 114.0, 124.0];

/// Largest absolute weight that can be quantized, limited by the range of f16 scales.
const MAX_WEIGHT: f32 = 60_000.0;

/// The error of a quantized matrix, for root-mean-square statistics.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct QuantizationError {
    /// Sum of the squared differences.
    pub squared_error: f64,
    /// Sum of the squared weights.
    pub squared_sum: f64,
}

impl QuantizationError {
    /// Relative error `‖quantized − weights‖ / ‖weights‖`, 0 for an empty matrix.
    pub fn relative(self) -> f64 {
        if self.squared_sum > 0.0 { (self.squared_error / self.squared_sum).sqrt() } else { 0.0 }
    }
}

impl std::ops::Add for QuantizationError {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            squared_error: self.squared_error + other.squared_error,
            squared_sum: self.squared_sum + other.squared_sum,
        }
    }
}

/// Builds a quantized matrix of `rows` × `width` from codes that are computed row by row, on all threads.
///
/// `row` fills in the codes and scales of one row's groups, which are initially 0, and returns the row's error, or
/// `None` if it cannot be quantized.
///
/// # Errors
/// The index of the first row that cannot be quantized.
pub fn repack_matrix(
    [rows, width]: [usize; 2],
    format: QuantFormat,
    row: impl Fn(usize, &mut [u8], &mut [f16]) -> Option<QuantizationError> + Sync,
) -> Result<(QuantizedData, QuantizationError), usize> {
    let mut data = QuantizedData::zeros(rows, width, format);
    let (panels, groups) = (rows.div_ceil(PANEL_ROWS), width.div_ceil(format.group));
    let (panel_codes, panel_scales) = (groups * format.block_bytes(), groups * PANEL_ROWS);
    let mut errors = vec![Some(QuantizationError::default()); rows];
    let (codes, scales) = (Disjoint::new(&mut data.codes), Disjoint::new(&mut data.scales));
    let row_errors = Disjoint::new(&mut errors);
    parallel_for(panels, 1, |panels| {
        let (mut row_codes, mut row_scales) = (vec![0; groups * format.group], vec![f16::ZERO; groups]);
        for panel in panels {
            let lanes = panel * PANEL_ROWS..rows.min((panel + 1) * PANEL_ROWS);
            // SAFETY: each panel belongs to exactly one part.
            let (codes, scales, row_errors) = unsafe {
                let codes = codes.part(panel * panel_codes..(panel + 1) * panel_codes);
                let scales = scales.part(panel * panel_scales..(panel + 1) * panel_scales);
                (codes, scales, row_errors.part(lanes.clone()))
            };
            for (lane, (index, row_error)) in lanes.zip(row_errors).enumerate() {
                row_codes.fill(0);
                row_scales.fill(f16::ZERO);
                *row_error = row(index, &mut row_codes, &mut row_scales);
                let blocks = codes.chunks_exact_mut(format.block_bytes());
                for ((index, codes), block) in row_codes.chunks_exact(format.group).enumerate().zip(blocks) {
                    scales[index * PANEL_ROWS + lane] = row_scales[index];
                    format.write_codes(block, lane, codes);
                }
            }
        }
    });
    let mut sum = QuantizationError::default();
    for (row, row_error) in errors.into_iter().enumerate() {
        sum = sum + row_error.ok_or(row)?;
    }
    Ok((data, sum))
}

/// Quantizes a matrix of `rows` × `width`, on all threads. `read` writes the weights of one row.
///
/// # Errors
/// The index of the first row with a weight that is not finite or exceeds 60,000 in absolute value.
pub fn quantize_matrix(
    [rows, width]: [usize; 2],
    format: QuantFormat,
    read: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<(QuantizedData, QuantizationError), usize> {
    let level = SimdLevel::current();
    repack_matrix([rows, width], format, |row, codes, scales| {
        let mut weights = vec![0.0; codes.len()];
        read(row, &mut weights[..width]);
        if !weights.iter().all(|weight| weight.abs() <= MAX_WEIGHT) {
            return None;
        }
        let groups = weights.chunks_exact(format.group).zip(codes.chunks_exact_mut(format.group));
        Some(groups.zip(scales).fold(QuantizationError::default(), |sum, ((weights, codes), scale)| {
            let row_error;
            (*scale, row_error) = run(level, Group { weights, codebook: format.codebook, codes });
            sum + row_error
        }))
    })
}

/// Quantizes one group. The number of weights is a multiple of every level's lanes and equals the number of codes.
struct Group<'a> {
    weights: &'a [f32],
    codebook: Codebook,
    codes: &'a mut [u8],
}

impl Kernel for Group<'_> {
    type Output = (f16, QuantizationError);

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> (f16, QuantizationError) {
        let Self { weights, codebook, codes } = self;
        let largest = weights.iter().fold(0.0_f32, |max, &w| if w.abs() > max.abs() { w } else { max });
        if largest == 0.0 {
            codes.fill(codebook.zero_point());
            return (f16::ZERO, QuantizationError::default());
        }
        let (scale, error) = match codebook.lookup_table() {
            None => {
                let scale = f16::from_f32(largest.abs() / 127.0 / LEVEL_SCALE);
                let (inverse, unit) = (inverse(scale), scale.to_f32() * LEVEL_SCALE);
                let mut error = 0.0;
                for (code, w) in codes.iter_mut().zip(weights) {
                    let level = (w * inverse).round_ties_even().clamp(-127.0, 127.0);
                    *code = (level as i32 + 128) as u8;
                    error += (level * unit - w) * (level * unit - w);
                }
                (scale, error)
            }
            Some(table) => {
                let thresholds = Thresholds::new(table);
                let candidates = if codebook == Codebook::Normal4 { NORMAL4_CANDIDATES } else { LINEAR4_CANDIDATES };
                // SAFETY: the weights are a multiple of every level's lanes.
                let fit = |scale: f16| unsafe { thresholds.fit::<I>(weights, scale) };
                let mut best = fit(f16::from_f32(largest / candidates[0] / LEVEL_SCALE));
                for level in &candidates[1..] {
                    let fit = fit(f16::from_f32(largest / level / LEVEL_SCALE));
                    if fit.error < best.error {
                        best = fit;
                    }
                }
                let refined = fit(best.refined);
                if refined.error < best.error {
                    best = refined;
                }
                // SAFETY: as above, and there is one code per weight.
                unsafe { thresholds.codes::<I>(weights, best.scale, codes) };
                (best.scale, best.error)
            }
        };
        let squared_sum = f64::from(weights.iter().map(|w| w * w).sum::<f32>());
        (scale, QuantizationError { squared_error: f64::from(error), squared_sum })
    }
}

/// `1 / (scale · LEVEL_SCALE)`, or 0 if the scale is 0.
fn inverse(scale: f16) -> f32 {
    let scale = scale.to_f32() * LEVEL_SCALE;
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

/// Result of quantizing a group with one scale.
#[derive(Clone, Copy)]
struct Fit {
    /// Sum of the squared differences.
    error: f32,
    scale: f16,
    /// Least-squares scale for the same codes.
    refined: f16,
}

/// A 4-bit codebook as its lowest level, the fifteen midpoints between adjacent levels, and the gaps between them.
struct Thresholds {
    lowest: f32,
    midpoints: [f32; 15],
    gaps: [f32; 15],
}

impl Thresholds {
    fn new(levels: &[i8; 16]) -> Self {
        let level = |index: usize| f32::from(levels[index]);
        Self {
            lowest: level(0),
            midpoints: std::array::from_fn(|index| (level(index) + level(index + 1)) / 2.0),
            gaps: std::array::from_fn(|index| level(index + 1) - level(index)),
        }
    }

    #[inline(always)]
    unsafe fn fit<I: Isa>(&self, weights: &[f32], scale: f16) -> Fit {
        let inverse = inverse(scale);
        // SAFETY: as for this function.
        unsafe {
            let (mut error, mut mixed, mut squares) = (I::zero(), I::zero(), I::zero());
            for at in (0..weights.len()).step_by(I::LANES) {
                let x = I::mul(I::load(weights.as_ptr().add(at)), I::splat(inverse));
                let mut level = I::splat(self.lowest);
                for (&midpoint, &gap) in self.midpoints.iter().zip(&self.gaps) {
                    level = I::add_above(level, x, I::splat(midpoint), I::splat(gap));
                }
                let off = I::sub(x, level);
                error = I::fma(off, off, error);
                mixed = I::fma(x, level, mixed);
                squares = I::fma(level, level, squares);
            }
            let unit = scale.to_f32() * LEVEL_SCALE;
            let refined = scale.to_f32() * (I::sum(mixed) / I::sum(squares).max(f32::MIN_POSITIVE));
            let error = if inverse == 0.0 {
                // The scale underflows f16: all weights become 0.
                weights.iter().map(|w| w * w).sum()
            } else {
                I::sum(error) * unit * unit
            };
            Fit { error, scale, refined: f16::from_f32(refined) }
        }
    }

    /// Writes the code of each weight: the number of midpoints that it reaches.
    #[inline(always)]
    unsafe fn codes<I: Isa>(&self, weights: &[f32], scale: f16, codes: &mut [u8]) {
        let inverse = inverse(scale);
        // SAFETY: as for this function.
        unsafe {
            for at in (0..weights.len()).step_by(I::LANES) {
                let x = I::mul(I::load(weights.as_ptr().add(at)), I::splat(inverse));
                let mut code = I::zero();
                for &midpoint in &self.midpoints {
                    code = I::add_above(code, x, I::splat(midpoint), I::splat(1.0));
                }
                I::store_i8(codes.as_mut_ptr().add(at).cast(), I::to_i32(code));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Weights with an approximately normal distribution, like trained ones.
    fn normal(count: usize) -> Vec<f32> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..count).map(|_| (0.02 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0)) as f32).collect()
    }

    fn quantized(weights: &[f32], width: usize, format: QuantFormat) -> (QuantizedData, QuantizationError) {
        let rows = weights.len() / width;
        quantize_matrix([rows, width], format, |row, output| output.copy_from_slice(&weights[row * width..][..width]))
            .unwrap()
    }

    /// Squared error of llama.cpp's Q4_0: groups of 32, the largest weight at level −8.
    fn q4_0_error(weights: &[f32]) -> f64 {
        let groups = weights.chunks_exact(32).map(|group| {
            let largest = group.iter().fold(0.0_f32, |max, &w| if w.abs() > max.abs() { w } else { max });
            let inverse = if largest == 0.0 { 0.0 } else { -8.0 / largest };
            let scale = f16::from_f32(largest / -8.0).to_f32();
            let error = |w: &f32| f64::from(((w * inverse + 8.5).floor().min(15.0) - 8.0) * scale - w).powi(2);
            group.iter().map(error).sum::<f64>()
        });
        groups.sum()
    }

    #[test]
    #[cfg_attr(miri, ignore = "needs many weights, which take Miri minutes")]
    fn normal4_has_a_smaller_error_than_q4_0_in_fewer_bytes() {
        let weights = normal(256 * 1024);
        let format = QuantFormat { codebook: Codebook::Normal4, group: 64 };
        let (_, error) = quantized(&weights, 1024, format);
        let ratio = error.squared_error / q4_0_error(&weights);
        assert!(ratio < 0.93, "{ratio}");
        assert!(format.bytes(256, 1024) < 256 * 1024 / 32 * 18);
        let (_, linear) = quantized(&weights, 1024, QuantFormat { codebook: Codebook::Linear4, group: 32 });
        assert!(
            linear.squared_error < q4_0_error(&weights),
            "searching the scale must not be worse than using the largest weight"
        );
    }

    #[test]
    fn eight_bit_weights_have_a_small_error() {
        let (_, error) = quantized(
            &normal(if cfg!(miri) { 128 } else { 64 * 128 }),
            128,
            QuantFormat { codebook: Codebook::Linear8, group: 64 },
        );
        assert!(error.relative() < 0.006, "{}", error.relative());
        assert!(error.relative() > 0.002, "{}", error.relative());
    }

    #[test]
    fn all_simd_levels_quantize_alike() {
        let weights = normal(if cfg!(miri) { 100 } else { 33 * 100 });
        for codebook in [Codebook::Normal4, Codebook::Linear4, Codebook::Linear8] {
            let format = QuantFormat { codebook, group: 32 };
            let (expected, _) = SimdLevel::Portable.force(|| quantized(&weights, 100, format));
            for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
                // Summation order may decide between two equally good scales.
                let (actual, _) = level.force(|| quantized(&weights, 100, format));
                let differing = actual.scales.iter().zip(&expected.scales).filter(|(a, b)| a != b).count();
                assert!(differing * 50 <= actual.scales.len(), "{level:?}: {differing} of {}", actual.scales.len());
            }
        }
    }

    #[test]
    fn zero_tiny_and_large_weights_are_quantized() {
        for codebook in [Codebook::Normal4, Codebook::Linear4, Codebook::Linear8] {
            let format = QuantFormat { codebook, group: 64 };
            assert_eq!(quantized(&[0.0; 128], 64, format).1, QuantizationError::default());
            for size in [1e-12, 1e-6, 1.0, 30_000.0] {
                let weights: Vec<f32> =
                    normal(if cfg!(miri) { 64 } else { 4096 }).iter().map(|w| w * 10.0 * size).collect();
                let (_, error) = quantized(&weights, 64, format);
                let limit = if size < 1e-7 { 1.0 } else { 0.12 };
                assert!(error.relative() <= limit, "{codebook:?} {size}: {}", error.relative());
            }
        }
    }

    #[test]
    fn weights_that_are_not_finite_are_refused_with_their_row() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let mut weights = normal(64 * 3);
            weights[64 + 7] = bad;
            let format = QuantFormat { codebook: Codebook::Normal4, group: 64 };
            let result =
                quantize_matrix([3, 64], format, |row, output| output.copy_from_slice(&weights[row * 64..][..64]));
            assert_eq!(result.unwrap_err(), 1, "{bad}");
        }
    }
}
