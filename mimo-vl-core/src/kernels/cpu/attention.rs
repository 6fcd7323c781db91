//! Attention without a matrix of all scores: keys are taken a block at a time, and what was summed so far is scaled
//! down whenever a larger score appears (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018;
//! Dao and others, "FlashAttention", 2022).

use super::block::{Left, multiply_block};
use super::disjoint::Disjoint;
use super::exp::exp;
use super::isa::{Isa, Kernel};
use super::pool::split;
use super::stored::Stored;
use super::{Level, run};
use crate::kernels::Mask;

/// Keys that are taken at a time.
const KEYS: usize = 64;
/// Rows of queries, over all heads that share keys, that are worked on at a time.
const ROWS: usize = 96;
/// Up to this many rows, keys are read where they lie; for more they are first laid out for it.
const FEW: usize = 8;

/// Heads of rows of values, in whatever order they lie.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Heads<'a, T> {
    pub(in crate::kernels) values: &'a [T],
    /// Where the first value is.
    pub(in crate::kernels) offset: usize,
    /// From one sequence, head and row to the next; the values of a row are neighbours.
    pub(in crate::kernels) strides: [usize; 3],
}

/// Sizes of the operation.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Sizes {
    pub(in crate::kernels) batch: usize,
    pub(in crate::kernels) heads: usize,
    pub(in crate::kernels) kv_heads: usize,
    pub(in crate::kernels) queries: usize,
    pub(in crate::kernels) keys: usize,
    pub(in crate::kernels) head_dim: usize,
}

impl<T> Heads<'_, T> {
    fn check(&self, batch: usize, heads: usize, rows: usize, head_dim: usize) {
        if batch * heads * rows * head_dim > 0 {
            let [a, b, c] = self.strides;
            let last = self.offset + (batch - 1) * a + (heads - 1) * b + (rows - 1) * c + head_dim;
            assert!(last <= self.values.len(), "heads end at {last} of {}", self.values.len());
        }
    }

    #[inline(always)]
    fn row(&self, sequence: usize, head: usize, row: usize) -> *const T {
        let at = self.offset + sequence * self.strides[0] + head * self.strides[1] + row * self.strides[2];
        // Inside the slice, by `check`.
        self.values.as_ptr().wrapping_add(at)
    }
}

/// `softmax(q·kᵀ/√head_dim + mask)·v`.
///
/// # Shapes
/// - `out`: `[batch, queries, heads, head_dim]`
///
/// # Panics
/// When the sizes do not fit the slices.
pub(in crate::kernels) fn attend<T: Stored>(
    level: Level,
    sizes: Sizes,
    q: Heads<'_, f32>,
    k: Heads<'_, T>,
    v: Heads<'_, T>,
    mask: Mask,
    out: &mut [f32],
) {
    let Sizes { batch, heads, kv_heads, queries, keys, head_dim } = sizes;
    q.check(batch, heads, queries, head_dim);
    k.check(batch, kv_heads, keys, head_dim);
    v.check(batch, kv_heads, keys, head_dim);
    assert_eq!(out.len(), batch * queries * heads * head_dim);
    assert!(heads % kv_heads.max(1) == 0, "{heads} heads of queries, {kv_heads} of keys");
    if let Mask::Causal { offset } = mask {
        assert!(offset < keys || queries == 0, "query 0 stands at {offset}, and there are {keys} keys");
    }
    if out.is_empty() {
        return;
    }
    let at_once = (ROWS / (heads / kv_heads)).clamp(1, queries);
    let blocks = queries.div_ceil(at_once);
    let out = Disjoint::new(out);
    split(batch * kv_heads * blocks, 1, |parts| {
        for part in parts {
            // The last blocks of a causal sequence have the most keys: they come first.
            let (block, rest) = (blocks - 1 - part / (batch * kv_heads), part % (batch * kv_heads));
            let queries = block * at_once..(block * at_once + at_once).min(queries);
            let (sequence, kv_head) = (rest / kv_heads, rest % kv_heads);
            run(level, Block { sizes, q, k, v, mask, out: &out, sequence, kv_head, queries });
        }
    });
}

/// Some queries of the heads that share a head of keys.
struct Block<'a, T> {
    sizes: Sizes,
    q: Heads<'a, f32>,
    k: Heads<'a, T>,
    v: Heads<'a, T>,
    mask: Mask,
    out: &'a Disjoint<'a, f32>,
    sequence: usize,
    kv_head: usize,
    queries: std::ops::Range<usize>,
}

