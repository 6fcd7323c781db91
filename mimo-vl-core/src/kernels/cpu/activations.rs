//! Activations as signed bytes.

use super::disjoint::Disjoint;
use super::isa::{Isa, Kernel};
use super::pool::split;
use super::{SimdLevel, run};
use crate::kernels::quantized::UNIT;

/// Rows of activations as the products with quantized weights take them: in groups of neighbours, each with one scale.
#[derive(Debug, Default)]
pub(in crate::kernels) struct Activations {
    pub(super) codes: Vec<i8>,
    /// One of each group, times the unit of the weights' levels.
    pub(super) scales: Vec<f32>,
    /// What the products of a group start from: the sum of its codes, times −[`Isa::OFFSET`].
    pub(super) starts: Vec<i32>,
    pub(super) rows: usize,
    /// Groups of a row; the last one is filled up with zeros.
    pub(super) groups: usize,
    pub(super) group: usize,
}

impl Activations {
    /// Give back the memory of many rows.
    pub(in crate::kernels) fn shrink(&mut self) {
        if self.codes.capacity() > MOST_KEPT {
            *self = Self::default();
        }
    }

    /// Take `rows` rows of `width` from `x`. A group's largest value becomes ±127; the others are rounded to nearest.
    pub(in crate::kernels) fn fill(&mut self, level: SimdLevel, x: &[f32], rows: usize, width: usize, group: usize) {
        assert_eq!(x.len(), rows * width);
        let groups = width.div_ceil(group);
        (self.rows, self.groups, self.group) = (rows, groups, group);
        self.codes.resize(rows * groups * group, 0);
        self.scales.resize(rows * groups, 0.0);
        self.starts.resize(rows * groups, 0);
        let codes = Disjoint::new(&mut self.codes);
        let scales = Disjoint::new(&mut self.scales);
        let starts = Disjoint::new(&mut self.starts);
        split(rows, 8, |part| {
            for row in part {
                let all = row * groups..(row + 1) * groups;
                // SAFETY: each row is in one part.
                let (codes, scales, starts) = unsafe {
                    let bytes = all.start * group..all.end * group;
                    (codes.part(bytes), scales.part(all.clone()), starts.part(all))
                };
                run(level, Row { x: &x[row * width..(row + 1) * width], codes, scales, starts, group });
            }
        });
    }
}

struct Row<'a> {
    x: &'a [f32],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    starts: &'a mut [i32],
    group: usize,
}

impl Kernel for Row<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let whole = self.x.len() / self.group;
        for (index, codes) in self.codes.chunks_exact_mut(self.group).enumerate() {
            let mut padded = [0.0; MAX_GROUP];
            let x = match self.x.get(index * self.group..(index + 1) * self.group) {
                Some(x) => x,
                None => {
                    let rest = &self.x[whole * self.group..];
                    padded[..rest.len()].copy_from_slice(rest);
                    &padded[..self.group]
                }
            };
            // SAFETY: `x` and `codes` hold `group` values, a multiple of every level's lanes.
            let (scale, sum) = unsafe { quantise::<I>(x, codes) };
            self.scales[index] = scale;
            self.starts[index] = -I::OFFSET * sum;
        }
    }
}

/// Bytes of codes that are worth keeping.
const MOST_KEPT: usize = 1 << 18;

/// Largest group of any format.
const MAX_GROUP: usize = 128;

/// Groups without a larger value become zeros, for 127 divided by it would not be finite.
const SMALLEST: f32 = 127.0 * f32::MIN_POSITIVE;

/// The scale of the codes, and their sum. A group with a value that is not finite has a scale that is not a number.
#[inline(always)]
unsafe fn quantise<I: Isa>(x: &[f32], codes: &mut [i8]) -> (f32, i32) {
    // SAFETY: as for this function.
    unsafe {
        let (mut largest, mut zero) = (I::zero(), I::zero());
        for at in (0..x.len()).step_by(I::LANES) {
            let x = I::load(x.as_ptr().add(at));
            largest = I::max(largest, I::abs(x));
            zero = I::fma(x, I::zero(), zero);
        }
        if I::sum(zero) != 0.0 {
            // A value is not finite, so no result is a number either.
            codes.fill(0);
            return (f32::NAN, 0);
        }
        let largest = I::largest(largest);
        let inverse = I::splat(if largest > SMALLEST { 127.0 / largest } else { 0.0 });
        let mut sum = I::splat_i32(0);
        for at in (0..x.len()).step_by(I::LANES) {
            let lanes = I::to_i32(I::mul(I::load(x.as_ptr().add(at)), inverse));
            I::store_i8(codes.as_mut_ptr().add(at), lanes);
            sum = I::add_i32(sum, lanes);
        }
        (largest / 127.0 * UNIT, I::sum_i32(sum))
    }
}
