//! Portable attention, computed in chunks of queries so that the scores stay bounded in memory.

use burn::tensor::activation::softmax;
use burn::tensor::backend::Backend;
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

/// The keys that each query may attend to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mask {
    /// Every key.
    Full,
    /// Query `i` sees keys `0..=offset + i`.
    Causal {
        /// Number of keys before the first query.
        offset: usize,
    },
}

/// Keys or values quantized to 8 bits, with one scale per row.
#[derive(Debug, Clone)]
pub struct Int8Rows<B: Backend> {
    /// `[batch, heads, rows, head_dim]`, −127 to 127.
    pub codes: Tensor<B, 4, Int>,
    /// Scale of each row, `[batch, heads, rows, 1]`, f32.
    pub scales: Tensor<B, 4>,
}

impl<B: Backend> Int8Rows<B> {
    /// Rows of zeros of shape `[batch, heads, rows, head_dim]`.
    pub fn zeros(shape: [usize; 4], device: &B::Device) -> Self {
        let [batch, heads, rows, _] = shape;
        Self {
            codes: Tensor::zeros(shape, (device, DType::I8)),
            scales: Tensor::zeros([batch, heads, rows, 1], (device, DType::F32)),
        }
    }

    /// The first `count` rows.
    #[must_use]
    pub fn first_rows(&self, count: usize) -> Self {
        Self { codes: self.codes.clone().narrow(2, 0, count), scales: self.scales.clone().narrow(2, 0, count) }
    }

    /// `codes · scales`, as f32.
    pub(super) fn dequantize(self) -> Tensor<B, 4> {
        self.codes.float().cast(DType::F32) * self.scales
    }
}

/// Symmetric quantization: the largest absolute value of a row becomes 127, the others are rounded to nearest.
pub(super) fn write_int8_rows<B: Backend>(cache: Int8Rows<B>, rows: Tensor<B, 4>, start: usize) -> Int8Rows<B> {
    let [batch, heads, count, head_dim] = rows.dims();
    let scales = rows.clone().abs().max_dim(3).div_scalar(127.0);
    let codes = (rows / scales.clone().clamp_min(f32::MIN_POSITIVE)).round().int().cast(DType::I8);
    let [a, b, c] = [0..batch, 0..heads, start..start + count];
    Int8Rows {
        codes: cache.codes.slice_assign([a.clone(), b.clone(), c.clone(), 0..head_dim], codes),
        scales: cache.scales.slice_assign([a, b, c, 0..1], scales),
    }
}

/// Largest number of scores in memory at once (256 MiB of f32).
const MAX_SCORES: usize = 1 << 26;

pub(super) fn write_rows<B: Backend>(cache: Tensor<B, 4>, rows: Tensor<B, 4>, start: usize) -> Tensor<B, 4> {
    let [batch, heads, count, head_dim] = rows.dims();
    let rows = if rows.dtype() == cache.dtype() { rows } else { rows.cast(cache.dtype()) };
    cache.slice_assign([0..batch, 0..heads, start..start + count, 0..head_dim], rows)
}

pub(super) fn attention<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>, mask: Mask) -> Tensor<B, 4> {
    let [batch, heads, q_len, _] = q.dims();
    let k_len = k.dims()[2];
    let step = (MAX_SCORES / (batch * heads * k_len).max(1)).max(1);
    if step >= q_len {
        return attend(q, k, v, mask);
    }
    let chunks = (0..q_len).step_by(step).map(|start| {
        let len = step.min(q_len - start);
        let queries = q.clone().narrow(2, start, len);
        match mask {
            Mask::Full => attend(queries, k.clone(), v.clone(), mask),
            Mask::Causal { offset } => {
                let visible = (offset + start + len).min(k_len);
                let (k, v) = (k.clone().narrow(2, 0, visible), v.clone().narrow(2, 0, visible));
                attend(queries, k, v, Mask::Causal { offset: offset + start })
            }
        }
    });
    Tensor::cat(chunks.collect(), 2)
}

/// Grouped-query attention: the query heads that share a key head become rows of one product, so keys and values are
/// never repeated.
fn attend<B: Backend>(q: Tensor<B, 4>, k: Tensor<B, 4>, v: Tensor<B, 4>, mask: Mask) -> Tensor<B, 4> {
    let [batch, heads, q_len, head_dim] = q.dims();
    let [_, kv_heads, k_len, _] = k.dims();
    let group = heads / kv_heads;
    let rows = q.mul_scalar((head_dim as f64).powf(-0.5)).reshape([batch, kv_heads, group * q_len, head_dim]);
    let mut scores = rows.matmul(k.transpose());
    if let Mask::Causal { offset } = mask
        && offset + 1 < k_len
    {
        let masked = causal_mask::<B>(offset, q_len, k_len, &scores.device());
        scores = scores
            .reshape([batch * kv_heads, group, q_len, k_len])
            .mask_fill(masked.unsqueeze::<4>(), f32::NEG_INFINITY)
            .reshape([batch, kv_heads, group * q_len, k_len]);
    }
    softmax(scores, 3).matmul(v).reshape([batch, heads, q_len, head_dim])
}

/// `[q_len, k_len]`, true where a key comes after the query.
fn causal_mask<B: Backend>(offset: usize, q_len: usize, k_len: usize, device: &B::Device) -> Tensor<B, 2, Bool> {
    let masked: Vec<bool> = (0..q_len).flat_map(|i| (0..k_len).map(move |j| j > offset + i)).collect();
    Tensor::from_data(TensorData::new(masked, [q_len, k_len]), device)
}
