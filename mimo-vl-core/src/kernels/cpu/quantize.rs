//! WeightFormat rounded to the levels of a format, with the scale of each group searched for the smallest squared error.

use half::f16;

use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::split;
use super::{SimdLevel, run};
use crate::kernels::quantized::{QuantizedData, UNIT};
use crate::quant::{Codebook, PANEL, QuantFormat};

/// Where the largest weight of a group is tried among the levels of [`Codebook::Normal4`], which are not symmetric;
/// the smaller ones let it be cut off, for the sake of the others.
const TRIED_NORMAL: [f32; 6] = [-135.0, -127.0, -115.0, 100.0, 113.0, 125.0];
/// The same for [`Codebook::Linear4`].
const TRIED_LINEAR: [f32; 6] = [-136.0, -128.0, -116.0, 104.0, 114.0, 124.0];

/// Largest weight that a scale can stand for.
const LARGEST: f32 = 60_000.0;

/// What rounding did to a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct RoundingError {
    /// Sum of the squared differences.
    pub squared_error: f64,
    /// Sum of the squared weights.
    pub squared_sum: f64,
}

impl RoundingError {
    /// `‖rounded − weights‖ / ‖weights‖`, 0 for no weights.
    pub fn relative(self) -> f64 {
        if self.squared_sum > 0.0 { (self.squared_error / self.squared_sum).sqrt() } else { 0.0 }
    }
}

impl std::ops::Add for RoundingError {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            squared_error: self.squared_error + other.squared_error,
            squared_sum: self.squared_sum + other.squared_sum,
        }
    }
}

/// Pack a matrix of `rows` and `width`, with all threads; `row` gives the codes and scales of one row's groups, which
/// are 0 before it, and what was lost, or `None` when the row cannot be quantized.
///
/// # Errors
/// The first row that cannot be quantized.
pub fn repack_matrix(
    [rows, width]: [usize; 2],
    format: QuantFormat,
    row: impl Fn(usize, &mut [u8], &mut [f16]) -> Option<RoundingError> + Sync,
) -> Result<(QuantizedData, RoundingError), usize> {
    let mut data = QuantizedData::zeros(rows, width, format);
    let (panels, groups) = (rows.div_ceil(PANEL), width.div_ceil(format.group));
    let (codes_of_panel, scales_of_panel) = (groups * format.block_bytes(), groups * PANEL);
    let mut lost = vec![Some(RoundingError::default()); rows];
    let (codes, scales) = (Disjoint::new(&mut data.codes), Disjoint::new(&mut data.scales));
    let losses = Disjoint::new(&mut lost);
    split(panels, 1, |panels| {
        let (mut codes_of_row, mut scales_of_row) = (vec![0; groups * format.group], vec![f16::ZERO; groups]);
        for panel in panels {
            let lanes = panel * PANEL..rows.min((panel + 1) * PANEL);
            // SAFETY: each panel is in one part.
            let (codes, scales, losses) = unsafe {
                let codes = codes.part(panel * codes_of_panel..(panel + 1) * codes_of_panel);
                let scales = scales.part(panel * scales_of_panel..(panel + 1) * scales_of_panel);
                (codes, scales, losses.part(lanes.clone()))
            };
            for (lane, (index, lost)) in lanes.zip(losses).enumerate() {
                codes_of_row.fill(0);
                scales_of_row.fill(f16::ZERO);
                *lost = row(index, &mut codes_of_row, &mut scales_of_row);
                let blocks = codes.chunks_exact_mut(format.block_bytes());
                for ((index, codes), block) in codes_of_row.chunks_exact(format.group).enumerate().zip(blocks) {
                    scales[index * PANEL + lane] = scales_of_row[index];
                    format.put(block, lane, codes);
                }
            }
        }
    });
    let mut sum = RoundingError::default();
    for (row, lost) in lost.into_iter().enumerate() {
        sum = sum + lost.ok_or(row)?;
    }
    Ok((data, sum))
}

