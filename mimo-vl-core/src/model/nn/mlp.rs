//! The gated MLP.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Linear, MergedLinear};
use crate::checkpoint::TensorSource;
use crate::config::{MlpPart, TensorRole};
use crate::error::Result;
use crate::kernels::Kernels;

/// SwiGLU MLP `down(silu(gate(x)) · up(x))` (Shazeer, "GLU Variants Improve Transformer", 2020).
#[derive(Module, Debug)]
pub struct GatedMlp<B: Kernels> {
    gate_up: MergedLinear<B>,
    down: Linear<B>,
}

impl<B: Kernels> GatedMlp<B> {
    /// Takes the three layers from the source: those with `role`, in layer or block `index`.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(
        source: &impl TensorSource<B>,
        role: impl Fn(MlpPart) -> TensorRole,
        index: usize,
        [width, intermediate]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self> {
        let parts = [MlpPart::Gate, MlpPart::Up].map(|part| (role(part).at(index), intermediate));
        Ok(Self {
            gate_up: MergedLinear::load(source, &parts, width, has_bias)?,
            down: Linear::load(source, role(MlpPart::Down).at(index), [intermediate, width], has_bias)?,
        })
    }

    /// Applies the MLP.
    ///
    /// # Shapes
    /// - `x`: `[rows, width]`
    /// - result: `[rows, width]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        self.down.forward(self.gate_up.gated(x))
    }
}
