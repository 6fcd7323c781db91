//! Attention with online softmax: keys are processed in blocks, and the accumulated sums are rescaled whenever a larger
//! score appears, so the full score matrix is never stored (Milakov and Gimelshein, "Online normalizer calculation for
//! softmax", 2018; Dao et al., "FlashAttention", 2022).

use std::cell::RefCell;
use std::ops::Range;

use super::SMALL_BATCH_ROWS;
use super::block::{StridedRows, multiply_block};
use super::disjoint::Disjoint;
use super::exp::exp;
use super::isa::{Isa, Kernel};
use super::pool::parallel_for;
use super::simd_level::{SimdLevel, run};
use super::stored::Stored;
use crate::kernels::Mask;

/// Keys per block.
const BLOCK_KEYS: usize = 64;
/// Query rows per block, counted over all heads that share keys.
const BLOCK_ROWS: usize = 96;
/// Number of keys by which prefetching runs ahead.
const PREFETCH_ROWS: usize = 32;
/// Bytes per cache line.
const CACHE_LINE: usize = 64;
/// Lanes of the widest registers. Heads are padded to a multiple of this.
const MAX_LANES: usize = 16;
/// Largest number of values that are repacked at a time, unless one head has more: 32 MiB.
const MAX_REPACKED: usize = 1 << 23;

thread_local! {
    /// Repacked keys and values. Retained between calls, to reuse the memory.
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Frees the memory retained for the next call.
pub(in crate::kernels) fn release_scratch() {
    SCRATCH.take();
}

/// Strided view of `[batch, heads, rows, head_dim]`, whose rows are contiguous.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct HeadsView<'a, T> {
    pub(in crate::kernels) values: &'a [T],
    /// Index of the first value.
    pub(in crate::kernels) offset: usize,
    /// Distances from one sequence, head and row to the next, in values.
    pub(in crate::kernels) strides: [usize; 3],
}

/// View of keys or values, with an optional scale per row.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct KvView<'a, T> {
    pub(in crate::kernels) rows: HeadsView<'a, T>,
    pub(in crate::kernels) scales: Option<HeadsView<'a, f32>>,
}

impl<T> KvView<'_, T> {
    fn check(&self, sizes: Sizes) {
        self.rows.check(sizes.batch, sizes.kv_heads, sizes.keys, sizes.head_dim);
        if let Some(scales) = self.scales {
            scales.check(sizes.batch, sizes.kv_heads, sizes.keys, 1);
        }
    }

    #[inline(always)]
    fn scale(&self, sequence: usize, head: usize, row: usize) -> f32 {
        // SAFETY: the scale is in bounds, by `check`.
        self.scales.map_or(1.0, |scales| unsafe { *scales.row(sequence, head, row) })
    }
}

/// Dimensions of the operation.
#[derive(Debug, Clone, Copy)]
pub(in crate::kernels) struct Sizes {
    pub(in crate::kernels) batch: usize,
    pub(in crate::kernels) heads: usize,
    pub(in crate::kernels) kv_heads: usize,
    pub(in crate::kernels) queries: usize,
    pub(in crate::kernels) keys: usize,
    pub(in crate::kernels) head_dim: usize,
}

impl<T> HeadsView<'_, T> {
    fn check(&self, batch: usize, heads: usize, rows: usize, head_dim: usize) {
        if batch * heads * rows * head_dim > 0 {
            let [a, b, c] = self.strides;
            let last = self.offset + (batch - 1) * a + (heads - 1) * b + (rows - 1) * c + head_dim;
            assert!(last <= self.values.len(), "the heads end at value {last} of {}", self.values.len());
        }
    }

    #[inline(always)]
    fn row(&self, sequence: usize, head: usize, row: usize) -> *const T {
        let at = self.offset + sequence * self.strides[0] + head * self.strides[1] + row * self.strides[2];
        // In bounds, by `check`.
        self.values.as_ptr().wrapping_add(at)
    }
}

