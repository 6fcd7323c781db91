//! What training minimises.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor, TensorData};

use super::batch::{BLOCK, Batch, NumberTarget, PatchLabel, Target};
use crate::cancel::TaskControl;
use crate::checkpoint::TensorSource;
use crate::config::{ModelConfig, PreprocessConfig, TensorRole};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::model::{Linear, VisionLanguageModel, merge_embeddings};

/// Numbers of a label.
const NUMBERS: usize = 4;

/// The model in training, and a layer that is thrown away afterwards.
#[derive(Module, Debug)]
pub(super) struct Learner<B: Kernels> {
    pub(super) model: VisionLanguageModel<B>,
    /// Tells from a token's feature what each of its patches shows. Dense supervision of this kind teaches the tower where
    /// things are long before answers do (compare Lin et al., "Focal Loss", 2017, for its balance).
    kinds: Option<Linear<B>>,
    /// Tells from what the language model has of a token after half of its layers the numbers of its patches, so that the other
    /// half can say them, and before the last layer those that are to have been found. Where in the picture a token stands is
    /// known there only: to the vision tower all places are alike.
    numbers: Option<Linear<B>>,
}

/// What of labels is learned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels {
    pub(super) kinds: usize,
    pub(super) numbers: usize,
}

/// How much there is to learn in a step, over all of its batches, and how much it counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amount {
    /// Tokens to be learned.
    pub(super) targets: usize,
    /// What they count together.
    pub(super) weight: f64,
    labelled: usize,
    unlabelled: usize,
    numbered: usize,
    known: usize,
    /// What early targets count together.
    early: f64,
    found: usize,
    /// What the auxiliary losses are multiplied by.
    auxiliary_weight: f64,
}

impl Amount {
    pub(super) fn of(batches: &[Batch], auxiliary_weight: f64) -> Self {
        let labels = || batches.iter().flat_map(|batch| &batch.patch_labels);
        let weight = |targets: &Vec<Target>| targets.iter().map(|target| f64::from(target.weight)).sum::<f64>();
        Self {
            targets: batches.iter().map(|batch| batch.targets.len()).sum(),
            weight: batches.iter().map(|batch| weight(&batch.targets)).sum(),
            labelled: labels().filter(|label| label.kind > 0).count(),
            unlabelled: labels().filter(|label| label.kind == 0).count(),
            numbered: labels().filter(|label| label.numbers.is_some()).count(),
            known: batches.iter().map(|batch| batch.known.len()).sum(),
            early: batches.iter().map(|batch| weight(&batch.early)).sum(),
            found: batches.iter().map(|batch| batch.found.len()).sum(),
            auxiliary_weight,
        }
    }
}

/// A batch's share of the step's loss.
pub(super) struct Loss<B: Kernels> {
    /// What is differentiated, `[1]`.
    pub(super) total: Tensor<B, 1>,
    /// The part of it that is the negative log-likelihood of the target tokens, by their weights, `[1]`.
    pub(super) tokens: Tensor<B, 1>,
    /// The auxiliary losses together, before they are weighted, `[1]`.
    pub(super) auxiliary: Tensor<B, 1>,
    /// Target tokens that were the model's first choice, `[1]`.
    pub(super) right: Tensor<B, 1, Int>,
}

