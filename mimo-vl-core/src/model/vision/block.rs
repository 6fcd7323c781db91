//! One transformer block of the vision tower.

use burn::module::Module;
use burn::tensor::{Int, Tensor};

use super::windows::Segments;
use crate::checkpoint::TensorSource;
use crate::config::{NormPart, TensorRole, VisionAttentionPart, VisionConfig};
use crate::error::Result;
use crate::kernels::{Kernels, Mask};
use crate::model::nn::{GatedMlp, Linear, RmsNorm, RopeTable};

/// Epsilon of the vision norms, independent of the configuration as in the reference (transformers, Qwen2.5-VL).
const EPS: f64 = 1e-6;

/// Inputs of attention that all blocks of one forward pass share.
pub(super) struct AttentionContext<B: Kernels> {
    /// Rotary table of the rows, in window order.
    pub(super) rope: RopeTable<B>,
    /// Segments of window attention, in window order.
    pub(super) windows: Vec<Segments>,
    /// Segments of full attention, in image order.
    pub(super) full: Vec<Segments>,
    /// Row permutations between window order and image order; `None` if the orders are equal.
    pub(super) reorder: Option<Reorder<B>>,
}

/// Row permutations between window order and image order.
pub(super) struct Reorder<B: Kernels> {
    pub(super) to_image: Tensor<B, 1, Int>,
    pub(super) to_windows: Tensor<B, 1, Int>,
}

#[derive(Module, Debug)]
pub(super) struct Block<B: Kernels> {
    norm1: RmsNorm<B>,
    qkv: Linear<B>,
    out: Linear<B>,
    norm2: RmsNorm<B>,
    mlp: GatedMlp<B>,
    heads: usize,
    full_attention: bool,
}

impl<B: Kernels> Block<B> {
    pub(super) fn load(source: &impl TensorSource<B>, config: &VisionConfig, index: usize) -> Result<Self> {
        let width = config.hidden_size;
        let norm = |part| TensorRole::VisionNorm(part).at(index);
        let attention = |part| TensorRole::VisionAttention(part).at(index);
        let mlp = [width, config.intermediate_size];
        Ok(Self {
            norm1: RmsNorm::load(source, norm(NormPart::Attention), width, EPS)?,
            qkv: Linear::load(source, attention(VisionAttentionPart::Qkv), [width, 3 * width], true)?,
            out: Linear::load(source, attention(VisionAttentionPart::Output), [width, width], true)?,
            norm2: RmsNorm::load(source, norm(NormPart::Mlp), width, EPS)?,
            mlp: GatedMlp::load(source, TensorRole::VisionMlp, index, mlp, true)?,
            heads: config.num_heads,
            full_attention: config.fullatt_block_indexes.contains(&index),
        })
    }

    /// Applies the block.
    ///
    /// # Shapes
    /// - `x`: `[patches, hidden]` in window order
    /// - result: as `x`
    pub(super) fn forward(&self, x: Tensor<B, 2>, context: &AttentionContext<B>) -> Tensor<B, 2> {
        // The new tensor is on the left: it is not shared, so the sum is computed in place.
        let x = self.attention(self.norm1.forward(x.clone()), context) + x;
        self.mlp.forward(self.norm2.forward(x.clone())) + x
    }

    fn attention(&self, x: Tensor<B, 2>, context: &AttentionContext<B>) -> Tensor<B, 2> {
        let qkv = self.qkv.forward(x);
        let width = qkv.dims()[1] / 3;
        let rotated = |index: usize| context.rope.apply(qkv.clone().narrow(1, index * width, width));
        let (q, k) = (rotated(0), rotated(1));
        // The values are not copied: they are the last third of the heads.
        let mixed = match (&context.reorder, self.full_attention) {
            (_, false) => self.attend(q, k, qkv, &context.windows),
            (None, true) => self.attend(q, k, qkv, &context.full),
            (Some(reorder), true) => {
                let to_image = |x: Tensor<B, 2>| x.select(0, reorder.to_image.clone());
                let v = to_image(qkv.narrow(1, 2 * width, width));
                let mixed = self.attend(to_image(q), to_image(k), v, &context.full);
                mixed.select(0, reorder.to_windows.clone())
            }
        };
        self.out.forward(mixed)
    }

    /// Attention within each segment.
    ///
    /// # Shapes
    /// - `q`, `k`: `[rows, heads · head_dim]`
    /// - `v`: as `q`, or wider with the values in the last heads
    fn attend(&self, q: Tensor<B, 2>, k: Tensor<B, 2>, v: Tensor<B, 2>, segments: &[Segments]) -> Tensor<B, 2> {
        let [_, width] = q.dims();
        let head_dim = width / self.heads;
        let parts = segments.iter().map(|&Segments { start, count, len }| {
            let heads = |x: &Tensor<B, 2>| {
                let all = x.dims()[1] / head_dim;
                let rows = x.clone().narrow(0, start, count * len).reshape([count, len, all, head_dim]);
                let rows = if all > self.heads { rows.narrow(2, all - self.heads, self.heads) } else { rows };
                rows.swap_dims(1, 2)
            };
            let mixed = <B as Kernels>::attention(heads(&q), heads(&k), heads(&v), Mask::Full);
            mixed.swap_dims(1, 2).reshape([count * len, width])
        });
        let mut parts: Vec<_> = parts.collect();
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 0) }
    }
}
