//! The gated MLP.

use burn::module::Module;
use burn::tensor::Tensor;

use super::{Linear, MergedLinear};
use crate::checkpoint::TensorSource;
use crate::error::Result;
use crate::kernels::Kernels;

/// SwiGLU MLP `down(silu(gate(x)) · up(x))` (Shazeer, "GLU Variants Improve Transformer", 2020).
#[derive(Module, Debug)]
pub struct GatedMlp<B: Kernels> {
    gate_up: MergedLinear<B>,
    down: Linear<B>,
}

impl<B: Kernels> GatedMlp<B> {
    /// Loads `name.{gate,up,down}_proj` from the source.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(
        source: &impl TensorSource<B>,
        name: &str,
        [width, intermediate]: [usize; 2],
        has_bias: bool,
    ) -> Result<Self> {
        let parts = ["gate", "up"].map(|part| (format!("{name}.{part}_proj"), intermediate));
        Ok(Self {
            gate_up: MergedLinear::load(source, &parts, width, has_bias)?,
            down: Linear::load(source, &format!("{name}.down_proj"), [intermediate, width], has_bias)?,
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