/// Blocks of values on their way, all `padded` or [`KEYS`] wide.
struct Buffers {
    /// Queries times 1/√head_dim.
    q: Vec<f32>,
    /// `[padded, KEYS]`
    k: Vec<f32>,
    /// `[KEYS, padded]`
    v: Vec<f32>,
    /// `[rows, KEYS]`
    scores: Vec<f32>,
    /// `[rows, padded]`
    sums: Vec<f32>,
    largest: Vec<f32>,
    total: Vec<f32>,
}

impl<T: Stored> Kernel for Block<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let head_dim = self.sizes.head_dim;
        let padded = head_dim.next_multiple_of(I::LANES);
        let group = self.sizes.heads / self.sizes.kv_heads;
        let rows = group * self.queries.len();
        let mut buffers = Buffers {
            q: vec![0.0; rows * padded],
            k: Vec::new(),
            v: Vec::new(),
            scores: vec![0.0; rows * KEYS],
            sums: vec![0.0; rows * padded],
            largest: vec![f32::NEG_INFINITY; rows],
            total: vec![0.0; rows],
        };
        let in_place = rows <= FEW && padded == head_dim;
        if !in_place {
            buffers.k = vec![0.0; padded * KEYS];
            buffers.v = vec![0.0; KEYS * padded];
        }
        let visible = match self.mask {
            Mask::Full => self.sizes.keys,
            Mask::Causal { offset } => (offset + self.queries.end).min(self.sizes.keys),
        };
        // SAFETY: the sizes were checked in `attend`.
        unsafe {
            self.take_queries::<I>(&mut buffers.q, padded);
            for first in (0..visible).step_by(KEYS) {
                let keys = first..(first + KEYS).min(visible);
                if in_place {
                    self.score_in_place::<I>(&mut buffers, keys.clone());
                } else {
                    self.take_keys::<I>(&mut buffers, keys.clone(), padded);
                    let q = Left { start: buffers.q.as_ptr(), stride: padded };
                    let scores = buffers.scores.as_mut_ptr();
                    multiply_block::<I>(q, buffers.k.as_ptr(), scores, [rows, head_dim, KEYS], true);
                }
                self.weigh::<I>(&mut buffers, keys.clone(), padded);
                if in_place {
                    self.sum_in_place::<I>(&mut buffers, keys);
                } else {
                    let p = Left { start: buffers.scores.as_ptr(), stride: KEYS };
                    let sums = buffers.sums.as_mut_ptr();
                    multiply_block::<I>(p, buffers.v.as_ptr(), sums, [rows, keys.len(), padded], false);
                }
            }
        }
        for (row, sums) in buffers.sums.chunks_exact(padded).enumerate() {
            let (query, head) = self.place(row);
            let at = ((self.sequence * self.sizes.queries + query) * self.sizes.heads + head) * head_dim;
            // SAFETY: each query of each head is in one block.
            let out = unsafe { self.out.part(at..at + head_dim) };
            let scale = 1.0 / buffers.total[row];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
        }
    }
}

