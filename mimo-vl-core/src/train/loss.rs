//! What training minimises.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::batch::Batch;
use crate::cancel::Cancel;
use crate::config::PreprocessConfig;
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::VisionLanguageModel;
use crate::splice::splice;

/// The sum over the batch's targets of `−log p(token)`, and how many of them were the model's first choice.
///
/// # Shapes
/// - loss: `[1]`
///
/// # Errors
/// [`Error::Cancelled`](crate::error::Error::Cancelled).
pub(super) fn negative_log_likelihood<B: Kernels>(
    model: &VisionLanguageModel<B>,
    batch: &Batch,
    preprocess: &PreprocessConfig,
    device: &B::Device,
    cancel: &Cancel,
) -> Result<(Tensor<B, 1>, Tensor<B, 1, Int>)> {
    let language = model.language();
    let mut x = language.embed(&batch.ids, device);
    if !batch.grids.is_empty() {
        let features = model.features(&batch.pixels, &batch.grids, preprocess, device, cancel)?;
        x = splice(x, features, &batch.slots);
    }
    let hidden = language.forward(x, &batch.positions, batch.size, None, cancel)?;
    let column = |pick: fn(&(u32, u32)) -> u32| {
        let values: Vec<i32> = batch.targets.iter().map(|target| pick(target) as i32).collect();
        Tensor::<B, 1, Int>::from_data(TensorData::new(values, [batch.targets.len()]), device)
    };
    let (rows, tokens) = (column(|target| target.0), column(|target| target.1));
    let logits = language.logits(hidden.select(0, rows));
    let right = logits.clone().argmax(1).squeeze_dim::<1>(1).equal(tokens.clone()).int().sum();
    let likelihood = log_softmax(logits, 1).gather(1, tokens.unsqueeze_dim(1));
    Ok((likelihood.sum().neg(), right))
}
