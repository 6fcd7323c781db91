//! The training objective of `mimo-vl-tiny`: next-token cross-entropy with deep supervision.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{ElementConversion, Int, Tensor, TensorData};
use mimo_vl_core::expert::{Kernels, LanguageModel, Linear, TensorRole, TensorSource, TextConfig, VisionLanguageModel};
use mimo_vl_core::train::{
    CosineSchedule, Metric, Objective, ObjectiveLoss, TokenTarget, TrainContext, token_cross_entropy,
};
use mimo_vl_core::{Error, Result};

use super::batch::{CoordinateTarget, PATCHES_PER_TOKEN, PatchBounds, PatchLabel, ShapesBatch};
use super::conversation::COORDINATE_BINS;
use super::patch_class::PATCH_CLASSES;

/// Coordinates of a box: left, top, right and bottom.
const COORDINATES: usize = 4;

/// Next-token cross-entropy, divided by the sum of the weights, and five auxiliary losses (deep supervision: Lee and
/// others, "Deeply-Supervised Nets", arXiv 1409.5185):
///
/// - the vision features predict the class of every patch, through a linear probe;
/// - the middle layer predicts names of what is shown and asked for, through the model's own norm and output layer
///   (compare Elhoushi and others, "LayerSkip", arXiv 2404.16710);
/// - the middle layer predicts the bounds of what a patch shows, and those of a box at the rows of its label, and the
///   input of the last layer the bounds of what is asked for, all through one linear probe.
///
/// Coordinates are supervised in the language model because the vision tower, whose positions are relative, cannot know
/// them. The auxiliary losses are multiplied by the cosine factor of the learning rate, so that training ends on the
/// cross-entropy alone. The probes are no part of the exported model.
#[derive(Module, Debug)]
pub struct ShapesObjective<B: Kernels> {
    class_probe: Linear<B>,
    coordinate_probe: Linear<B>,
    #[module(skip)]
    schedule: CosineSchedule,
}

/// Counts and weights over all batches of one optimizer step.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShapesNormalizer {
    tokens: usize,
    token_weight: f64,
    object_patches: usize,
    background_patches: usize,
    patch_bounds: usize,
    middle_bounds: usize,
    middle_token_weight: f64,
    late_bounds: usize,
    /// Factor of the auxiliary losses.
    auxiliary_weight: f64,
}

impl<B: Kernels> ShapesObjective<B> {
    /// Takes the probes, `kinds` and `numbers`, from the source.
    ///
    /// # Errors
    /// Those of the source.
    pub fn load(source: &impl TensorSource<B>, config: &TextConfig, schedule: CosineSchedule) -> Result<Self> {
        let probe = |name: &'static str, classes: usize| {
            Linear::load(source, TensorRole::Probe(name), [config.hidden_size, PATCHES_PER_TOKEN * classes], true)
        };
        Ok(Self {
            class_probe: probe("kinds", PATCH_CLASSES)?,
            coordinate_probe: probe("numbers", COORDINATES * COORDINATE_BINS)?,
            schedule,
        })
    }
}