/// Round and quantize_matrix a matrix of `rows` and `width`, with all threads; `read` gives one row's weights.
///
/// # Errors
/// The first row with a weight that is not finite or above 60,000 in size.
pub fn quantize_matrix(
    [rows, width]: [usize; 2],
    format: QuantFormat,
    read: impl Fn(usize, &mut [f32]) + Sync,
) -> Result<(QuantizedData, RoundingError), usize> {
    let level = SimdLevel::current();
    repack_matrix([rows, width], format, |row, codes, scales| {
        let mut weights = vec![0.0; codes.len()];
        read(row, &mut weights[..width]);
        if !weights.iter().all(|weight| weight.abs() <= LARGEST) {
            return None;
        }
        let groups = weights.chunks_exact(format.group).zip(codes.chunks_exact_mut(format.group));
        Some(groups.zip(scales).fold(RoundingError::default(), |sum, ((weights, codes), scale)| {
            let lost;
            (*scale, lost) = run(level, Group { weights, levels: format.levels, codes });
            sum + lost
        }))
    })
}

/// WeightFormat, a multiple of every level's lanes, and as many codes.
struct Group<'a> {
    weights: &'a [f32],
    levels: Codebook,
    codes: &'a mut [u8],
}

impl Kernel for Group<'_> {
    type Output = (f16, RoundingError);

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> (f16, RoundingError) {
        let Self { weights, levels, codes } = self;
        let largest = weights.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        if largest == 0.0 {
            codes.fill(levels.zero());
            return (f16::ZERO, RoundingError::default());
        }
        let (scale, error) = match levels.of_four_bits() {
            None => {
                let scale = f16::from_f32(largest.abs() / 127.0 / UNIT);
                let (inverse, unit) = (inverse(scale), scale.to_f32() * UNIT);
                let mut error = 0.0;
                for (code, w) in codes.iter_mut().zip(weights) {
                    let level = (w * inverse).round_ties_even().clamp(-127.0, 127.0);
                    *code = (level as i32 + 128) as u8;
                    error += (level * unit - w) * (level * unit - w);
                }
                (scale, error)
            }
            Some(of_codes) => {
                let steps = Steps::new(of_codes);
                let tried = if levels == Codebook::Normal4 { TRIED_NORMAL } else { TRIED_LINEAR };
                // SAFETY: the weights are a multiple of every level's lanes.
                let fit = |scale: f16| unsafe { steps.fit::<I>(weights, scale) };
                let mut best = fit(f16::from_f32(largest / tried[0] / UNIT));
                for level in &tried[1..] {
                    let fit = fit(f16::from_f32(largest / level / UNIT));
                    if fit.error < best.error {
                        best = fit;
                    }
                }
                let refined = fit(best.refined);
                if refined.error < best.error {
                    best = refined;
                }
                // SAFETY: as above, and there are as many codes.
                unsafe { steps.codes::<I>(weights, best.scale, codes) };
                (best.scale, best.error)
            }
        };
        let squared_sum = f64::from(weights.iter().map(|w| w * w).sum::<f32>());
        (scale, RoundingError { squared_error: f64::from(error), squared_sum })
    }
}

