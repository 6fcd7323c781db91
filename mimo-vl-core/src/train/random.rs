//! Random initialization.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use crate::checkpoint::{TensorId, TensorKind, TensorSource};
use crate::config::TensorRole;
use crate::error::Result;
use crate::model::parameter_id;

/// Random tensors for training from scratch.
///
/// Norm weights are 1 and biases 0. Embeddings have the standard deviation `embedding_std`, and matrices `1/√in`,
/// divided by `√(2 · depth)` where they write to the residual stream (Radford and others, "Language Models are
/// Unsupervised Multitask Learners", 2019).
#[derive(Debug, Clone)]
pub struct RandomSource<B: Backend> {
    /// Random seed. Every tensor is a function of it and of the tensor's name.
    pub seed: u64,
    /// Standard deviation of the token embedding.
    pub embedding_std: f32,
    /// Number of layers that add to the residual stream.
    pub depth: usize,
    /// Device of the tensors.
    pub device: B::Device,
}

impl<B: Backend> TensorSource<B> for RandomSource<B> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let count = shape.iter().product();
        let values = if id.kind == TensorKind::Bias {
            vec![0.0; count]
        } else if id.role.is_norm() {
            vec![1.0; count]
        } else {
            let width = (count / shape[0].max(1)) as f32;
            let std = match id.role {
                TensorRole::Embedding => self.embedding_std,
                role if role.writes_residual() => (width * 2.0 * self.depth.max(1) as f32).sqrt().recip(),
                _ => width.sqrt().recip(),
            };
            let mut normal = Normal { state: self.seed ^ parameter_id(&id.to_string()).val() };
            (0..count).map(|_| std * normal.draw()).collect()
        };
        Ok(Tensor::from_data(TensorData::new(values, shape), &self.device))
    }
}

/// Normally distributed numbers: SplitMix64 (Steele, Lea and Flood, 2014) and the Box-Muller transform.
struct Normal {
    state: u64,
}

impl Normal {
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn draw(&mut self) -> f32 {
        let (radius, angle) = ((-2.0 * self.uniform().ln()).sqrt(), std::f64::consts::TAU * self.uniform());
        (radius * angle.cos()) as f32
    }
}
