//! A smaller trained model as the start of a larger one.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::init::{RandomSource, is_residual};
use crate::checkpoint::{Checkpoint, CheckpointSource, TensorSource, Weights};
use crate::error::Result;

/// The tensors of an earlier model with the same widths, heads and rotary base. Layers that it lacks add nothing to the residual stream at first, so
/// that the larger model starts by doing what the earlier one did (compare Chen and others, "Net2Net", 2016).
#[derive(Debug)]
pub struct GrownSource<'a, B: Backend> {
    earlier: &'a Checkpoint,
    source: CheckpointSource<'a, B>,
    random: RandomSource<B>,
    vocab_size: usize,
    tokens: &'a [(u32, u32)],
}

impl<'a, B: Backend> GrownSource<'a, B> {
    /// Take from `earlier` what it has, and the rest from `random`. `vocab_size` is the earlier number of rows of the
    /// embedding; `tokens` pairs each token with its earlier number, where it has one.
    pub fn new(
        earlier: &'a Checkpoint,
        vocab_size: usize,
        tokens: &'a [(u32, u32)],
        random: RandomSource<B>,
        device: &'a B::Device,
    ) -> Self {
        Self { earlier, source: earlier.source(Weights::F32, device), random, vocab_size, tokens }
    }
}

impl<B: Backend> TensorSource<B> for GrownSource<'_, B> {
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let random = || self.random.tensor(name, shape);
        if !self.earlier.has(name) {
            return Ok(if is_residual(name) { random()?.zeros_like() } else { random()? });
        }
        if !(name.contains("embed_tokens") || name.contains("lm_head")) {
            return self.source.tensor(name, shape);
        }
        let mut earlier = shape;
        earlier[0] = self.vocab_size;
        let values = |tensor: Tensor<B, D>| tensor.into_data().iter::<f32>().collect::<Vec<f32>>();
        // A new token starts with a logit of 0, not with one that chance has made.
        let first = if name.contains("lm_head") { random()?.zeros_like() } else { random()? };
        let (old, mut new) = (values(self.source.tensor(name, earlier)?), values(first));
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
