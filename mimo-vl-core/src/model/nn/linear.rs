//! Linear layers, single and merged.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::parameter;
use crate::checkpoint::{TensorId, TensorSource};
use crate::error::Result;
use crate::kernels::{Kernels, QuantizedWeight};

/// Linear layer `x · weightᵀ + bias`, with a dense weight `[out, in]` or a quantized one.
#[derive(Module, Debug)]
pub struct Linear<B: Kernels> {
    weight: Weight<B>,
    bias: Option<Param<Tensor<B, 1>>>,
}

#[derive(Module, Debug)]
enum Weight<B: Kernels> {
    Dense(Param<Tensor<B, 2>>),
    Quantized(QuantizedWeight<B>),
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
            Some(quantized) => Weight::Quantized(quantized),
            None => Weight::Dense(parameter(source, id, [out, width])?),
        };
        let bias = if has_bias { Some(parameter(source, id.bias(), [out])?) } else { None };
        Ok(Self { weight, bias })
    }

    /// A layer without bias from a dense weight.
    pub(crate) fn from_weight(weight: Param<Tensor<B, 2>>) -> Self {
        Self { weight: Weight::Dense(weight), bias: None }
    }

    /// A layer without bias from a quantized weight.
    pub(crate) fn from_quantized(weight: QuantizedWeight<B>) -> Self {
        Self { weight: Weight::Quantized(weight), bias: None }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let bias = self.bias.as_ref().map(Param::val);
        match &self.weight {
            Weight::Dense(weight) => <B as Kernels>::linear(x, weight.val(), bias),
            Weight::Quantized(weight) => B::linear_quantized(x, weight, bias),
        }
    }
}

/// Linear layers with the same input. If they are quantized, they are computed as one product.
#[derive(Module, Debug)]
pub struct MergedLinear<B: Kernels> {
    /// One fused layer, or one layer per width.
    layers: Vec<Linear<B>>,
    /// Output width of each part.
    widths: Vec<usize>,
}

impl<B: Kernels> MergedLinear<B> {
    /// Takes the weight, and the bias if there is one, of every part from the source.
    ///
    /// `parts` are the weights with the number of outputs of each.
    ///
    /// # Errors
    /// Errors of the source.
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

    /// Applies all `N` layers to `x`.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]` of each layer
    ///
    /// # Panics
    /// If the number of layers is not `N`.
    pub fn forward<const N: usize>(&self, x: Tensor<B, 2>) -> [Tensor<B, 2>; N] {
        assert_eq!(self.widths.len(), N, "number of merged layers");
        if self.layers.len() == N {
            return std::array::from_fn(|index| self.layers[index].forward(x.clone()));
        }
        let fused = self.layers[0].forward(x);
        let mut start = 0;
        std::array::from_fn(|index| {
            let part = fused.clone().narrow(1, start, self.widths[index]);
            start += self.widths[index];
            part
        })
    }

    /// SwiGLU of two layers: `silu(first) · second`.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - result: `[rows, out]`
    ///
    /// # Panics
    /// If there are not two layers of equal width.
    pub fn gated(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        if let [Linear { weight: Weight::Quantized(weight), bias }] = self.layers.as_slice() {
            assert!(matches!(self.widths[..], [gate, up] if gate == up), "gated layers of widths {:?}", self.widths);
            return B::gated_quantized(x, weight, bias.as_ref().map(Param::val));
        }
        let [gate, up] = self.forward(x);
        B::swiglu(gate, up)
    }
}
