//! RMSNorm, rotary embedding and SwiGLU, row by row.

use super::disjoint::Disjoint;
use super::exp::exp;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::simd_level::{SimdLevel, run};

/// View of rows that are `stride` values apart.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct RowsView<'a> {
    pub(in crate::kernels) values: &'a [f32],
    pub(in crate::kernels) width: usize,
    pub(in crate::kernels) stride: usize,
}

impl<'a> RowsView<'a> {
    fn row(&self, row: usize) -> &'a [f32] {
        &self.values[row * self.stride..row * self.stride + self.width]
    }
}

/// Calls `work` with each row of `out`, which has `width` values, on all threads.
fn each_row(out: &mut [f32], width: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = out.len() / width.max(1);
    let out = Disjoint::new(out);
    // A part has enough values to be worth waking a thread for.
    let part = (16_384 / width.max(1)).max(1);
    parallel_for(rows, part, |rows| {
        for row in rows {
            // SAFETY: each row belongs to exactly one part.
            work(row, unsafe { out.part(row * width..(row + 1) * width) });
        }
    });
}

/// `x / √(mean(x²) + eps) · weight` of each row.
pub(in crate::kernels) fn rms_norm(level: SimdLevel, x: RowsView<'_>, weight: &[f32], eps: f32, out: &mut [f32]) {
    assert_eq!(weight.len(), x.width);
    each_row(out, x.width, |row, out| run(level, RmsNorm { x: x.row(row), weight, eps, out }));
}

struct RmsNorm<'a> {
    x: &'a [f32],
    weight: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for RmsNorm<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { x, weight, eps, out } = self;
        let aligned = x.len() / I::LANES * I::LANES;
        // SAFETY: the three slices have the same length.
        unsafe {
            let mut squares = I::zero();
            for at in (0..aligned).step_by(I::LANES) {
                let x = I::load(x.as_ptr().add(at));
                squares = I::fma(x, x, squares);
            }
            let squares = I::sum(squares) + x[aligned..].iter().map(|x| x * x).sum::<f32>();
            let scale = 1.0 / (squares / x.len() as f32 + eps).sqrt();
            for at in (0..aligned).step_by(I::LANES) {
                let scaled = I::mul(I::load(x.as_ptr().add(at)), I::splat(scale));
                I::store(out.as_mut_ptr().add(at), I::mul(scaled, I::load(weight.as_ptr().add(at))));
            }
            for at in aligned..x.len() {
                out[at] = x[at] * scale * weight[at];
            }
        }
    }
}

/// Rotates value `i` of each head with value `i + head_dim/2`, by the angle whose cosine and sine are value `i` of the
/// row in `cos` and `sin`, `[rows, head_dim]`.
pub(in crate::kernels) fn rope(
    level: SimdLevel,
    x: RowsView<'_>,
    cos: &[f32],
    sin: &[f32],
    head_dim: usize,
    out: &mut [f32],
) {
    let rows = out.len() / x.width.max(1);
    assert!(
        head_dim.is_multiple_of(2) && x.width.is_multiple_of(head_dim),
        "rows of {} values, heads of {head_dim}",
        x.width
    );
    assert_eq!((cos.len(), sin.len()), (rows * head_dim, rows * head_dim));
    each_row(out, x.width, |row, out| {
        let angles = row * head_dim..row * head_dim + head_dim / 2;
        run(level, Rope { x: x.row(row), cos: &cos[angles.clone()], sin: &sin[angles], out });
    });
}

struct Rope<'a> {
    x: &'a [f32],
    cos: &'a [f32],
    sin: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Rope<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let half = self.cos.len();
        let aligned = half / I::LANES * I::LANES;
        for (x, out) in self.x.chunks_exact(2 * half).zip(self.out.chunks_exact_mut(2 * half)) {
            // SAFETY: a head has two halves, and there is one angle per pair.
            unsafe {
                for at in (0..aligned).step_by(I::LANES) {
                    let (a, b) = (I::load(x.as_ptr().add(at)), I::load(x.as_ptr().add(half + at)));
                    let (cos, sin) = (I::load(self.cos.as_ptr().add(at)), I::load(self.sin.as_ptr().add(at)));
                    I::store(out.as_mut_ptr().add(at), I::sub(I::mul(a, cos), I::mul(b, sin)));
                    I::store(out.as_mut_ptr().add(half + at), I::add(I::mul(b, cos), I::mul(a, sin)));
                }
            }
            for at in aligned..half {
                let (a, b, cos, sin) = (x[at], x[half + at], self.cos[at], self.sin[at]);
                out[at] = a * cos - b * sin;
                out[half + at] = b * cos + a * sin;
            }
        }
    }
}

/// `silu(gate) · up` of each row, where `silu(x) = x / (1 + e^(−x))`.
pub(in crate::kernels) fn swiglu(level: SimdLevel, gate: RowsView<'_>, up: RowsView<'_>, out: &mut [f32]) {
    assert_eq!(gate.width, up.width);
    each_row(out, gate.width, |row, out| run(level, SwiGlu { gate: gate.row(row), up: up.row(row), out }));
}

struct SwiGlu<'a> {
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for SwiGlu<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: as for this function; the three slices have the same length.
        unsafe { gate_row::<I>(self.gate, self.up, self.out) }
    }
}

/// `out = silu(gate) · up`.
///
/// # Safety
/// The three slices must have the same length.
#[inline(always)]
pub(super) unsafe fn gate_row<I: Isa>(gate: &[f32], up: &[f32], out: &mut [f32]) {
    let aligned = gate.len() / I::LANES * I::LANES;
    // SAFETY: as for this function.
    unsafe {
        for at in (0..aligned).step_by(I::LANES) {
            let (gate, up) = (I::load(gate.as_ptr().add(at)), I::load(up.as_ptr().add(at)));
            let denominator = I::add(I::splat(1.0), exp::<I>(I::sub(I::zero(), gate)));
            I::store(out.as_mut_ptr().add(at), I::mul(I::div(gate, denominator), up));
        }
    }
    for at in aligned..gate.len() {
        out[at] = gate[at] / (1.0 + (-gate[at]).exp()) * up[at];
    }
}
