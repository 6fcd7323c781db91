//! The network: vision tower, projector and language model as one.

use burn::module::Module;
use burn::tensor::Tensor;

use super::language::LanguageModel;
use super::projector::Projector;
use super::vision::VisionTower;
use crate::cancel::TaskControl;
use crate::checkpoint::TensorSource;
use crate::config::{ModelConfig, PreprocessConfig};
use crate::error::Result;
use crate::kernels::Kernels;
use crate::preprocess::Grid;

/// The three parts of the network.
#[derive(Module, Debug)]
pub struct VisionLanguageModel<B: Kernels> {
    vision: VisionTower<B>,
    projector: Projector<B>,
    language: LanguageModel<B>,
}

impl<B: Kernels> VisionLanguageModel<B> {
    /// Take every tensor of the model from the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(source: &impl TensorSource<B>, config: &ModelConfig) -> Result<Self> {
        Ok(Self {
            vision: VisionTower::load(source, &config.vision)?,
            projector: Projector::load(source, &config.vision)?,
            language: LanguageModel::load(source, &config.text)?,
        })
    }

    /// The features of several images and videos, in one pass.
    ///
    /// # Shapes
    /// - `pixels`: rows of 1176 values, the patches of all grids
    /// - result: `[tokens of all grids, hidden]`
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn features(
        &self,
        pixels: &[u8],
        grids: &[Grid],
        preprocess: &PreprocessConfig,
        device: &B::Device,
        control: &TaskControl,
    ) -> Result<Tensor<B, 2>> {
        Ok(self.projector.forward(self.vision.forward(pixels, grids, preprocess, device, control)?))
    }

    /// The language model.
    pub fn language(&self) -> &LanguageModel<B> {
        &self.language
    }
}