/// `softmax(q·kᵀ/√head_dim + mask)·v`.
///
/// # Shapes
/// - `out`: `[batch, queries, heads, head_dim]`
///
/// # Panics
/// If the sizes do not match the slices.
pub(in crate::kernels) fn attend<T: Stored>(
    level: SimdLevel,
    sizes: Sizes,
    q: HeadsView<'_, f32>,
    k: KvView<'_, T>,
    v: KvView<'_, T>,
    mask: Mask,
    out: &mut [f32],
) {
    let Sizes { batch, heads, kv_heads, queries, keys, head_dim } = sizes;
    q.check(batch, heads, queries, head_dim);
    k.check(sizes);
    v.check(sizes);
    assert_eq!(out.len(), batch * queries * heads * head_dim);
    assert!(heads % kv_heads.max(1) == 0, "{heads} query heads are no multiple of {kv_heads} key heads");
    if let Mask::Causal { offset } = mask {
        assert!(offset < keys || queries == 0, "the first query has position {offset}, but there are {keys} keys");
    }
    if out.is_empty() {
        return;
    }
    let group = heads / kv_heads;
    let block_queries = (BLOCK_ROWS / group).clamp(1, queries);
    let blocks = queries.div_ceil(block_queries);
    let out = Disjoint::new(out);
    let attention = Attention { sizes, q, k, v, mask, out: &out };
    let each_block = |all: Range<usize>, repacked: Option<&[f32]>| {
        parallel_for(all.len() * blocks, 1, |parts| {
            for part in parts {
                // The last blocks of a causal sequence have the most keys, so they start first.
                let (block, index) = (blocks - 1 - part / all.len(), part % all.len());
                let queries = block * block_queries..(block * block_queries + block_queries).min(queries);
                let repacked =
                    repacked.map(|values| &values[index * attention.head_values()..][..attention.head_values()]);
                run(level, Block { attention, repacked, head: all.start + index, queries });
            }
        });
    };
    let all = 0..batch * kv_heads;
    if queries <= SMALL_BATCH_ROWS && head_dim.is_multiple_of(MAX_LANES) {
        return each_block(all, None);
    }
    let heads_per_pass = (MAX_REPACKED / attention.head_values().max(1)).clamp(1, all.len());
    SCRATCH.with_borrow_mut(|values| {
        for first in all.clone().step_by(heads_per_pass) {
            let heads = first..(first + heads_per_pass).min(all.end);
            values.resize(heads.len() * attention.head_values(), 0.0);
            let output = Disjoint::new(values);
            let key_blocks = keys.div_ceil(BLOCK_KEYS);
            parallel_for(heads.len() * key_blocks, 4, |parts| {
                for part in parts {
                    // SAFETY: each block of keys belongs to exactly one part.
                    let output =
                        unsafe { output.part(part * attention.block_values()..(part + 1) * attention.block_values()) };
                    run(
                        level,
                        Repack { attention, head: heads.start + part / key_blocks, block: part % key_blocks, output },
                    );
                }
            });
            each_block(heads, Some(values));
        }
    });
}

/// Arguments of the operation, shared by all blocks.
#[derive(Clone, Copy)]
struct Attention<'a, T> {
    sizes: Sizes,
    q: HeadsView<'a, f32>,
    k: KvView<'a, T>,
    v: KvView<'a, T>,
    mask: Mask,
    out: &'a Disjoint<'a, f32>,
}

impl<T> Attention<'_, T> {
    /// Values of a head, padding included.
    fn padded(&self) -> usize {
        self.sizes.head_dim.next_multiple_of(MAX_LANES)
    }

    /// Values of a repacked block of keys and values.
    fn block_values(&self) -> usize {
        2 * BLOCK_KEYS * self.padded()
    }

    /// Values of all repacked blocks of a head.
    fn head_values(&self) -> usize {
        self.sizes.keys.div_ceil(BLOCK_KEYS) * self.block_values()
    }
}

/// Converts a block to f32: its keys transposed, `[padded, BLOCK_KEYS]`, then its values, `[BLOCK_KEYS, padded]`.
/// Columns beyond the last key keep stale data, whose weights are set to 0.
struct Repack<'a, T> {
    attention: Attention<'a, T>,
    /// Key head, counted over all sequences.
    head: usize,
    block: usize,
    output: &'a mut [f32],
}

impl<T: Stored> Kernel for Repack<'_, T> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { attention, head, block, output } = self;
        let Sizes { kv_heads, keys, head_dim, .. } = attention.sizes;
        let (k_out, v_out) = output.split_at_mut(output.len() / 2);
        for (column, key) in (block * BLOCK_KEYS..(block * BLOCK_KEYS + BLOCK_KEYS).min(keys)).enumerate() {
            let (sequence, head) = (head / kv_heads, head % kv_heads);
            // SAFETY: the rows are in bounds, by `KvView::check`.
            let [k, v] = [attention.k, attention.v]
                .map(|view| unsafe { std::slice::from_raw_parts(view.rows.row(sequence, head, key), head_dim) });
            let [scale_k, scale_v] = [attention.k, attention.v].map(|view| view.scale(sequence, head, key));
            for (row, value) in k.iter().enumerate() {
                k_out[row * BLOCK_KEYS + column] = value.get() * scale_k;
            }
            let v_out = &mut v_out[column * attention.padded()..][..attention.padded()];
            let aligned = head_dim / I::LANES * I::LANES;
            for at in (0..aligned).step_by(I::LANES) {
                // SAFETY: in bounds of the row.
                unsafe {
                    let value = I::mul(T::load::<I>(v.as_ptr().add(at)), I::splat(scale_v));
                    I::store(v_out.as_mut_ptr().add(at), value);
                }
            }
            for at in aligned..head_dim {
                v_out[at] = v[at].get() * scale_v;
            }
        }
    }
}