impl<T: Stored> Block<'_, T> {
    /// The query and head of a row: all heads of a query are neighbours.
    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        let group = self.sizes.heads / self.sizes.kv_heads;
        (self.queries.start + row / group, self.kv_head * group + row % group)
    }

    #[inline(always)]
    unsafe fn take_queries<I: Isa>(&self, to: &mut [f32], padded: usize) {
        let head_dim = self.sizes.head_dim;
        let scale = (head_dim as f32).powf(-0.5);
        for (row, to) in to.chunks_exact_mut(padded).enumerate() {
            let (query, head) = self.place(row);
            // SAFETY: the row is there, by `Heads::check`.
            let from = unsafe { std::slice::from_raw_parts(self.q.row(self.sequence, head, query), head_dim) };
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
        }
    }

    /// Lay out a block's keys by column and its values by row. What was left of an earlier block is not used: its
    /// scores become 0.
    #[inline(always)]
    unsafe fn take_keys<I: Isa>(&self, buffers: &mut Buffers, keys: std::ops::Range<usize>, padded: usize) {
        let head_dim = self.sizes.head_dim;
        for (column, key) in keys.enumerate() {
            // SAFETY: the rows are there, by `Heads::check`.
            let (k, v) = unsafe {
                let row = |heads: Heads<'_, T>| heads.row(self.sequence, self.kv_head, key);
                (std::slice::from_raw_parts(row(self.k), head_dim), std::slice::from_raw_parts(row(self.v), head_dim))
            };
            for (row, value) in k.iter().enumerate() {
                buffers.k[row * KEYS + column] = value.get();
            }
            let whole = head_dim / I::LANES * I::LANES;
            let to = &mut buffers.v[column * padded..][..padded];
            for at in (0..whole).step_by(I::LANES) {
                // SAFETY: inside the row.
                unsafe { I::store(to.as_mut_ptr().add(at), T::load::<I>(v.as_ptr().add(at))) };
            }
            for at in whole..head_dim {
                to[at] = v[at].get();
            }
        }
    }

    #[inline(always)]
    unsafe fn score_in_place<I: Isa>(&self, buffers: &mut Buffers, keys: std::ops::Range<usize>) {
        let head_dim = self.sizes.head_dim;
        for (column, key) in keys.enumerate() {
            let k = self.k.row(self.sequence, self.kv_head, key);
            for (row, q) in buffers.q.chunks_exact(head_dim).enumerate() {
                // SAFETY: the rows are there, by `Heads::check`, and a multiple of the lanes long.
                unsafe {
                    let mut sum = I::zero();
                    for at in (0..head_dim).step_by(I::LANES) {
                        sum = I::fma(I::load(q.as_ptr().add(at)), T::load::<I>(k.add(at)), sum);
                    }
                    buffers.scores[row * KEYS + column] = I::sum(sum);
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_in_place<I: Isa>(&self, buffers: &mut Buffers, keys: std::ops::Range<usize>) {
        let head_dim = self.sizes.head_dim;
        for (column, key) in keys.enumerate() {
            let v = self.v.row(self.sequence, self.kv_head, key);
            for (row, sums) in buffers.sums.chunks_exact_mut(head_dim).enumerate() {
                // SAFETY: as in `score_in_place`.
                unsafe {
                    let weight = I::splat(buffers.scores[row * KEYS + column]);
                    for at in (0..head_dim).step_by(I::LANES) {
                        let sums = sums.as_mut_ptr().add(at);
                        I::store(sums, I::fma(weight, T::load::<I>(v.add(at)), I::load(sums)));
                    }
                }
            }
        }
    }

    /// Turn the scores of a block into weights relative to the largest score so far, and scale what was summed.
    #[inline(always)]
    unsafe fn weigh<I: Isa>(&self, buffers: &mut Buffers, keys: std::ops::Range<usize>, padded: usize) {
        for (row, scores) in buffers.scores.chunks_exact_mut(KEYS).enumerate() {
            let seen = match self.mask {
                Mask::Full => keys.len(),
                Mask::Causal { offset } => (offset + self.place(row).0 + 1).saturating_sub(keys.start).min(keys.len()),
            };
            scores[seen..].fill(f32::NEG_INFINITY);
            if seen == 0 {
                scores.fill(0.0);
                continue;
            }
            // SAFETY: `KEYS` and `padded` are multiples of the lanes.
            unsafe {
                let mut largest = I::splat(buffers.largest[row]);
                for at in (0..KEYS).step_by(I::LANES) {
                    largest = I::max(largest, I::load(scores.as_ptr().add(at)));
                }
                let largest = I::largest(largest);
                let (mut sum, shift) = (I::zero(), I::splat(largest));
                for at in (0..KEYS).step_by(I::LANES) {
                    let score = scores.as_mut_ptr().add(at);
                    let weight = exp::<I>(I::sub(I::load(score), shift));
                    I::store(score, weight);
                    sum = I::add(sum, weight);
                }
                let before = buffers.largest[row];
                let kept = if before == largest { 1.0 } else { (before - largest).exp() };
                if kept != 1.0 {
                    let kept = I::splat(kept);
                    for at in (0..padded).step_by(I::LANES) {
                        let sums = buffers.sums.as_mut_ptr().add(row * padded + at);
                        I::store(sums, I::mul(I::load(sums), kept));
                    }
                }
                buffers.total[row] = buffers.total[row] * kept + I::sum(sum);
                buffers.largest[row] = largest;
            }
        }
    }
}
