//! Root-mean-square normalization.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter;
use crate::checkpoint::{TensorId, TensorSource};
use crate::error::Result;
use crate::kernels::Kernels;

/// RMSNorm over the last dimension.
#[derive(Module, Debug)]
pub struct RmsNorm<B: Kernels> {
    weight: Param<Tensor<B, 1>>,
    eps: f64,
}

impl<B: Kernels> RmsNorm<B> {
    /// Takes the weight `id` from the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(source: &impl TensorSource<B>, id: impl Into<TensorId>, width: usize, eps: f64) -> Result<Self> {
        Ok(Self { weight: parameter(source, id, [width])?, eps })
    }

    /// Normalizes each row.
    ///
    /// # Shapes
    /// - `x`: `[rows, width]`
    /// - result: `[rows, width]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        B::rms_norm(x, self.weight.val(), self.eps)
    }
}