impl<B: Kernels> Learner<B> {
    pub(super) fn load<S: TensorSource<B>>(
        source: &S,
        model: VisionLanguageModel<B>,
        config: &ModelConfig,
        labels: Labels,
    ) -> Result<Self> {
        let probe = |name, width: usize| {
            let shape = [config.text.hidden_size, BLOCK * width];
            (width > 0).then(|| Linear::load(source, TensorRole::Probe(name), shape, true)).transpose()
        };
        let (kinds, numbers) = (probe("kinds", labels.kinds)?, probe("numbers", NUMBERS * labels.numbers)?);
        Ok(Self { model, kinds, numbers })
    }

    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Prompt`] when there is no class for a label, a number or an early target.
    pub(super) fn loss(
        &self,
        batch: &Batch,
        amount: Amount,
        preprocess: &PreprocessConfig,
        device: &B::Device,
        control: &TaskControl,
    ) -> Result<Loss<B>> {
        let language = self.model.language();
        let mut x = language.embed(&batch.ids, device);
        let mut auxiliary = Vec::new();
        if !batch.grids.is_empty() {
            let features = self.model.features(&batch.pixels, &batch.grids, preprocess, device, control)?;
            auxiliary.extend(self.kind_loss(features.clone(), &batch.patch_labels, amount, device)?);
            x = merge_embeddings(x, features, &batch.slots);
        }
        let [middle, late, hidden] = language.forward_hidden_states(x, &batch.positions, batch.size, control)?;
        auxiliary.extend(self.early_loss(middle.clone(), batch, amount, device)?);
        auxiliary.extend(self.number_loss(middle.clone(), &batch.numbered(), amount.numbered, device)?);
        let in_forms = |targets: &[NumberTarget], patches: usize| {
            let of = |&NumberTarget { row, numbers }| (0..patches).map(move |patch| (row, patch, numbers));
            targets.iter().flat_map(of).collect::<Vec<_>>()
        };
        // What these rows are to look up knows its numbers in the form of the one patch that shows the middle; which of the four
        // that is, they cannot know.
        let known = in_forms(&batch.known, BLOCK);
        auxiliary.extend(self.number_loss(middle, &known, BLOCK * amount.known, device)?);
        auxiliary.extend(self.number_loss(late, &in_forms(&batch.found, 1), amount.found, device)?);
        let rows = ints(batch.targets.iter().map(|target| target.row).collect(), device);
        let logits = language.logits(hidden.select(0, rows));
        let said = ints(batch.targets.iter().map(|target| target.token).collect(), device);
        let right = logits.clone().argmax(1).squeeze_dim::<1>(1).equal(said).int().sum();
        let tokens = weighted(logits, &batch.targets, amount.weight, device);
        let auxiliary = auxiliary.into_iter().fold(tokens.zeros_like(), |sum, part| sum + part);
        Ok(Loss { total: tokens.clone() + auxiliary.clone() * amount.auxiliary_weight, tokens, auxiliary, right })
    }

    /// Labelled patches weigh 1/2 together and the others 2, each kind evenly.
    fn kind_loss(
        &self,
        features: Tensor<B, 2>,
        labels: &[PatchLabel],
        amount: Amount,
        device: &B::Device,
    ) -> Result<Option<Tensor<B, 1>>> {
        let Some(probe) = self.kinds.as_ref().filter(|_| !labels.is_empty()) else { return Ok(None) };
        let scores = probe.forward(features);
        let [tokens, width] = scores.dims();
        let classes = width / BLOCK;
        if let Some(label) = labels.iter().find(|label| label.kind as usize >= classes) {
            return Err(Error::prompt(format!("a patch is labelled {}, and there are {classes} classes", label.kind)));
        }
        let scores = scores.reshape([tokens * BLOCK, classes]);
        let (positive, negative) = (0.5 / amount.labelled.max(1) as f32, 2.0 / amount.unlabelled.max(1) as f32);
        let weight = |label: &PatchLabel| if label.kind > 0 { positive } else { negative };
        let weights = floats(labels.iter().map(weight).collect(), device);
        let kinds = labels.iter().map(|label| label.kind).collect();
        Ok(Some((likelihood(scores, ints(kinds, device)) * weights).sum().neg()))
    }

    /// What the language model would say after half of its layers (compare Elhoushi et al., "LayerSkip", 2024): so what is there
    /// is in the form in which the other half can say it, and find it.
    fn early_loss(
        &self,
        hidden: Tensor<B, 2>,
        batch: &Batch,
        amount: Amount,
        device: &B::Device,
    ) -> Result<Option<Tensor<B, 1>>> {
        if batch.early.is_empty() {
            return Ok(None);
        }
        let language = self.model.language();
        let rows = ints(batch.early.iter().map(|target| target.row).collect(), device);
        let scores = language.logits(language.final_norm(hidden.select(0, rows)));
        if let Some(Target { token, .. }) = batch.early.iter().find(|target| target.token as usize >= scores.dims()[1])
        {
            return Err(Error::prompt(format!("an early target is token {token}, which the model does not have")));
        }
        Ok(Some(weighted(scores, &batch.early, amount.early, device)))
    }

    /// The mean over the numbers of `whole` entries, of which these are some: each a row, the patch in whose form it is to know the
    /// numbers, and the numbers.
    fn number_loss(
        &self,
        hidden: Tensor<B, 2>,
        numbered: &[(u32, usize, [u32; NUMBERS])],
        whole: usize,
        device: &B::Device,
    ) -> Result<Option<Tensor<B, 1>>> {
        let Some(probe) = self.numbers.as_ref().filter(|_| !numbered.is_empty()) else { return Ok(None) };
        let told = probe.forward(hidden.select(0, ints(numbered.iter().map(|(row, ..)| *row).collect(), device)));
        let [rows, width] = told.dims();
        let places = numbered.iter().enumerate().map(|(index, (_, place, _))| (index * BLOCK + place) as u32);
        let told = told.reshape([rows * BLOCK, width / BLOCK]).select(0, ints(places.collect(), device));
        let classes = width / BLOCK / NUMBERS;
        let numbers: Vec<u32> = numbered.iter().flat_map(|(.., numbers)| *numbers).collect();
        if let Some(number) = numbers.iter().find(|&&number| number as usize >= classes) {
            return Err(Error::prompt(format!(
                "a number to be known is {number}, and there are {classes} classes of them"
            )));
        }
        let scores = told.reshape([rows * NUMBERS, classes]);
        Ok(Some(likelihood(scores, ints(numbers, device)).sum().neg().div_scalar((NUMBERS * whole.max(1)) as f64)))
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

/// The negative log-likelihood of targets, as their share of what all of a step's targets count together.
fn weighted<B: Kernels>(scores: Tensor<B, 2>, targets: &[Target], whole: f64, device: &B::Device) -> Tensor<B, 1> {
    let shares = targets.iter().map(|target| (f64::from(target.weight) / whole) as f32).collect();
    let tokens = ints(targets.iter().map(|target| target.token).collect(), device);
    (likelihood(scores, tokens) * floats(shares, device)).sum().neg()
}

fn ints<B: Kernels>(values: Vec<u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}

fn floats<B: Kernels>(values: Vec<f32>, device: &B::Device) -> Tensor<B, 1> {
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}