impl<B> Objective<B> for ShapesObjective<B>
where
    B: Kernels + AutodiffBackend,
    B::InnerBackend: Kernels,
{
    type Batch = ShapesBatch;
    type Normalizer = ShapesNormalizer;

    fn normalizer(&self, batches: &[ShapesBatch], step: u64) -> ShapesNormalizer {
        let labels = || batches.iter().flat_map(|batch| &batch.patch_labels);
        let weight = |targets: &[TokenTarget]| targets.iter().map(|target| f64::from(target.weight)).sum::<f64>();
        ShapesNormalizer {
            tokens: batches.iter().map(|batch| batch.inputs.targets.len()).sum(),
            token_weight: batches.iter().map(|batch| weight(&batch.inputs.targets)).sum(),
            object_patches: labels().filter(|label| label.class > 0).count(),
            background_patches: labels().filter(|label| label.class == 0).count(),
            patch_bounds: labels().filter(|label| label.bounds.is_some()).count(),
            middle_bounds: batches.iter().map(|batch| batch.middle_bounds.len()).sum(),
            middle_token_weight: batches.iter().map(|batch| weight(&batch.middle_tokens)).sum(),
            late_bounds: batches.iter().map(|batch| batch.late_bounds.len()).sum(),
            auxiliary_weight: self.schedule.decay(step),
        }
    }

    fn loss(
        &self,
        model: &VisionLanguageModel<B>,
        batch: &ShapesBatch,
        normalizer: &ShapesNormalizer,
        context: &TrainContext<'_, B>,
    ) -> Result<ObjectiveLoss<B>> {
        let (language, inputs, device) = (model.language(), &batch.inputs, context.device);
        let input = context.embed(model, inputs)?;
        let patch_class = match input.features {
            Some(features) => self.patch_class_loss(features, &batch.patch_labels, normalizer)?,
            None => zero(device),
        };
        let [middle_layer, late_layer] = [language.layer_count() / 2, language.layer_count().saturating_sub(1)];
        let (mut middle, mut late) = (input.embeddings.clone(), input.embeddings.clone());
        let hidden = language.forward_with(
            input.embeddings,
            &inputs.positions,
            inputs.size,
            context.control,
            |layer, hidden| {
                if layer == middle_layer {
                    middle = hidden.clone();
                }
                if layer == late_layer {
                    late = hidden.clone();
                }
            },
        )?;
        let middle_token =
            middle_token_loss(language, middle.clone(), &batch.middle_tokens, normalizer.middle_token_weight)?;
        let patch_bounds = self.coordinate_loss(middle.clone(), &batch.patch_bounds(), normalizer.patch_bounds)?;
        // A label is looked up by the bounds of its box, which the image token at the center of the object knows in the
        // form of one of its four patches. The rows of the label cannot know which, so they learn all four.
        let forms = in_forms(&batch.middle_bounds, PATCHES_PER_TOKEN);
        let middle_bounds = self.coordinate_loss(middle, &forms, PATCHES_PER_TOKEN * normalizer.middle_bounds)?;
        let late_bounds = self.coordinate_loss(late, &in_forms(&batch.late_bounds, 1), normalizer.late_bounds)?;
        let logits = language.logits(hidden.select(0, ints(inputs.targets.iter().map(|target| target.row), device)));
        let tokens = ints(inputs.targets.iter().map(|target| target.token), device);
        let correct = logits.clone().argmax(1).squeeze_dim::<1>(1).equal(tokens).int().sum();
        let correct: i64 = correct.into_scalar().elem();
        let token = token_cross_entropy(logits, &inputs.targets, normalizer.token_weight)?;
        let mut metrics = vec![
            Metric { name: "accuracy", value: correct as f64 / normalizer.tokens.max(1) as f64 },
            metric("token_loss", &token),
        ];
        let auxiliary_losses = [
            ("patch_class_loss", patch_class),
            ("middle_token_loss", middle_token),
            ("patch_bounds_loss", patch_bounds),
            ("middle_bounds_loss", middle_bounds),
            ("late_bounds_loss", late_bounds),
        ];
        metrics.extend(auxiliary_losses.iter().map(|(name, loss)| metric(name, loss)));
        let auxiliary = auxiliary_losses.into_iter().fold(token.zeros_like(), |sum, (_, loss)| sum + loss);
        metrics.push(metric("auxiliary_loss", &auxiliary));
        Ok(ObjectiveLoss { total: token + auxiliary * normalizer.auxiliary_weight, metrics })
    }

    fn fingerprint(&self) -> String {
        format!("shapes {PATCH_CLASSES} {COORDINATE_BINS} {:?}", self.schedule)
    }
}

