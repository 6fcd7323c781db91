//! One decoder layer of the language model.

use burn::module::Module;
use burn::tensor::Tensor;

use super::kv_cache::LayerCache;
use crate::checkpoint::TensorSource;
use crate::config::{AttentionPart, NormPart, TensorRole, TextConfig};
use crate::error::Result;
use crate::kernels::{Kernels, Mask};
use crate::model::nn::{GatedMlp, Linear, MergedLinear, RmsNorm, RopeTable};

#[derive(Module, Debug)]
pub(super) struct Layer<B: Kernels> {
    norm1: RmsNorm<B>,
    qkv: MergedLinear<B>,
    out: Linear<B>,
    norm2: RmsNorm<B>,
    mlp: GatedMlp<B>,
    head_dim: usize,
}

impl<B: Kernels> Layer<B> {
    pub(super) fn load(source: &impl TensorSource<B>, config: &TextConfig, index: usize) -> Result<Self> {
        let hidden = config.hidden_size;
        let norm = |part| TensorRole::Norm(part).at(index);
        let attention = |part| TensorRole::Attention(part).at(index);
        let query_width = config.num_attention_heads * config.head_dim;
        let key_width = config.num_key_value_heads * config.head_dim;
        let parts = [
            (attention(AttentionPart::Query), query_width),
            (attention(AttentionPart::Key), key_width),
            (attention(AttentionPart::Value), key_width),
        ];
        Ok(Self {
            norm1: RmsNorm::load(source, norm(NormPart::Attention), hidden, config.rms_norm_eps)?,
            qkv: MergedLinear::load(source, &parts, hidden, true)?,
            out: Linear::load(source, attention(AttentionPart::Output), [query_width, hidden], false)?,
            norm2: RmsNorm::load(source, norm(NormPart::Mlp), hidden, config.rms_norm_eps)?,
            mlp: GatedMlp::load(source, TensorRole::Mlp, index, [hidden, config.intermediate_size], false)?,
            head_dim: config.head_dim,
        })
    }

    /// Applies the layer. `caches` has the cache of each sequence with its number of cached tokens, or is empty.
    ///
    /// # Shapes
    /// - `x`: `[batch · len, hidden]`
    /// - result: as `x`
    pub(super) fn forward(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        rope: &RopeTable<B>,
        caches: &mut [(&mut LayerCache<B>, usize)],
    ) -> Tensor<B, 2> {
        // The new tensor is on the left: it is not shared, so the sum is computed in place.
        let x = self.attention(self.norm1.forward(x.clone()), batch, rope, caches) + x;
        self.mlp.forward(self.norm2.forward(x.clone())) + x
    }

    fn attention(
        &self,
        x: Tensor<B, 2>,
        batch: usize,
        rope: &RopeTable<B>,
        caches: &mut [(&mut LayerCache<B>, usize)],
    ) -> Tensor<B, 2> {
        let [rows, _] = x.dims();
        let heads = |x: Tensor<B, 2>| {
            let heads = x.dims()[1] / self.head_dim;
            x.reshape([batch, rows / batch, heads, self.head_dim]).swap_dims(1, 2)
        };
        let [q, k, v] = self.qkv.forward(x);
        let (q, k, v) = (heads(rope.apply(q)), heads(rope.apply(k)), heads(v));
        let mixed = match caches {
            [] => <B as Kernels>::attention(q, k, v, Mask::Causal { offset: 0 }),
            [(cache, past)] => cache.attend(*past, q, k, v),
            caches => {
                let row = |x: &Tensor<B, 4>, index| x.clone().narrow(0, index, 1);
                let each = caches
                    .iter_mut()
                    .enumerate()
                    .map(|(index, (cache, past))| cache.attend(*past, row(&q, index), row(&k, index), row(&v, index)));
                Tensor::cat(each.collect(), 0)
            }
        };
        self.out.forward(mixed.swap_dims(1, 2).reshape([rows as i32, -1]))
    }
}
