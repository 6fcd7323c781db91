//! What training minimises.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::batch::{Batch, PatchLabel};
use crate::cancel::Cancel;
use crate::checkpoint::TensorSource;
use crate::config::{ModelConfig, PreprocessConfig};
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::VisionLanguageModel;
use crate::nn::Linear;
use crate::splice::splice;

/// Patches in one token's block.
const BLOCK: usize = 4;
/// Edges of a box.
const EDGES: usize = 4;

/// The model in training, and a layer that is thrown away afterwards.
#[derive(Module, Debug)]
pub(super) struct Learner<B: Kernels> {
    pub(super) model: VisionLanguageModel<B>,
    /// Tells from a token's feature what each of its patches shows, and where its edges are. Dense supervision of this
    /// kind teaches the tower where things are long before answers do (compare Lin et al., "Focal Loss", 2017, for its
    /// balance).
    probe: Option<Linear<B>>,
}

/// How much there is to learn in a step, over all of its batches.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    pub(super) targets: usize,
    labelled: usize,
    unlabelled: usize,
}

impl Amount {
    pub(super) fn of(batches: &[Batch]) -> Self {
        let labels = || batches.iter().flat_map(|batch| &batch.patch_labels);
        Self {
            targets: batches.iter().map(|batch| batch.targets.len()).sum(),
            labelled: labels().filter(|label| label.kind > 0).count(),
            unlabelled: labels().filter(|label| label.kind == 0).count(),
        }
    }
}

/// A batch's share of the step's loss.
pub(super) struct Loss<B: Kernels> {
    /// What is differentiated, `[1]`.
    pub(super) total: Tensor<B, 1>,
    /// The part of it that is the negative log-likelihood of the target tokens, `[1]`.
    pub(super) tokens: Tensor<B, 1>,
    /// Target tokens that were the model's first choice, `[1]`.
    pub(super) right: Tensor<B, 1, Int>,
}

impl<B: Kernels> Learner<B> {
    pub(super) fn load<S: TensorSource<B>>(
        source: &S,
        model: VisionLanguageModel<B>,
        config: &ModelConfig,
        patch_classes: usize,
    ) -> Result<Self> {
        let shape = [config.text.hidden_size, BLOCK * (patch_classes + EDGES)];
        let probe = if patch_classes > 0 { Some(Linear::load(source, "probe", shape, true)?) } else { None };
        Ok(Self { model, probe })
    }

    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled).
    pub(super) fn loss(
        &self,
        batch: &Batch,
        amount: Amount,
        preprocess: &PreprocessConfig,
        device: &B::Device,
        cancel: &Cancel,
    ) -> Result<Loss<B>> {
        let language = self.model.language();
        let mut x = language.embed(&batch.ids, device);
        let mut patches = None;
        if !batch.grids.is_empty() {
            let features = self.model.features(&batch.pixels, &batch.grids, preprocess, device, cancel)?;
            patches = self.patch_loss(features.clone(), &batch.patch_labels, amount, device);
            x = splice(x, features, &batch.slots);
        }
        let hidden = language.forward(x, &batch.positions, batch.size, &mut [], cancel)?;
        let (rows, tokens): (Vec<u32>, Vec<u32>) = batch.targets.iter().copied().unzip();
        let logits = language.logits(hidden.select(0, ints(rows, device)));
        let tokens = ints(tokens, device);
        let right = logits.clone().argmax(1).squeeze_dim::<1>(1).equal(tokens.clone()).int().sum();
        let tokens = likelihood(logits, tokens).sum().neg().div_scalar(amount.targets.max(1) as f64);
        let total = match patches {
            Some(patches) => tokens.clone() + patches,
            None => tokens.clone(),
        };
        Ok(Loss { total, tokens, right })
    }

    /// Labelled patches weigh 1/2 together and the others 2, each kind evenly; the edges of what labelled patches show weigh
    /// a quarter of their mean distance from the right ones, in patches.
    fn patch_loss(
        &self,
        features: Tensor<B, 2>,
        labels: &[PatchLabel],
        amount: Amount,
        device: &B::Device,
    ) -> Option<Tensor<B, 1>> {
        let probe = self.probe.as_ref().filter(|_| !labels.is_empty())?;
        let told = probe.forward(features);
        let [tokens, width] = told.dims();
        let (patches, width) = (tokens * BLOCK, width / BLOCK);
        let told = told.reshape([patches, width]);
        let kinds = labels.iter().map(|label| label.kind).collect();
        let scores = likelihood(told.clone().narrow(1, 0, width - EDGES), ints(kinds, device));
        let (positive, negative) = (0.5 / amount.labelled.max(1) as f32, 2.0 / amount.unlabelled.max(1) as f32);
        let weight = |label: &PatchLabel| if label.kind > 0 { positive } else { negative };
        let weights = TensorData::new(labels.iter().map(weight).collect::<Vec<f32>>(), [patches]);
        let loss = (scores * Tensor::from_data(weights, device)).sum().neg();
        let rows: Vec<u32> = (0..).zip(labels).filter(|(_, label)| label.kind > 0).map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Some(loss);
        }
        let edges: Vec<f32> = rows.iter().flat_map(|&row| labels[row as usize].edges).collect();
        let edges = Tensor::from_data(TensorData::new(edges, [rows.len(), EDGES]), device);
        let told = told.narrow(1, width - EDGES, EDGES).select(0, ints(rows, device));
        let distance = (told - edges).abs().sum().div_scalar((4 * EDGES * amount.labelled.max(1)) as f64);
        Some(loss + distance)
    }
}

/// The logarithm of the probability of each row's class.
///
/// # Shapes
/// - `scores`: `[rows, classes]`
/// - result: `[rows]`
fn likelihood<B: Kernels>(scores: Tensor<B, 2>, classes: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    log_softmax(scores, 1).gather(1, classes.unsqueeze_dim(1)).squeeze_dim(1)
}

fn ints<B: Kernels>(values: Vec<u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
