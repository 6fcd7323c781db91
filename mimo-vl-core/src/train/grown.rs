//! A smaller trained model as the start of a larger one.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::init::RandomSource;
use crate::checkpoint::{Checkpoint, CheckpointSource, TensorId, TensorSource, WeightFormat};
use crate::config::{AttentionPart, TensorRole, TextConfig};
use crate::error::Result;

/// The tensors of an earlier model with the same widths, heads and rotary base. Layers that it lacks add nothing to the
/// residual stream at first, and heads of keys and values that it lacks are copies of those that it shared, so that the larger
/// model starts by doing what the earlier one did (compare Chen and others, "Net2Net", 2016).
#[derive(Debug)]
pub struct ExpandedSource<'a, B: Backend> {
    earlier: &'a Checkpoint,
    source: CheckpointSource<'a, B>,
    random: RandomSource<B>,
    config: &'a TextConfig,
    tokens: &'a [(u32, u32)],
}

impl<'a, B: Backend> ExpandedSource<'a, B> {
    /// Take from `earlier`, which has this `config`, what it has, and the rest from `random`. `tokens` pairs each token with
    /// its earlier number, where it has one.
    pub fn new(
        earlier: &'a Checkpoint,
        config: &'a TextConfig,
        tokens: &'a [(u32, u32)],
        random: RandomSource<B>,
        device: &'a B::Device,
    ) -> Self {
        Self { earlier, source: earlier.source(WeightFormat::F32, device), random, config, tokens }
    }
}

impl<B: Backend> TensorSource<B> for ExpandedSource<'_, B> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let random = || self.random.tensor(id, shape);
        if !self.earlier.has(id) {
            return Ok(if id.role.writes_residual() { random()?.zeros_like() } else { random()? });
        }
        match id.role {
            TensorRole::Attention(AttentionPart::Key | AttentionPart::Value) => return self.shared_heads(id, shape),
            TensorRole::Embedding | TensorRole::Head => {}
            _ => return self.source.tensor(id, shape),
        }
        let mut earlier = shape;
        earlier[0] = self.config.vocab_size;
        let values = |tensor: Tensor<B, D>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        // A new token starts with a logit of 0, not with one that chance has made.
        let first = if id.role == TensorRole::Head { random()?.zeros_like() } else { random()? };
        let (old, mut new) = (values(self.source.tensor(id, earlier)?), values(first));
        let width = new.len() / shape[0].max(1);
        for &(token, before) in self.tokens {
            let (token, before) = (token as usize * width, before as usize * width);
            if let (Some(row), Some(known)) = (new.get_mut(token..token + width), old.get(before..before + width)) {
                row.copy_from_slice(known);
            }
        }
        Ok(Tensor::from_data(TensorData::new(new, shape), &self.random.device))
    }
}

impl<B: Backend> ExpandedSource<'_, B> {
    /// Rows of keys or values: each of the earlier heads as often as there are heads now that shared it.
    fn shared_heads<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let (width, before) = (self.config.head_dim, self.config.num_key_value_heads);
        let mut earlier = shape;
        earlier[0] = before * width;
        let tensor: Tensor<B, D> = self.source.tensor(id, earlier)?;
        let copies = (shape[0] / earlier[0].max(1)).max(1);
        let heads = (0..before * copies).map(|head| {
            let start = head / copies * width;
            tensor.clone().slice_dim(0, start..start + width)
        });
        Ok(if copies == 1 { tensor } else { Tensor::cat(heads.collect(), 0) })
    }
}
