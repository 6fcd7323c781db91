//! Attention without a matrix of all scores: keys are taken a block at a time, and what was summed so far is scaled
//! down whenever a larger score appears (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018;
//! Dao and others, "FlashAttention", 2022).

use std::cell::RefCell;
use std::ops::Range;

use super::block::{Left, multiply_block};
use super::disjoint::Disjoint;
use super::exp::exp;
use super::isa::{Isa, Kernel};
use super::pool::split;
use super::stored::Stored;
use super::{SimdLevel, run};
use crate::kernels::Mask;

/// Keys that are taken at a time.
const KEYS: usize = 64;
/// Rows of queries, over all heads that share keys, that are worked on at a time.
const ROWS: usize = 96;
/// Up to this many queries, keys are read where they lie; for more they are first laid out.
const FEW: usize = 8;
/// Keys that are asked of memory before they are read.
const AHEAD: usize = 32;
/// Bytes that memory gives at a time.
const LINE: usize = 64;
/// Lanes of the widest registers; heads are filled up to a multiple of them.
const MOST_LANES: usize = 16;
/// Values that are laid out at a time, unless one head has more: 32 MiB.
const LAID_OUT: usize = 1 << 23;

thread_local! {
    /// Kept, so that its memory is not asked for anew each time.
    static LAYOUT: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Give back the memory that is kept for the next call.
pub(in crate::kernels) fn release_layout() {
    LAYOUT.take();
}

/// Heads of rows of values, in whatever order they lie.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Heads<'a, T> {
    pub(in crate::kernels) values: &'a [T],
    /// Where the first value is.
    pub(in crate::kernels) offset: usize,
    /// From one sequence, head and row to the next; the values of a row are neighbours.
    pub(in crate::kernels) strides: [usize; 3],
}

/// Keys or values, which may have a scale for each row.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Keys<'a, T> {
    pub(in crate::kernels) rows: Heads<'a, T>,
    pub(in crate::kernels) scales: Option<Heads<'a, f32>>,
}

impl<T> Keys<'_, T> {
    fn check(&self, sizes: Sizes) {
        self.rows.check(sizes.batch, sizes.kv_heads, sizes.keys, sizes.head_dim);
        if let Some(scales) = self.scales {
            scales.check(sizes.batch, sizes.kv_heads, sizes.keys, 1);
        }
    }

    #[inline(always)]
    fn scale(&self, sequence: usize, head: usize, row: usize) -> f32 {
        // SAFETY: the scale is there, by `check`.
        self.scales.map_or(1.0, |scales| unsafe { *scales.row(sequence, head, row) })
    }
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
    level: SimdLevel,
    sizes: Sizes,
    q: Heads<'_, f32>,
    k: Keys<'_, T>,
    v: Keys<'_, T>,
    mask: Mask,
    out: &mut [f32],
) {
    let Sizes { batch, heads, kv_heads, queries, keys, head_dim } = sizes;
    q.check(batch, heads, queries, head_dim);
    k.check(sizes);
    v.check(sizes);
    assert_eq!(out.len(), batch * queries * heads * head_dim);
    assert!(heads % kv_heads.max(1) == 0, "{heads} heads of queries, {kv_heads} of keys");
    if let Mask::Causal { offset } = mask {
        assert!(offset < keys || queries == 0, "query 0 stands at {offset}, and there are {keys} keys");
    }
    if out.is_empty() {
        return;
    }
    let group = heads / kv_heads;
    let at_once = (ROWS / group).clamp(1, queries);
    let blocks = queries.div_ceil(at_once);
    let out = Disjoint::new(out);
    let attention = Attention { sizes, q, k, v, mask, out: &out };
    let each_block = |all: Range<usize>, laid_out: Option<&[f32]>| {
        split(all.len() * blocks, 1, |parts| {
            for part in parts {
                // The last blocks of a causal sequence have the most keys: they come first.
                let (block, index) = (blocks - 1 - part / all.len(), part % all.len());
                let queries = block * at_once..(block * at_once + at_once).min(queries);
                let laid_out =
                    laid_out.map(|values| &values[index * attention.head_values()..][..attention.head_values()]);
                run(level, Block { attention, laid_out, head: all.start + index, queries });
            }
        });
    };
    let all = 0..batch * kv_heads;
    if queries <= FEW && head_dim.is_multiple_of(MOST_LANES) {
        return each_block(all, None);
    }
    let at_a_time = (LAID_OUT / attention.head_values().max(1)).clamp(1, all.len());
    LAYOUT.with_borrow_mut(|values| {
        for first in all.clone().step_by(at_a_time) {
            let some = first..(first + at_a_time).min(all.end);
            values.resize(some.len() * attention.head_values(), 0.0);
            let to = Disjoint::new(values);
            let key_blocks = keys.div_ceil(KEYS);
            split(some.len() * key_blocks, 4, |parts| {
                for part in parts {
                    // SAFETY: each block of keys is in one part.
                    let to = unsafe { to.part(part * attention.block_values()..(part + 1) * attention.block_values()) };
                    run(
                        level,
                        Layout { attention, head: some.start + part / key_blocks, block: part % key_blocks, to },
                    );
                }
            });
            each_block(some, Some(values));
        }
    });
}

