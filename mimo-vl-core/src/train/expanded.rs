//! A smaller trained model as the start of a larger one.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::random::RandomSource;
use crate::checkpoint::{Checkpoint, CheckpointSource, TensorId, TensorSource, WeightFormat};
use crate::config::{AttentionPart, TensorRole, TextConfig};
use crate::error::Result;

/// Tensors of a larger model, expanded from a smaller one with the same widths, query heads and rotary base so that it
/// computes the same function at first (Chen, Goodfellow and Shlens, "Net2Net", arXiv 1511.05641).
///
/// Layers that the base model lacks add nothing to the residual stream, and each key and value head is copied to
/// all heads that replace it.
#[derive(Debug)]
pub struct ExpandedSource<'a, B: Backend> {
    base: &'a Checkpoint,
    source: CheckpointSource<'a, B>,
    random: RandomSource<B>,
    base_config: &'a TextConfig,
    token_map: &'a [(u32, u32)],
}

impl<'a, B: Backend> ExpandedSource<'a, B> {
    /// Takes the tensors that `base` has from it, and the others from `random`. `base_config` is the configuration of
    /// `base`, and `token_map` pairs each token id of the larger model with its id in `base`, where it has one.
    pub fn new(
        base: &'a Checkpoint,
        base_config: &'a TextConfig,
        token_map: &'a [(u32, u32)],
        random: RandomSource<B>,
        device: &'a B::Device,
    ) -> Self {
        Self { base, source: base.source(WeightFormat::F32, device), random, base_config, token_map }
    }
}

impl<B: Backend> TensorSource<B> for ExpandedSource<'_, B> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        if !self.base.has(id) {
            let random = self.random.tensor(id, shape)?;
            return Ok(if id.role.writes_residual() { random.zeros_like() } else { random });
        }
        match id.role {
            TensorRole::Attention(AttentionPart::Key | AttentionPart::Value) => self.repeat_kv_heads(id, shape),
            TensorRole::Embedding | TensorRole::Head => self.map_tokens(id, shape),
            _ => self.source.tensor(id, shape),
        }
    }
}

impl<B: Backend> ExpandedSource<'_, B> {
    /// Key or value rows, each head of the base model repeated for the heads that replace it.
    fn repeat_kv_heads<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let (head_dim, base_heads) = (self.base_config.head_dim, self.base_config.num_key_value_heads);
        let mut base_shape = shape;
        base_shape[0] = base_heads * head_dim;
        let tensor: Tensor<B, D> = self.source.tensor(id, base_shape)?;
        let copies = (shape[0] / base_shape[0].max(1)).max(1);
        let heads = (0..base_heads * copies).map(|head| {
            let start = head / copies * head_dim;
            tensor.clone().slice_dim(0, start..start + head_dim)
        });
        Ok(if copies == 1 { tensor } else { Tensor::cat(heads.collect(), 0) })
    }

    /// Embedding or output rows, in the order of the larger model's tokens.
    fn map_tokens<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let mut base_shape = shape;
        base_shape[0] = self.base_config.vocab_size;
        let values = |tensor: Tensor<B, D>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        let random = self.random.tensor(id, shape)?;
        // The logit of a token that the base model lacks starts at 0.
        let mut rows = values(if id.role == TensorRole::Head { random.zeros_like() } else { random });
        let base_rows = values(self.source.tensor(id, base_shape)?);
        let width = rows.len() / shape[0].max(1);
        for &(token, base_token) in self.token_map {
            let (start, base_start) = (token as usize * width, base_token as usize * width);
            let base_row = base_rows.get(base_start..base_start + width);
            if let (Some(row), Some(base_row)) = (rows.get_mut(start..start + width), base_row) {
                row.copy_from_slice(base_row);
            }
        }
        Ok(Tensor::from_data(TensorData::new(rows, shape), &self.random.device))
    }
}
