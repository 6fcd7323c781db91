//! The linear layer, alone and several at once.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter;
use crate::checkpoint::{TensorId, TensorSource};
use crate::error::Result;
use crate::kernels::{Kernels, QuantizedWeight};

/// `x · weightᵀ + bias`, with the weight in the checkpoint's layout `[out, in]` or quantized.
#[derive(Module, Debug)]
pub struct Linear<B: Kernels> {
    weight: Weight<B>,
    bias: Option<Param<Tensor<B, 1>>>,
}

#[derive(Module, Debug)]
enum Weight<B: Kernels> {
    Dense(Param<Tensor<B, 2>>),
    QuantizedWeight(QuantizedWeight<B>),
}

impl<B: Kernels> Linear<B> {
    /// Takes the weight `id`, and the bias if there is one, from the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(
        source: &impl TensorSource<B>,
        id: impl Into<TensorId>,
        [width, out]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self> {
        let id = id.into();
        let weight = match source.quantized(&[(id, out)], width)? {
            Some(quantized) => Weight::QuantizedWeight(quantized),
            None => Weight::Dense(parameter(source, id, [out, width])?),
        };
        let bias = if has_bias { Some(parameter(source, id.bias(), [out])?) } else { None };
        Ok(Self { weight, bias })
    }

    /// A layer without bias over an existing weight.
    pub(crate) fn from_weight(weight: Param<Tensor<B, 2>>) -> Self {
        Self { weight: Weight::Dense(weight), bias: None }
    }

    /// A layer without bias over a quantized weight.
    pub(crate) fn from_quantized(weight: QuantizedWeight<B>) -> Self {
        Self { weight: Weight::QuantizedWeight(weight), bias: None }
    }

    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let bias = self.bias.as_ref().map(Param::val);
        match &self.weight {
            Weight::Dense(weight) => <B as Kernels>::linear(x, weight.val(), bias),
            Weight::QuantizedWeight(weight) => B::linear_quantized(x, weight, bias),
        }
    }
}

/// Linear layers with the same input; quantized, they are one product.
#[derive(Module, Debug)]
pub struct MergedLinear<B: Kernels> {
    /// One, or one for each width.
    layers: Vec<Linear<B>>,
    widths: Vec<usize>,
}

impl<B: Kernels> MergedLinear<B> {
    /// Takes the weight, and the bias if there is one, of every part from the source.
    ///
    /// `parts` are the weights with the number of outputs of each.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(
        source: &impl TensorSource<B>,
        parts: &[(TensorId, usize)],
        width: usize,
        has_bias: bool,
    ) -> Result<Self> {
        let layers = match source.quantized(parts, width)? {
            Some(quantized) => {
                let mut layer = Linear::from_quantized(quantized);
                if has_bias {
                    let biases = parts.iter().map(|(id, out)| source.tensor(id.bias(), [*out]));
                    let bias = Tensor::cat(biases.collect::<Result<Vec<Tensor<B, 1>>>>()?, 0);
                    layer.bias = Some(Param::from_tensor(bias));
                }
                vec![layer]
            }
            None => {
                let layer = |&(id, out): &(TensorId, usize)| Linear::load(source, id, [width, out], has_bias);
                parts.iter().map(layer).collect::<Result<_>>()?
            }
        };
        Ok(Self { layers, widths: parts.iter().map(|(_, out)| *out).collect() })
    }

    /// The outputs of `N` parts.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]` of each part
    ///
    /// # Panics
    /// When there are not `N` parts.
    pub fn forward<const N: usize>(&self, x: Tensor<B, 2>) -> [Tensor<B, 2>; N] {
        assert_eq!(self.widths.len(), N, "parts of the layer");
        if self.layers.len() == N {
            return std::array::from_fn(|index| self.layers[index].forward(x.clone()));
        }
        let all = self.layers[0].forward(x);
        let mut start = 0;
        std::array::from_fn(|index| {
            let part = all.clone().narrow(1, start, self.widths[index]);
            start += self.widths[index];
            part
        })
    }

    /// `silu(first part) · second part`.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]`
    ///
    /// # Panics
    /// When there are not two parts of one width.
    pub fn gated(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        if let [Linear { weight: Weight::QuantizedWeight(weight), bias }] = self.layers.as_slice() {
            assert!(matches!(self.widths[..], [gate, up] if gate == up), "parts of {:?}", self.widths);
            return B::gated_quantized(x, weight, bias.as_ref().map(Param::val));
        }
        let [gate, up] = self.forward(x);
        B::swiglu(gate, up)
    }
}
