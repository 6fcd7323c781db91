//! The linear layer.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter;
use crate::checkpoint::TensorSource;
use crate::error::Result;
use crate::kernels::Kernels;

/// `x · weightᵀ + bias`, with the weight in the checkpoint's layout `[out, in]`.
#[derive(Module, Debug)]
pub struct Linear<B: Kernels> {
    weight: Param<Tensor<B, 2>>,
    bias: Option<Param<Tensor<B, 1>>>,
}

impl<B: Kernels> Linear<B> {
    /// Take `name.weight`, and `name.bias` when there is one, from the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(source: &impl TensorSource<B>, name: &str, [width, out]: [usize; 2], has_bias: bool) -> Result<Self> {
        let weight = parameter(source, &format!("{name}.weight"), [out, width])?;
        let bias = if has_bias { Some(parameter(source, &format!("{name}.bias"), [out])?) } else { None };
        Ok(Self { weight, bias })
    }

    /// A layer without bias over an existing weight.
    pub(crate) fn from_weight(weight: Param<Tensor<B, 2>>) -> Self {
        Self { weight, bias: None }
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        <B as Kernels>::linear(x, self.weight.val(), self.bias.as_ref().map(Param::val))
    }
}