fn inverse(scale: f16) -> f32 {
    let scale = scale.to_f32() * UNIT;
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

#[derive(Clone, Copy)]
struct Fit {
    /// Sum of the squared differences.
    error: f32,
    scale: f16,
    /// The best scale for the same codes.
    refined: f16,
}

/// Codebook as the lowest one and what each of fifteen thresholds adds.
struct Steps {
    lowest: f32,
    middles: [f32; 15],
    gaps: [f32; 15],
}

impl Steps {
    fn new(levels: &[i8; 16]) -> Self {
        let level = |index: usize| f32::from(levels[index]);
        Self {
            lowest: level(0),
            middles: std::array::from_fn(|index| (level(index) + level(index + 1)) / 2.0),
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
                for (&middle, &gap) in self.middles.iter().zip(&self.gaps) {
                    level = I::add_above(level, x, I::splat(middle), I::splat(gap));
                }
                let off = I::sub(x, level);
                error = I::fma(off, off, error);
                mixed = I::fma(x, level, mixed);
                squares = I::fma(level, level, squares);
            }
            let unit = scale.to_f32() * UNIT;
            let refined = scale.to_f32() * (I::sum(mixed) / I::sum(squares).max(f32::MIN_POSITIVE));
            let error = if inverse == 0.0 {
                // No scale of f16 is that small: all become 0.
                weights.iter().map(|w| w * w).sum()
            } else {
                I::sum(error) * unit * unit
            };
            Fit { error, scale, refined: f16::from_f32(refined) }
        }
    }

    /// How many thresholds each weight reaches.
    #[inline(always)]
    unsafe fn codes<I: Isa>(&self, weights: &[f32], scale: f16, codes: &mut [u8]) {
        let inverse = inverse(scale);
        // SAFETY: as for this function.
        unsafe {
            for at in (0..weights.len()).step_by(I::LANES) {
                let x = I::mul(I::load(weights.as_ptr().add(at)), I::splat(inverse));
                let mut code = I::zero();
                for &middle in &self.middles {
                    code = I::add_above(code, x, I::splat(middle), I::splat(1.0));
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

    /// WeightFormat as trained ones are spread: nearly normal.
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

    fn quantized(weights: &[f32], width: usize, format: QuantFormat) -> (QuantizedData, RoundingError) {
        let rows = weights.len() / width;
        quantize_matrix([rows, width], format, |row, to| to.copy_from_slice(&weights[row * width..][..width])).unwrap()
    }

    /// RoundingError to Q4_0 as llama.cpp does it: groups of 32, the largest weight at −8.
    fn q4_0(weights: &[f32]) -> f64 {
        let groups = weights.chunks_exact(32).map(|group| {
            let largest = group.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
            let inverse = if largest == 0.0 { 0.0 } else { -8.0 / largest };
            let scale = f16::from_f32(largest / -8.0).to_f32();
            let error = |w: &f32| f64::from(((w * inverse + 8.5).floor().min(15.0) - 8.0) * scale - w).powi(2);
            group.iter().map(error).sum::<f64>()
        });
        groups.sum()
    }

    #[test]
    #[cfg_attr(miri, ignore = "a statement about many weights, which take Miri minutes")]
    fn four_bits_lose_less_than_q4_0_in_fewer_bytes() {
        let weights = normal(256 * 1024);
        let format = QuantFormat { levels: Codebook::Normal4, group: 64 };
        let (_, rounding) = quantized(&weights, 1024, format);
        let ratio = rounding.squared_error / q4_0(&weights);
        assert!(ratio < 0.93, "{ratio}");
        assert!(format.bytes(256, 1024) < 256 * 1024 / 32 * 18);
        let (_, linear) = quantized(&weights, 1024, QuantFormat { levels: Codebook::Linear4, group: 32 });
        assert!(linear.squared_error < q4_0(&weights), "searched scales are no worse than the largest weight's");
    }

    #[test]
    fn eight_bits_are_close() {
        let (_, rounding) = quantized(
            &normal(if cfg!(miri) { 128 } else { 64 * 128 }),
            128,
            QuantFormat { levels: Codebook::Linear8, group: 64 },
        );
        assert!(rounding.relative() < 0.006, "{}", rounding.relative());
        assert!(rounding.relative() > 0.002, "{}", rounding.relative());
    }

    #[test]
    fn every_level_of_instructions_rounds_alike() {
        let weights = normal(if cfg!(miri) { 100 } else { 33 * 100 });
        for levels in [Codebook::Normal4, Codebook::Linear4, Codebook::Linear8] {
            let format = QuantFormat { levels, group: 32 };
            let (expected, _) = SimdLevel::Portable.force(|| quantized(&weights, 100, format));
            for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
                // Sums in another order may choose another scale where two are equally good.
                let (given, _) = level.force(|| quantized(&weights, 100, format));
                let differing = given.scales.iter().zip(&expected.scales).filter(|(a, b)| a != b).count();
                assert!(differing * 50 <= given.scales.len(), "{level:?}: {differing} of {}", given.scales.len());
            }
        }
    }

    #[test]
    fn zeros_tiny_and_large_weights() {
        for levels in [Codebook::Normal4, Codebook::Linear4, Codebook::Linear8] {
            let format = QuantFormat { levels, group: 64 };
            assert_eq!(quantized(&[0.0; 128], 64, format).1, RoundingError::default());
            for size in [1e-12, 1e-6, 1.0, 30_000.0] {
                let weights: Vec<f32> =
                    normal(if cfg!(miri) { 64 } else { 4096 }).iter().map(|w| w * 10.0 * size).collect();
                let (_, rounding) = quantized(&weights, 64, format);
                let limit = if size < 1e-7 { 1.0 } else { 0.12 };
                assert!(rounding.relative() <= limit, "{levels:?} {size}: {}", rounding.relative());
            }
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_with_its_row() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30] {
            let mut weights = normal(64 * 3);
            weights[64 + 7] = bad;
            let format = QuantFormat { levels: Codebook::Normal4, group: 64 };
            let result = quantize_matrix([3, 64], format, |row, to| to.copy_from_slice(&weights[row * 64..][..64]));
            assert_eq!(result.unwrap_err(), 1, "{bad}");
        }
    }
}
