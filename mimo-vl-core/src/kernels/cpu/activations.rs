//! Activations quantized to signed bytes.

use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::simd_level::{SimdLevel, run};
use crate::kernels::quantized::LEVEL_SCALE;

/// Quantized rows of activations, the input of products with quantized weights. Each group of neighbouring values has
/// one scale.
#[derive(Debug, Default)]
pub(in crate::kernels) struct Activations {
    pub(super) codes: Vec<i8>,
    /// Scale of each group, multiplied by [`LEVEL_SCALE`] of the weights.
    pub(super) scales: Vec<f32>,
    /// Initial accumulator of each group: −[`Isa::OFFSET`] times the sum of its codes.
    pub(super) initial: Vec<i32>,
    pub(super) rows: usize,
    /// Groups per row. The last group is padded with zeros.
    pub(super) groups: usize,
    /// Values per group.
    pub(super) group: usize,
}

impl Activations {
    /// Frees the memory if it is larger than a decode step needs.
    pub(in crate::kernels) fn shrink(&mut self) {
        if self.codes.capacity() > MAX_KEPT_BYTES {
            *self = Self::default();
        }
    }

    /// Quantizes `x`, `rows` rows of `width` values: the largest absolute value of a group becomes 127, the others are
    /// rounded to nearest.
    pub(in crate::kernels) fn quantize(
        &mut self,
        level: SimdLevel,
        x: &[f32],
        rows: usize,
        width: usize,
        group: usize,
    ) {
        assert_eq!(x.len(), rows * width);
        let groups = width.div_ceil(group);
        (self.rows, self.groups, self.group) = (rows, groups, group);
        self.codes.resize(rows * groups * group, 0);
        self.scales.resize(rows * groups, 0.0);
        self.initial.resize(rows * groups, 0);
        let codes = Disjoint::new(&mut self.codes);
        let scales = Disjoint::new(&mut self.scales);
        let initial = Disjoint::new(&mut self.initial);
        parallel_for(rows, 8, |part| {
            for row in part {
                let all = row * groups..(row + 1) * groups;
                // SAFETY: each row belongs to exactly one part.
                let (codes, scales, initial) = unsafe {
                    let bytes = all.start * group..all.end * group;
                    (codes.part(bytes), scales.part(all.clone()), initial.part(all))
                };
                run(level, QuantizeRow { x: &x[row * width..(row + 1) * width], codes, scales, initial, group });
            }
        });
    }
}

struct QuantizeRow<'a> {
    x: &'a [f32],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    initial: &'a mut [i32],
    group: usize,
}

impl Kernel for QuantizeRow<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let full_groups = self.x.len() / self.group;
        for (index, codes) in self.codes.chunks_exact_mut(self.group).enumerate() {
            let mut padded = [0.0; MAX_GROUP];
            let x = match self.x.get(index * self.group..(index + 1) * self.group) {
                Some(x) => x,
                None => {
                    let rest = &self.x[full_groups * self.group..];
                    padded[..rest.len()].copy_from_slice(rest);
                    &padded[..self.group]
                }
            };
            // SAFETY: `x` and `codes` hold `group` values, a multiple of every level's lanes.
            let (scale, sum) = unsafe { quantize_group::<I>(x, codes) };
            self.scales[index] = scale;
            self.initial[index] = -I::OFFSET * sum;
        }
    }
}

/// Largest capacity of the codes that is retained, in bytes.
const MAX_KEPT_BYTES: usize = 1 << 18;

/// Largest group size of any format.
const MAX_GROUP: usize = 128;

/// Groups whose largest absolute value is at most this become zeros, because `127 / abs_max` could overflow.
const MIN_ABS_MAX: f32 = 127.0 * f32::MIN_POSITIVE;

/// Quantizes one group. Returns its scale, which is NaN if a value is not finite, and the sum of its codes.
#[inline(always)]
unsafe fn quantize_group<I: Isa>(x: &[f32], codes: &mut [i8]) -> (f32, i32) {
    // SAFETY: as for this function.
    unsafe {
        let (mut abs_max, mut zero) = (I::zero(), I::zero());
        for at in (0..x.len()).step_by(I::LANES) {
            let x = I::load(x.as_ptr().add(at));
            abs_max = I::max(abs_max, I::abs(x));
            zero = I::fma(x, I::zero(), zero);
        }
        if I::sum(zero) != 0.0 {
            // A value is not finite, so the results must be NaN.
            codes.fill(0);
            return (f32::NAN, 0);
        }
        let abs_max = I::largest(abs_max);
        let inverse = I::splat(if abs_max > MIN_ABS_MAX { 127.0 / abs_max } else { 0.0 });
        let mut sum = I::splat_i32(0);
        for at in (0..x.len()).step_by(I::LANES) {
            let lanes = I::to_i32(I::mul(I::load(x.as_ptr().add(at)), inverse));
            I::store_i8(codes.as_mut_ptr().add(at), lanes);
            sum = I::add_i32(sum, lanes);
        }
        (abs_max / 127.0 * LEVEL_SCALE, I::sum_i32(sum))
    }
}
