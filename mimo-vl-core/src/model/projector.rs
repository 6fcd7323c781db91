//! The projector: merges each 2×2 block of patches into one feature of the language model's width.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::gelu;

use crate::checkpoint::TensorSource;
use crate::config::{ProjectorPart, TensorRole, VisionConfig};
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::nn::{Linear, RmsNorm};

/// Epsilon of the vision norms, independent of the configuration as in the reference (transformers, Qwen2.5-VL).
const EPS: f64 = 1e-6;

/// RMSNorm, 2×2 patch merging and a two-layer MLP with GELU (`Qwen2_5_VLPatchMerger` in transformers).
#[derive(Module, Debug)]
pub struct Projector<B: Kernels> {
    norm: RmsNorm<B>,
    first: Linear<B>,
    second: Linear<B>,
    merged: usize,
}

impl<B: Kernels> Projector<B> {
    /// Loads `visual.merger.*` from the source.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(source: &impl TensorSource<B>, config: &VisionConfig) -> Result<Self> {
        let merged = config.hidden_size * config.spatial_merge_size.pow(2);
        let role = TensorRole::Projector;
        Ok(Self {
            norm: RmsNorm::load(source, role(ProjectorPart::Norm), config.hidden_size, EPS)?,
            first: Linear::load(source, role(ProjectorPart::First), [merged, merged], true)?,
            second: Linear::load(source, role(ProjectorPart::Second), [merged, config.out_hidden_size], true)?,
            merged,
        })
    }

    /// Merges and projects patch features.
    ///
    /// # Shapes
    /// - `x`: `[patches, vision hidden]`, the four patches of a block in consecutive rows
    /// - result: `[patches / 4, language hidden]`
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let [patches, width] = x.dims();
        let merged = self.norm.forward(x).reshape([patches * width / self.merged, self.merged]);
        self.second.forward(gelu(self.first.forward(merged)))
    }
}