/// The whole operation.
#[derive(Clone, Copy)]
struct Attention<'a, T> {
    sizes: Sizes,
    q: Heads<'a, f32>,
    k: Keys<'a, T>,
    v: Keys<'a, T>,
    mask: Mask,
    out: &'a Disjoint<'a, f32>,
}

impl<T> Attention<'_, T> {
    /// Values of a head, filled up.
    fn padded(&self) -> usize {
        self.sizes.head_dim.next_multiple_of(MOST_LANES)
    }

    /// Values of a block of keys and values that is laid out.
    fn block_values(&self) -> usize {
        2 * KEYS * self.padded()
    }

    /// The same of all blocks of a head.
    fn head_values(&self) -> usize {
        self.sizes.keys.div_ceil(KEYS) * self.block_values()
    }
}

/// Lays out a block's keys by column, `[padded, KEYS]`, and then its values by row, `[KEYS, padded]`. What an earlier
/// use left beyond the last key is not used: its scores become 0.
struct Layout<'a, T> {
    attention: Attention<'a, T>,
    /// Counted over all sequences.
    head: usize,
    block: usize,
    to: &'a mut [f32],
}

impl<T: Stored> Kernel for Layout<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { attention, head, block, to } = self;
        let Sizes { kv_heads, keys, head_dim, .. } = attention.sizes;
        let (to_k, to_v) = to.split_at_mut(to.len() / 2);
        for (column, key) in (block * KEYS..(block * KEYS + KEYS).min(keys)).enumerate() {
            let (sequence, head) = (head / kv_heads, head % kv_heads);
            // SAFETY: the rows are there, by `Keys::check`.
            let [k, v] = [attention.k, attention.v]
                .map(|keys| unsafe { std::slice::from_raw_parts(keys.rows.row(sequence, head, key), head_dim) });
            let [scale_k, scale_v] = [attention.k, attention.v].map(|keys| keys.scale(sequence, head, key));
            for (row, value) in k.iter().enumerate() {
                to_k[row * KEYS + column] = value.get() * scale_k;
            }
            let to_v = &mut to_v[column * attention.padded()..][..attention.padded()];
            let whole = head_dim / I::LANES * I::LANES;
            for at in (0..whole).step_by(I::LANES) {
                // SAFETY: inside the row.
                unsafe {
                    let value = I::mul(T::load::<I>(v.as_ptr().add(at)), I::splat(scale_v));
                    I::store(to_v.as_mut_ptr().add(at), value);
                }
            }
            for at in whole..head_dim {
                to_v[at] = v[at].get() * scale_v;
            }
        }
    }
}

