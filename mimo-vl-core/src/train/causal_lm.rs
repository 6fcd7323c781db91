//! Next-token cross-entropy.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};

use super::batch::{Batch, TokenTarget};
use super::objective::{Metric, Objective, ObjectiveLoss, TrainContext};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::model::VisionLanguageModel;

/// Next-token cross-entropy: `-Σ weight · log p(token) / count`.
///
/// Weights may be signed, as in policy-gradient methods where they are advantages; the divisor is a count, so it is
/// never zero or negative. Metrics: `accuracy`, the share of target tokens with the highest logit.
#[derive(Module, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CausalLmObjective {
    /// The count that the loss is divided by; [`Normalization::Tokens`] by default.
    pub normalization: Normalization,
}

/// The count that a loss is divided by, over all batches of an optimizer step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Normalization {
    /// The target tokens: every token weighs the same, whatever the length of its sequence.
    #[default]
    Tokens,
    /// The sequences: the loss is the mean over sequences of the sum over their tokens.
    Sequences,
}

/// Counts over all batches of one optimizer step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossNormalizer {
    /// Target tokens.
    pub tokens: usize,
    /// Sequences.
    pub sequences: usize,
}

impl LossNormalizer {
    /// Counts over `batches`.
    pub fn of<T: AsRef<Batch>>(batches: &[T]) -> Self {
        Self {
            tokens: batches.iter().map(|batch| batch.as_ref().targets.len()).sum(),
            sequences: batches.iter().map(|batch| batch.as_ref().size).sum(),
        }
    }

    /// The count that `normalization` names, at least 1.
    pub fn count(&self, normalization: Normalization) -> usize {
        match normalization {
            Normalization::Tokens => self.tokens.max(1),
            Normalization::Sequences => self.sequences.max(1),
        }
    }
}

impl<B: Kernels + AutodiffBackend> Objective<B> for CausalLmObjective {
    type Batch = Batch;
    type Normalizer = LossNormalizer;

    fn normalizer(&self, batches: &[Batch], _step: u64) -> LossNormalizer {
        LossNormalizer::of(batches)
    }

    fn loss(
        &self,
        model: &VisionLanguageModel<B>,
        batch: &Batch,
        normalizer: &LossNormalizer,
        context: &TrainContext<'_, B>,
    ) -> Result<ObjectiveLoss<B>> {
        let language = model.language();
        let x = context.embed(model, batch)?.embeddings;
        let hidden = language.forward(x, &batch.positions, batch.size, &mut [], context.control)?;
        let rows = int_tensor(batch.targets.iter().map(|target| target.row), context.device);
        let logits = language.logits(hidden.select(0, rows));
        let correct = correct_count(logits.clone(), &batch.targets);
        let count = normalizer.count(self.normalization);
        let total = token_cross_entropy(logits, &batch.targets, count as f64)?;
        let accuracy = correct as f64 / normalizer.tokens.max(1) as f64;
        Ok(ObjectiveLoss { total, metrics: vec![Metric { name: "accuracy", value: accuracy }] })
    }

    fn fingerprint(&self) -> String {
        format!("{self:?}")
    }
}

/// Weighted negative log-likelihood of target tokens: `-Σ weight · log p(token) / divisor`, `[1]`.
///
/// # Shapes
/// - `logits`: `[targets, vocabulary]`, the row of each target
///
/// # Errors
/// [`Error::Prompt`] for a target outside the vocabulary.
pub fn token_cross_entropy<B: Kernels>(
    logits: Tensor<B, 2>,
    targets: &[TokenTarget],
    divisor: f64,
) -> Result<Tensor<B, 1>> {
    let (device, [_, vocabulary]) = (logits.device(), logits.dims());
    if let Some(TokenTarget { token, .. }) = targets.iter().find(|target| target.token as usize >= vocabulary) {
        return Err(Error::prompt(format!("target token {token} is outside the vocabulary of {vocabulary} tokens")));
    }
    let weights: Vec<f32> = targets.iter().map(|target| (f64::from(target.weight) / divisor) as f32).collect();
    let weights = Tensor::<B, 1>::from_data(TensorData::new(weights, [targets.len()]), &device);
    let tokens = int_tensor(targets.iter().map(|target| target.token), &device);
    let log_likelihood = log_softmax(logits, 1).gather(1, tokens.unsqueeze_dim(1)).squeeze_dim::<1>(1);
    Ok((log_likelihood * weights).sum().neg())
}

/// Number of targets whose token has the highest logit of its row.
fn correct_count<B: Kernels>(logits: Tensor<B, 2>, targets: &[TokenTarget]) -> i64 {
    let tokens = int_tensor(targets.iter().map(|target| target.token), &logits.device());
    logits.argmax(1).squeeze_dim::<1>(1).equal(tokens).int().sum().into_scalar().elem()
}

fn int_tensor<B: Kernels>(values: impl Iterator<Item = u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i32> = values.map(|value| value as i32).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
