//! The network: vision tower, projector and language model.

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

/// Vision tower, projector and language model.
#[derive(Module, Debug)]
pub struct VisionLanguageModel<B: Kernels> {
    vision: VisionTower<B>,
    projector: Projector<B>,
    language: LanguageModel<B>,
}

impl<B: Kernels> VisionLanguageModel<B> {
    /// Loads all weights from the source.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(source: &impl TensorSource<B>, config: &ModelConfig) -> Result<Self> {
        Ok(Self {
            vision: VisionTower::load(source, &config.vision)?,
            projector: Projector::load(source, &config.vision)?,
            language: LanguageModel::load(source, &config.text)?,
        })
    }

    /// Encodes images and videos into language model features, in one forward pass.
    ///
    /// # Shapes
    /// - `pixels`: `[patches of all grids, 1176]`, 8 bits per channel
    /// - result: `[tokens of all grids, hidden]`
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::Timeout`](crate::error::Error::Timeout).
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