/// Some queries of the heads that share a head of keys.
struct Block<'a, T> {
    attention: Attention<'a, T>,
    /// The head's blocks of keys and values; `None` to read them where they lie.
    laid_out: Option<&'a [f32]>,
    /// Of keys, counted over all sequences.
    head: usize,
    queries: Range<usize>,
}

/// Values on their way, for each row of queries.
struct Buffers {
    /// Queries times 1/√head_dim: `[rows, padded]`
    q: Vec<f32>,
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
        let Sizes { heads, kv_heads, keys, head_dim, .. } = self.attention.sizes;
        let padded = self.attention.padded();
        let rows = heads / kv_heads * self.queries.len();
        let mut buffers = Buffers {
            q: vec![0.0; rows * padded],
            scores: vec![0.0; rows * KEYS],
            sums: vec![0.0; rows * padded],
            largest: vec![f32::NEG_INFINITY; rows],
            total: vec![0.0; rows],
        };
        let visible = match self.attention.mask {
            Mask::Full => keys,
            Mask::Causal { offset } => (offset + self.queries.end).min(keys),
        };
        // SAFETY: the sizes were checked in `attend`.
        unsafe {
            self.take_queries::<I>(&mut buffers.q, padded);
            for first in (0..visible).step_by(KEYS) {
                let keys = first..(first + KEYS).min(visible);
                let laid_out = self.laid_out.map(|values| {
                    let size = self.attention.block_values();
                    values[first / KEYS * size..][..size].split_at(size / 2)
                });
                match laid_out {
                    None => self.score_in_place::<I>(&mut buffers, keys.clone()),
                    Some((k, _)) => {
                        let q = Left { start: buffers.q.as_ptr(), stride: padded };
                        let scores = buffers.scores.as_mut_ptr();
                        multiply_block::<I>(q, k.as_ptr(), scores, [rows, head_dim, KEYS], true);
                    }
                }
                self.weigh::<I>(&mut buffers, keys.clone(), padded);
                match laid_out {
                    None => self.sum_in_place::<I>(&mut buffers, keys),
                    Some((_, v)) => {
                        let p = Left { start: buffers.scores.as_ptr(), stride: KEYS };
                        let sums = buffers.sums.as_mut_ptr();
                        multiply_block::<I>(p, v.as_ptr(), sums, [rows, keys.len(), padded], false);
                    }
                }
            }
        }
        for (row, sums) in buffers.sums.chunks_exact(padded).enumerate() {
            let (query, head) = self.place(row);
            let at = ((self.head / kv_heads * self.attention.sizes.queries + query) * heads + head) * head_dim;
            // SAFETY: each query of each head is in one block.
            let out = unsafe { self.attention.out.part(at..at + head_dim) };
            let scale = 1.0 / buffers.total[row];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
        }
    }
}