impl<B: Kernels> ShapesObjective<B> {
    /// Cross-entropy of patch classes. Patches with an object weigh 1/2 together and the others 2, to balance the few
    /// objects with the background (compare Lin and others, "Focal Loss", arXiv 1708.02002).
    fn patch_class_loss(
        &self,
        features: Tensor<B, 2>,
        labels: &[PatchLabel],
        normalizer: &ShapesNormalizer,
    ) -> Result<Tensor<B, 1>> {
        let device = features.device();
        if labels.is_empty() {
            return Ok(zero(&device));
        }
        if let Some(PatchLabel { class, .. }) = labels.iter().find(|label| label.class as usize >= PATCH_CLASSES) {
            return Err(prompt_error(format!("a patch has the class {class}, and there are {PATCH_CLASSES} classes")));
        }
        let scores = self.class_probe.forward(features);
        let [tokens, width] = scores.dims();
        let scores = scores.reshape([tokens * PATCHES_PER_TOKEN, width / PATCHES_PER_TOKEN]);
        let object = 0.5 / normalizer.object_patches.max(1) as f32;
        let background = 2.0 / normalizer.background_patches.max(1) as f32;
        let weight = |label: &PatchLabel| if label.class > 0 { object } else { background };
        let weights: Vec<f32> = labels.iter().map(weight).collect();
        let weights = Tensor::<B, 1>::from_data(TensorData::new(weights, [labels.len()]), &device);
        let classes = ints(labels.iter().map(|label| label.class), &device);
        Ok((log_likelihood(scores, classes) * weights).sum().neg())
    }

    /// Mean cross-entropy of coordinates; `count` is the number of targets in the step, of which `targets` are some.
    fn coordinate_loss(&self, hidden: Tensor<B, 2>, targets: &[PatchBounds], count: usize) -> Result<Tensor<B, 1>> {
        let device = hidden.device();
        if targets.is_empty() {
            return Ok(zero(&device));
        }
        let bins = || targets.iter().flat_map(|target| target.bounds);
        if let Some(bin) = bins().find(|&bin| bin as usize >= COORDINATE_BINS) {
            return Err(prompt_error(format!("a coordinate is in bin {bin}, and there are {COORDINATE_BINS} bins")));
        }
        let rows = ints(targets.iter().map(|target| target.row), &device);
        let scores = self.coordinate_probe.forward(hidden.select(0, rows));
        let [rows, width] = scores.dims();
        let forms = targets.iter().enumerate().map(|(index, target)| index * PATCHES_PER_TOKEN + target.patch);
        let forms = ints(forms.map(|form| form as u32), &device);
        let scores = scores.reshape([rows * PATCHES_PER_TOKEN, width / PATCHES_PER_TOKEN]).select(0, forms);
        let scores = scores.reshape([rows * COORDINATES, COORDINATE_BINS]);
        let divisor = (COORDINATES * count.max(1)) as f64;
        Ok(log_likelihood(scores, ints(bins(), &device)).sum().neg().div_scalar(divisor))
    }
}

/// Cross-entropy of the tokens that the middle layer predicts through the final norm and the output layer.
fn middle_token_loss<B: Kernels>(
    language: &LanguageModel<B>,
    hidden: Tensor<B, 2>,
    targets: &[TokenTarget],
    weight: f64,
) -> Result<Tensor<B, 1>> {
    let device = hidden.device();
    if targets.is_empty() {
        return Ok(zero(&device));
    }
    let rows = ints(targets.iter().map(|target| target.row), &device);
    token_cross_entropy(language.logits(language.final_norm(hidden.select(0, rows))), targets, weight)
}

/// Every target once for each of the first `patches` patches of a block.
fn in_forms(targets: &[CoordinateTarget], patches: usize) -> Vec<PatchBounds> {
    let forms = |&CoordinateTarget { row, bounds }| (0..patches).map(move |patch| PatchBounds { row, patch, bounds });
    targets.iter().flat_map(forms).collect()
}

/// Logarithm of the probability of the class of each row.
///
/// # Shapes
/// - `scores`: `[rows, classes]`
/// - result: `[rows]`
fn log_likelihood<B: Backend>(scores: Tensor<B, 2>, classes: Tensor<B, 1, Int>) -> Tensor<B, 1> {
    log_softmax(scores, 1).gather(1, classes.unsqueeze_dim(1)).squeeze_dim(1)
}

fn metric<B: Backend>(name: &'static str, value: &Tensor<B, 1>) -> Metric {
    Metric { name, value: value.clone().into_scalar().elem() }
}

fn zero<B: Backend>(device: &B::Device) -> Tensor<B, 1> {
    Tensor::zeros([1], device)
}

fn ints<B: Backend>(values: impl Iterator<Item = u32>, device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i32> = values.map(|value| value as i32).collect();
    let len = values.len();
    Tensor::from_data(TensorData::new(values, [len]), device)
}

fn prompt_error(reason: String) -> Error {
    Error::Prompt { reason }
}
