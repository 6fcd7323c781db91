//! The interface between trainer and training objective.

use burn::module::{AutodiffModule, ModuleDisplay};
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use super::batch::Batch;
use crate::cancel::TaskControl;
use crate::config::PreprocessConfig;
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::{VisionLanguageModel, merge_embeddings};

/// A training objective: maps model and batch to a differentiable loss.
///
/// An objective is a Burn module. Its own parameters, such as probes or a value head, are optimized, saved and restored
/// with those of the model, and are left out of the exported checkpoint. One without parameters derives `Module`
/// without a backend parameter.
pub trait Objective<B>: AutodiffModule<B, InnerModule: ModuleDisplay> + ModuleDisplay + Sync
where
    B: Kernels + AutodiffBackend,
{
    /// A batch: the model's input with the targets of this objective.
    type Batch: AsRef<Batch> + Send + Sync;

    /// Counts and factors that the batches of one optimizer step share.
    type Normalizer: Sync;

    /// Returns the normalizer for `batches`, all batches of one optimizer step: with it, gradient accumulation over
    /// several batches equals one large batch. `step` counts finished steps.
    fn normalizer(&self, batches: &[Self::Batch], step: u64) -> Self::Normalizer;

    /// Returns the share of one batch in the loss of the step.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled), [`Error::Timeout`](crate::Error::Timeout), and
    /// [`Error::Prompt`](crate::Error::Prompt) for a target that model or objective cannot predict.
    fn loss(
        &self,
        model: &VisionLanguageModel<B>,
        batch: &Self::Batch,
        normalizer: &Self::Normalizer,
        context: &TrainContext<'_, B>,
    ) -> Result<ObjectiveLoss<B>>;

    /// Returns a text that identifies the objective with its options. A saved state is only resumed by a run whose
    /// objective has the same.
    fn fingerprint(&self) -> String;
}

/// The share of one batch in the loss of an optimizer step.
#[derive(Debug)]
pub struct ObjectiveLoss<B: Kernels> {
    /// The minimized value: `[1]`.
    pub total: Tensor<B, 1>,
    /// Values to report, with the same names for every batch. The report of a step has their sums over its batches.
    pub metrics: Vec<Metric>,
}

/// A named value of a training step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Name, such as `accuracy`.
    pub name: &'static str,
    /// Value.
    pub value: f64,
}

/// Inputs of a forward pass besides model and batch.
#[derive(Debug)]
pub struct TrainContext<'a, B: Kernels> {
    /// Preprocessing of images and videos.
    pub preprocess: &'a PreprocessConfig,
    /// Device of the model.
    pub device: &'a B::Device,
    /// Cancels the forward pass, which checks it before every layer.
    pub control: &'a TaskControl,
}

/// The input of the language model.
#[derive(Debug)]
pub struct InputEmbeddings<B: Kernels> {
    /// Token embeddings with the media features merged in: `[rows, hidden]`.
    pub embeddings: Tensor<B, 2>,
    /// Features of all media, one row per token: `[tokens, hidden]`; `None` without media.
    pub features: Option<Tensor<B, 2>>,
}

impl<B: Kernels> TrainContext<'_, B> {
    /// Embeds the tokens of a batch, encodes its media and merges the features in.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::Error::Cancelled) and
    /// [`Error::Timeout`](crate::Error::Timeout).
    pub fn embed(&self, model: &VisionLanguageModel<B>, batch: &Batch) -> Result<InputEmbeddings<B>> {
        let embeddings = model.language().embed(&batch.ids, self.device);
        if batch.grids.is_empty() {
            return Ok(InputEmbeddings { embeddings, features: None });
        }
        let features = model.features(&batch.pixels, &batch.grids, self.preprocess, self.device, self.control)?;
        let embeddings = merge_embeddings(embeddings, features.clone(), &batch.placeholders);
        Ok(InputEmbeddings { embeddings, features: Some(features) })
    }
}