impl<T: Stored> Block<'_, T> {
    /// The query and head of a row: all heads of a query are neighbours.
    #[inline(always)]
    fn place(&self, row: usize) -> (usize, usize) {
        let Sizes { heads, kv_heads, .. } = self.attention.sizes;
        let group = heads / kv_heads;
        (self.queries.start + row / group, self.head % kv_heads * group + row % group)
    }

    #[inline(always)]
    unsafe fn take_queries<I: Isa>(&self, to: &mut [f32], padded: usize) {
        let Sizes { kv_heads, head_dim, .. } = self.attention.sizes;
        let scale = (head_dim as f32).powf(-0.5);
        for (row, to) in to.chunks_exact_mut(padded).enumerate() {
            let (query, head) = self.place(row);
            // SAFETY: the row is there, by `Heads::check`.
            let from = unsafe {
                std::slice::from_raw_parts(self.attention.q.row(self.head / kv_heads, head, query), head_dim)
            };
            to.iter_mut().zip(from).for_each(|(to, from)| *to = from * scale);
        }
    }

    /// The scores of all rows with some keys, read where they lie.
    #[inline(always)]
    unsafe fn score_in_place<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>) {
        let rows = buffers.total.len();
        // SAFETY: as for this function; the rows are there.
        unsafe {
            for row in (0..rows / 4 * 4).step_by(4) {
                self.score_rows::<I, 4>(buffers, keys.clone(), row);
            }
            for row in rows / 4 * 4..rows {
                self.score_rows::<I, 1>(buffers, keys.clone(), row);
            }
        }
    }

    #[inline(always)]
    unsafe fn score_rows<I: Isa, const M: usize>(&self, buffers: &mut Buffers, keys: Range<usize>, first: usize) {
        let Sizes { kv_heads, head_dim, .. } = self.attention.sizes;
        let (sequence, head) = (self.head / kv_heads, self.head % kv_heads);
        for (column, key) in keys.enumerate() {
            let k = self.attention.k.rows.row(sequence, head, key);
            let scale = self.attention.k.scale(sequence, head, key);
            if first == 0 {
                let ahead = self.attention.k.rows.row(sequence, head, key + AHEAD);
                let values = self.attention.v.rows.row(sequence, head, key);
                for at in (0..head_dim * size_of::<T>()).step_by(LINE) {
                    // SAFETY: asking for what is not there does nothing.
                    unsafe {
                        I::prefetch(ahead.cast::<u8>().wrapping_add(at));
                        I::prefetch(values.cast::<u8>().wrapping_add(at));
                    }
                }
            }
            // SAFETY: the rows are there, by `Keys::check`, and a multiple of the lanes long.
            unsafe {
                let q = buffers.q.as_ptr().add(first * head_dim);
                let mut sums = [I::zero(); M];
                for at in (0..head_dim).step_by(I::LANES) {
                    let k = T::load::<I>(k.add(at));
                    for (m, sum) in sums.iter_mut().enumerate() {
                        *sum = I::fma(I::load(q.add(m * head_dim + at)), k, *sum);
                    }
                }
                for (m, &sum) in sums.iter().enumerate() {
                    buffers.scores[(first + m) * KEYS + column] = I::sum(sum) * scale;
                }
            }
        }
    }

    /// Add the values of some keys times the weights to the sums of all rows.
    #[inline(always)]
    unsafe fn sum_in_place<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>) {
        let rows = buffers.total.len();
        // SAFETY: as for this function; the rows are there.
        unsafe {
            for row in (0..rows / 4 * 4).step_by(4) {
                self.sum_rows::<I, 4>(buffers, keys.clone(), row);
            }
            for row in rows / 4 * 4..rows {
                self.sum_rows::<I, 1>(buffers, keys.clone(), row);
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_rows<I: Isa, const M: usize>(&self, buffers: &mut Buffers, keys: Range<usize>, first: usize) {
        let Sizes { kv_heads, head_dim, .. } = self.attention.sizes;
        let (sequence, head) = (self.head / kv_heads, self.head % kv_heads);
        // The sums of a few columns stay in registers over all keys.
        for at in (0..head_dim).step_by(I::LANES) {
            // SAFETY: as in `score_rows`.
            unsafe {
                let to = |m: usize| (first + m) * head_dim + at;
                let mut sums: [I::F; M] = std::array::from_fn(|m| I::load(buffers.sums.as_ptr().add(to(m))));
                for (column, key) in keys.clone().enumerate() {
                    let v = T::load::<I>(self.attention.v.rows.row(sequence, head, key).add(at));
                    let scale = self.attention.v.scale(sequence, head, key);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        *sum = I::fma(I::splat(buffers.scores[(first + m) * KEYS + column] * scale), v, *sum);
                    }
                }
                for (m, &sum) in sums.iter().enumerate() {
                    I::store(buffers.sums.as_mut_ptr().add(to(m)), sum);
                }
            }
        }
    }

    /// Turn the scores of a block into weights relative to the largest score so far, and scale what was summed.
    #[inline(always)]
    unsafe fn weigh<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>, padded: usize) {
        for (row, scores) in buffers.scores.chunks_exact_mut(KEYS).enumerate() {
            let seen = match self.attention.mask {
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