/// A block of queries of the heads that share one key head.
struct Block<'a, T> {
    attention: Attention<'a, T>,
    /// Repacked keys and values of the head; `None` to read the strided rows directly.
    repacked: Option<&'a [f32]>,
    /// Key head, counted over all sequences.
    head: usize,
    queries: Range<usize>,
}

/// Intermediate values for each query row.
struct Buffers {
    /// Queries times `1/√head_dim`, `[rows, padded]`.
    q: Vec<f32>,
    /// Scores, then unnormalized weights, of the current block, `[rows, BLOCK_KEYS]`.
    scores: Vec<f32>,
    /// Weighted sums of values, `[rows, padded]`.
    sums: Vec<f32>,
    /// Largest score so far, `[rows]`.
    max_score: Vec<f32>,
    /// Sum of the weights so far, `[rows]`.
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
            scores: vec![0.0; rows * BLOCK_KEYS],
            sums: vec![0.0; rows * padded],
            max_score: vec![f32::NEG_INFINITY; rows],
            total: vec![0.0; rows],
        };
        let visible = match self.attention.mask {
            Mask::Full => keys,
            Mask::Causal { offset } => (offset + self.queries.end).min(keys),
        };
        // SAFETY: the sizes were checked in `attend`.
        unsafe {
            self.load_queries::<I>(&mut buffers.q, padded);
            for first in (0..visible).step_by(BLOCK_KEYS) {
                let keys = first..(first + BLOCK_KEYS).min(visible);
                let repacked = self.repacked.map(|values| {
                    let size = self.attention.block_values();
                    values[first / BLOCK_KEYS * size..][..size].split_at(size / 2)
                });
                match repacked {
                    None => self.score_strided::<I>(&mut buffers, keys.clone()),
                    Some((k, _)) => {
                        let q = StridedRows { start: buffers.q.as_ptr(), stride: padded };
                        let scores = buffers.scores.as_mut_ptr();
                        multiply_block::<I>(q, k.as_ptr(), scores, [rows, head_dim, BLOCK_KEYS], true);
                    }
                }
                self.online_softmax::<I>(&mut buffers, keys.clone(), padded);
                match repacked {
                    None => self.sum_strided::<I>(&mut buffers, keys),
                    Some((_, v)) => {
                        let p = StridedRows { start: buffers.scores.as_ptr(), stride: BLOCK_KEYS };
                        let sums = buffers.sums.as_mut_ptr();
                        multiply_block::<I>(p, v.as_ptr(), sums, [rows, keys.len(), padded], false);
                    }
                }
            }
        }
        for (row, sums) in buffers.sums.chunks_exact(padded).enumerate() {
            let (query, head) = self.query_and_head(row);
            let at = ((self.head / kv_heads * self.attention.sizes.queries + query) * heads + head) * head_dim;
            // SAFETY: each query of each head belongs to exactly one block.
            let out = unsafe { self.attention.out.part(at..at + head_dim) };
            let scale = 1.0 / buffers.total[row];
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum * scale);
        }
    }
}

