//! Weights rounded to the levels of a format, with the scale of each group searched for the smallest squared error.

use half::f16;

use super::isa::{Isa, Kernel};
use super::{Level, run};
use crate::kernels::packed::{Levels, UNIT};

/// Where the largest weight of a group is tried among the levels of [`Levels::Normal4`], which are not symmetric;
/// the smaller ones let it be cut off, for the sake of the others.
const TRIED_NORMAL: [f32; 6] = [-135.0, -127.0, -115.0, 100.0, 113.0, 125.0];
/// The same for [`Levels::Linear4`].
const TRIED_LINEAR: [f32; 6] = [-136.0, -128.0, -116.0, 104.0, 114.0, 124.0];

/// Round one group: its codes into `codes`, and its scale.
///
/// `weights` are a multiple of 16 finite values of at most 65,000 in size.
pub(in crate::kernels) fn round_group(level: Level, weights: &[f32], levels: Levels, codes: &mut [u8]) -> f16 {
    assert!(weights.len() == codes.len() && weights.len() % 16 == 0);
    run(level, Group { weights, levels, codes })
}

struct Group<'a> {
    weights: &'a [f32],
    levels: Levels,
    codes: &'a mut [u8],
}

impl Kernel for Group<'_> {
    type Output = f16;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> f16 {
        let largest = self.weights.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        if largest == 0.0 {
            self.codes.fill(self.levels.zero());
            return f16::ZERO;
        }
        match self.levels.of_four_bits() {
            None => {
                let scale = f16::from_f32(largest.abs() / 127.0 / UNIT);
                let inverse = 1.0 / (scale.to_f32() * UNIT).max(f32::MIN_POSITIVE);
                for (code, w) in self.codes.iter_mut().zip(self.weights) {
                    *code = ((w * inverse).round_ties_even().clamp(-127.0, 127.0) as i32 + 128) as u8;
                }
                scale
            }
            Some(levels) => {
                let steps = Steps::new(levels);
                let tried = if self.levels == Levels::Normal4 { TRIED_NORMAL } else { TRIED_LINEAR };
                // SAFETY: the weights are a multiple of every level's lanes.
                let fit = |scale: f16| unsafe { steps.fit::<I>(self.weights, scale) };
                let mut best = Fit { error: f32::INFINITY, scale: f16::ZERO, refined: f16::ZERO };
                for level in tried {
                    let fit = fit(f16::from_f32(largest / level / UNIT));
                    if fit.error < best.error {
                        best = fit;
                    }
                }
                let refined = fit(best.refined);
                if refined.error < best.error {
                    best = refined;
                }
                let inverse = inverse(best.scale);
                for (code, w) in self.codes.iter_mut().zip(self.weights) {
                    *code = steps.middles.iter().filter(|&&middle| w * inverse >= middle).count() as u8;
                }
                best.scale
            }
        }
    }
}

fn inverse(scale: f16) -> f32 {
    let scale = scale.to_f32() * UNIT;
    if scale == 0.0 { 0.0 } else { 1.0 / scale }
}

struct Fit {
    /// Sum of squares.
    error: f32,
    scale: f16,
    /// The best scale for the same codes.
    refined: f16,
}

/// Levels as the lowest one and what each of fifteen thresholds adds.
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
                    level = I::add(level, I::keep_above(x, I::splat(middle), I::splat(gap)));
                }
                let off = I::sub(x, level);
                error = I::fma(off, off, error);
                mixed = I::fma(x, level, mixed);
                squares = I::fma(level, level, squares);
            }
            let unit = scale.to_f32() * UNIT;
            let refined = scale.to_f32() * (I::sum(mixed) / I::sum(squares).max(f32::MIN_POSITIVE));
            let error = if inverse == 0.0 { f32::INFINITY } else { I::sum(error) * unit * unit };
            Fit { error, scale, refined: f16::from_f32(refined) }
        }
    }
}