impl<T: Stored> Block<'_, T> {
    /// Query index and head of a row. The heads of one query are adjacent rows.
    #[inline(always)]
    fn query_and_head(&self, row: usize) -> (usize, usize) {
        let Sizes { heads, kv_heads, .. } = self.attention.sizes;
        let group = heads / kv_heads;
        (self.queries.start + row / group, self.head % kv_heads * group + row % group)
    }

    #[inline(always)]
    unsafe fn load_queries<I: Isa>(&self, output: &mut [f32], padded: usize) {
        let Sizes { kv_heads, head_dim, .. } = self.attention.sizes;
        let scale = (head_dim as f32).powf(-0.5);
        for (row, output) in output.chunks_exact_mut(padded).enumerate() {
            let (query, head) = self.query_and_head(row);
            // SAFETY: the row is in bounds, by `HeadsView::check`.
            let q = unsafe {
                std::slice::from_raw_parts(self.attention.q.row(self.head / kv_heads, head, query), head_dim)
            };
            output.iter_mut().zip(q).for_each(|(output, q)| *output = q * scale);
        }
    }

    /// Scores of all rows for a block of keys, read from the strided rows.
    #[inline(always)]
    unsafe fn score_strided<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>) {
        let rows = buffers.total.len();
        // SAFETY: as for this function; the rows are in bounds.
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
                let ahead = self.attention.k.rows.row(sequence, head, key + PREFETCH_ROWS);
                let values = self.attention.v.rows.row(sequence, head, key);
                for at in (0..head_dim * size_of::<T>()).step_by(CACHE_LINE) {
                    // SAFETY: a prefetch of an invalid address has no effect.
                    unsafe {
                        I::prefetch(ahead.cast::<u8>().wrapping_add(at));
                        I::prefetch(values.cast::<u8>().wrapping_add(at));
                    }
                }
            }
            // SAFETY: the rows are in bounds, by `KvView::check`, and their length is a multiple of the lanes.
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
                    buffers.scores[(first + m) * BLOCK_KEYS + column] = I::sum(sum) * scale;
                }
            }
        }
    }

    /// Adds the weighted values of a block of keys, read from the strided rows, to the sums of all rows.
    #[inline(always)]
    unsafe fn sum_strided<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>) {
        let rows = buffers.total.len();
        // SAFETY: as for this function; the rows are in bounds.
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
        // The sums of one register of columns stay in registers over all keys.
        for at in (0..head_dim).step_by(I::LANES) {
            // SAFETY: as in `score_rows`.
            unsafe {
                let index = |m: usize| (first + m) * head_dim + at;
                let mut sums: [I::F; M] = std::array::from_fn(|m| I::load(buffers.sums.as_ptr().add(index(m))));
                for (column, key) in keys.clone().enumerate() {
                    let v = T::load::<I>(self.attention.v.rows.row(sequence, head, key).add(at));
                    let scale = self.attention.v.scale(sequence, head, key);
                    for (m, sum) in sums.iter_mut().enumerate() {
                        *sum = I::fma(I::splat(buffers.scores[(first + m) * BLOCK_KEYS + column] * scale), v, *sum);
                    }
                }
                for (m, &sum) in sums.iter().enumerate() {
                    I::store(buffers.sums.as_mut_ptr().add(index(m)), sum);
                }
            }
        }
    }

    /// Online softmax: replaces the scores of a block by weights `e^(score − max_score)` and rescales the sums so far
    /// where the maximum grew.
    #[inline(always)]
    unsafe fn online_softmax<I: Isa>(&self, buffers: &mut Buffers, keys: Range<usize>, padded: usize) {
        for (row, scores) in buffers.scores.chunks_exact_mut(BLOCK_KEYS).enumerate() {
            let visible = match self.attention.mask {
                Mask::Full => keys.len(),
                Mask::Causal { offset } => {
                    (offset + self.query_and_head(row).0 + 1).saturating_sub(keys.start).min(keys.len())
                }
            };
            scores[visible..].fill(f32::NEG_INFINITY);
            if visible == 0 {
                scores.fill(0.0);
                continue;
            }
            // SAFETY: `BLOCK_KEYS` and `padded` are multiples of the lanes.
            unsafe {
                let mut max_score = I::splat(buffers.max_score[row]);
                for at in (0..BLOCK_KEYS).step_by(I::LANES) {
                    max_score = I::max(max_score, I::load(scores.as_ptr().add(at)));
                }
                let max_score = I::largest(max_score);
                let (mut sum, shift) = (I::zero(), I::splat(max_score));
                for at in (0..BLOCK_KEYS).step_by(I::LANES) {
                    let score = scores.as_mut_ptr().add(at);
                    let weight = exp::<I>(I::sub(I::load(score), shift));
                    I::store(score, weight);
                    sum = I::add(sum, weight);
                }
                let before = buffers.max_score[row];
                let rescale = if before == max_score { 1.0 } else { (before - max_score).exp() };
                if rescale != 1.0 {
                    let rescale = I::splat(rescale);
                    for at in (0..padded).step_by(I::LANES) {
                        let sums = buffers.sums.as_mut_ptr().add(row * padded + at);
                        I::store(sums, I::mul(I::load(sums), rescale));
                    }
                }
                buffers.total[row] = buffers.total[row] * rescale + I::sum(sum);
                buffers.max_score[row] = max_score;
            }
        }
    }
}
