//! Training of a model of a few thousand weights.

#[path = "train/targets.rs"]
mod targets;

use std::path::Path;

use mimo_vl_core::expert::{Checkpoint, Kernels, PreprocessConfig, Tokenizer, WithBackend, dispatch};
use mimo_vl_core::train::{
    Autodiff, Batch, CausalLmObjective, CosineSchedule, Dataset, Example, ExpandedSource, Normalization, RandomSource,
    StepReport, TrainOptions, Trainer,
};
use mimo_vl_core::{
    CancelToken, Error, GenerateOptions, Image, LoadOptions, Model, ModelConfig, Prompt, Result, Thinking, WeightFormat,
};
use mimo_vl_examples::shapes::{
    COORDINATE_BINS, Dimensions, PATCH_CLASSES, Recipe, ShapesBatch, ShapesDataset, ShapesExample, ShapesObjective,
    Stage, build_tokenizer, write_checkpoint_files,
};

fn small_checkpoint() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dimensions = Dimensions {
        hidden_size: 32,
        intermediate_size: 48,
        layers: 2,
        heads: 2,
        kv_heads: 1,
        rope_theta: 10_000.0,
        mrope_section: [2, 3, 3],
        tie_word_embeddings: false,
        context: 512,
        vision_depth: 2,
        vision_hidden_size: 32,
        vision_intermediate_size: 48,
        vision_heads: 2,
        full_attention: vec![1],
    };
    write_checkpoint_files(folder.path(), &dimensions, &build_tokenizer().unwrap()).unwrap();
    folder
}

fn dataset(folder: &Path) -> ShapesDataset {
    ShapesDataset {
        seed: 9,
        stages: vec![Stage { batches: 1, recipe: Recipe::default() }],
        batch_size: 2,
        tokenizer: Tokenizer::load(folder).unwrap(),
        config: ModelConfig::load(folder).unwrap(),
        preprocess: PreprocessConfig::load(folder).unwrap(),
    }
}

const SCHEDULE: CosineSchedule = CosineSchedule { max_lr: 1e-2, min_lr: 1e-4, warmup_steps: 1, total_steps: 6 };

/// Trains on shapes up to step `until`, as one of possibly several runs over the same state, and writes the weights.
struct ShapesRun<'a, D> {
    folder: &'a Path,
    state: &'a Path,
    out: &'a Path,
    dataset: &'a D,
    workers: usize,
    until: u64,
    schedule: CosineSchedule,
    cancel: CancelToken,
}

impl<'a, D> ShapesRun<'a, D> {
    fn new(folder: &'a Path, state: &'a Path, dataset: &'a D, until: u64) -> Self {
        let cancel = CancelToken::new();
        Self { folder, state, out: state, dataset, workers: 1, until, schedule: SCHEDULE, cancel }
    }
}

impl<D: Dataset<Batch = ShapesBatch>> WithBackend for ShapesRun<'_, D> {
    type Output = Vec<StepReport>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Vec<StepReport>> {
        let config = ModelConfig::load(self.folder)?;
        let source = RandomSource { seed: 3, embedding_std: 0.2, depth: 2, device: device.clone() };
        let options = TrainOptions {
            gradient_accumulation_steps: 2,
            workers: self.workers,
            adam_betas: [0.9, 0.98],
            weight_decay: 0.01,
            run_name: "test".into(),
            ..TrainOptions::new(self.schedule, self.state)
        };
        let objective = ShapesObjective::load(&source, &config.text, self.schedule)?;
        let preprocess = PreprocessConfig::load(self.folder)?;
        let mut trainer = Trainer::<B, _>::new(&source, &config, objective, options, preprocess, device)?;
        let mut reports = Vec::new();
        let result = trainer.train(self.dataset, &self.cancel, |report| {
            reports.push(report.clone());
            if report.step == self.until {
                self.cancel.cancel();
            }
        });
        result.or_else(|error| if matches!(error, Error::Cancelled) { Ok(()) } else { Err(error) })?;
        trainer.save_weights(self.out)?;
        Ok(reports)
    }
}

fn token_loss(report: &StepReport) -> f64 {
    report.metric("token_loss").unwrap()
}

#[test]
fn an_interrupted_run_ends_with_the_same_weights() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let train = |stops: &[u64], workers: usize| {
        let state = tempfile::tempdir().unwrap();
        let mut losses = Vec::new();
        for &until in stops {
            let run = ShapesRun { workers, ..ShapesRun::new(folder.path(), state.path(), &dataset, until) };
            losses.extend(dispatch("cpu", run).unwrap().iter().map(token_loss));
        }
        assert_eq!(losses.len(), 6);
        (losses, std::fs::read(state.path().join("model.safetensors")).unwrap())
    };
    let uninterrupted = train(&[6], 2);
    assert_eq!(uninterrupted, train(&[2, 3, 6], 2), "resumed");
    let one_worker = train(&[6], 1);
    for (a, b) in uninterrupted.0.iter().zip(&one_worker.0) {
        assert!((a - b).abs() < 1e-4, "the number of workers changes rounding only: {a} {b}");
    }
    assert!(uninterrupted.0[5] < uninterrupted.0[0], "the loss falls: {:?}", uninterrupted.0);
}

/// Cancels the run when batch 5, which belongs to the third step, is requested.
struct CancellingDataset<'a>(&'a ShapesDataset, CancelToken);

impl Dataset for CancellingDataset<'_> {
    type Batch = ShapesBatch;

    fn batch(&self, index: u64) -> Result<ShapesBatch> {
        if index == 5 {
            self.1.cancel();
        }
        self.0.batch(index)
    }
}

#[test]
fn a_run_cancelled_within_a_step_ends_with_the_same_weights() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let [interrupted, uninterrupted] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let done = dispatch("cpu", ShapesRun::new(folder.path(), uninterrupted.path(), &dataset, 6)).unwrap().len();
    let cancel = CancelToken::new();
    let cancelling = CancellingDataset(&dataset, cancel.clone());
    let run = ShapesRun { cancel, ..ShapesRun::new(folder.path(), interrupted.path(), &cancelling, 6) };
    let before = dispatch("cpu", run).unwrap().len();
    let after = dispatch("cpu", ShapesRun::new(folder.path(), interrupted.path(), &dataset, 6)).unwrap().len();
    assert!(before < 3 && before + after == done, "{before} {after} {done}");
    let weights = |folder: &tempfile::TempDir| std::fs::read(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(weights(&interrupted), weights(&uninterrupted));
}

#[test]
fn the_state_of_other_options_is_refused() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let state = tempfile::tempdir().unwrap();
    let run = |max_lr| {
        let schedule = CosineSchedule { max_lr, ..SCHEDULE };
        ShapesRun { schedule, ..ShapesRun::new(folder.path(), state.path(), &dataset, 1) }
    };
    dispatch("cpu", run(1e-3)).unwrap();
    let error = dispatch("cpu", run(2e-3)).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }) && error.to_string().contains("another run"), "{error}");
}

/// Token and auxiliary loss of the first steps, as recorded on one machine.
const RECORDED_LOSSES: [[f64; 2]; 4] =
    [[7.6616762, 29.9364328], [7.6378944, 21.9633417], [7.5446854, 27.0278683], [6.7660718, 24.5671444]];

#[test]
fn the_first_losses_are_those_recorded() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let state = tempfile::tempdir().unwrap();
    let schedule = CosineSchedule { warmup_steps: 4, total_steps: 24, ..SCHEDULE };
    let run = ShapesRun { schedule, ..ShapesRun::new(folder.path(), state.path(), &dataset, 4) };
    let reports = dispatch("cpu", run).unwrap();
    assert_eq!(reports.len(), RECORDED_LOSSES.len());
    for (report, recorded) in reports.iter().zip(RECORDED_LOSSES) {
        let losses = ["token_loss", "auxiliary_loss"].map(|name| report.metric(name).unwrap());
        for (loss, recorded) in losses.iter().zip(recorded) {
            // AdamW's first steps amplify the rounding, which depends on the instruction set.
            assert!((loss - recorded).abs() < 1e-3 * recorded, "step {}: {losses:?}, not {recorded:?}", report.step);
        }
    }
}

fn plain_example(weights: [f32; 3]) -> Example {
    Example {
        ids: vec![5, 6, 7],
        positions: vec![[0; 3], [1; 3], [2; 3]],
        weights: weights.to_vec(),
        placeholders: Vec::new(),
        patches: Vec::new(),
    }
}

/// The same three tokens in every batch; the second is a target in even batches and the third in odd ones, with these
/// weights.
struct Weighted([f32; 2]);

impl Dataset for Weighted {
    type Batch = ShapesBatch;

    fn batch(&self, index: u64) -> Result<ShapesBatch> {
        let Self([second, third]) = *self;
        let weights = if index.is_multiple_of(2) { [0.0, second, 0.0] } else { [0.0, 0.0, third] };
        ShapesBatch::new(&[ShapesExample {
            inputs: plain_example(weights),
            patch_labels: Vec::new(),
            middle_tokens: Vec::new(),
            middle_bounds: Vec::new(),
            late_bounds: Vec::new(),
        }])
    }
}

#[test]
fn only_the_ratio_of_weights_counts_for_shapes() {
    let folder = small_checkpoint();
    let loss = |weights| {
        let state = tempfile::tempdir().unwrap();
        let dataset = Weighted(weights);
        dispatch("cpu", ShapesRun::new(folder.path(), state.path(), &dataset, 1)).unwrap()[0].loss
    };
    let (second, third) = (loss([1.0, 0.0]), loss([0.0, 1.0]));
    assert!((second - third).abs() > 1e-2, "{second} {third}");
    assert!((loss([0.5, 0.0]) - second).abs() < 1e-5);
    assert!((loss([3.0, 1.0]) - (3.0 * second + third) / 4.0).abs() < 1e-5);
}

/// Takes two steps of next-token cross-entropy, each over the same two batches, after a step that is cancelled at once.
struct CausalLmRun<'a> {
    folder: &'a Path,
    normalization: Normalization,
    batches: [Batch; 2],
}

impl WithBackend for CausalLmRun<'_> {
    type Output = [StepReport; 2];

    fn run<B: Kernels>(self, device: B::Device) -> Result<[StepReport; 2]> {
        let config = ModelConfig::load(self.folder)?;
        let source = RandomSource { seed: 3, embedding_std: 0.2, depth: 2, device: device.clone() };
        let state = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(SCHEDULE, state.path());
        let objective = CausalLmObjective { normalization: self.normalization };
        let preprocess = PreprocessConfig::load(self.folder)?;
        let mut trainer = Trainer::<B, _>::new(&source, &config, objective, options, preprocess, device)?;
        let cancelled = CancelToken::new();
        cancelled.cancel();
        assert!(matches!(trainer.train_step(&self.batches, &cancelled), Err(Error::Cancelled)));
        assert_eq!(trainer.step(), 0);
        let mut step = || trainer.train_step(&self.batches, &CancelToken::new());
        Ok([step()?, step()?])
    }
}

#[test]
fn weights_may_be_signed_and_the_loss_is_divided_by_a_count() {
    let folder = small_checkpoint();
    let run = |[second, third]: [f32; 2], normalization| {
        let batches =
            [[0.0, second, 0.0], [0.0, 0.0, third]].map(|weights| Batch::new(&[plain_example(weights)]).unwrap());
        dispatch("cpu", CausalLmRun { folder: folder.path(), normalization, batches }).unwrap()
    };
    let loss = |weights, normalization| run(weights, normalization)[0].loss;
    let (second, third) = (loss([1.0, 0.0], Normalization::Tokens), loss([0.0, 1.0], Normalization::Tokens));
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-5, "{a} {b}");
    near(loss([0.5, 0.0], Normalization::Tokens), 0.5 * second);
    near(loss([3.0, 1.0], Normalization::Tokens), (3.0 * second + third) / 2.0);
    near(loss([1.0, -1.0], Normalization::Tokens), (second - third) / 2.0);
    near(loss([1.0, 0.0], Normalization::Sequences), second / 2.0);
    let [before, after] = run([-1.0, -1.0], Normalization::Tokens);
    assert!(after.loss < before.loss, "a negative weight makes its token less likely: {} {}", before.loss, after.loss);
    assert_eq!(before.metrics.len(), 1);
    assert!(before.metric("accuracy").is_some() && before.metric("token_loss").is_none());
}

#[test]
fn a_target_outside_the_vocabulary_is_refused() {
    let folder = small_checkpoint();
    let mut batch = Batch::new(&[plain_example([0.0, 1.0, 1.0])]).unwrap();
    batch.targets[1].token = 1 << 20;
    let batches = [batch.clone(), batch];
    let run = CausalLmRun { folder: folder.path(), normalization: Normalization::Tokens, batches };
    let error = dispatch("cpu", run).unwrap_err();
    assert!(matches!(error, Error::Prompt { .. }) && error.to_string().contains("target token 1048576"), "{error}");
}

#[test]
fn an_example_whose_parts_do_not_fit_is_refused() {
    let short = Example { positions: vec![[0; 3]], ..plain_example([0.0, 1.0, 1.0]) };
    assert!(matches!(Batch::new(&[short]), Err(Error::Prompt { .. })));
    for weight in [f32::NAN, f32::INFINITY] {
        assert!(matches!(Batch::new(&[plain_example([0.0, weight, 1.0])]), Err(Error::Prompt { .. })));
    }
}

/// Changes the first batch of a dataset.
struct Spoiled<'a>(&'a ShapesDataset, Spoil);

type Spoil = fn(&mut ShapesBatch);

impl Dataset for Spoiled<'_> {
    type Batch = ShapesBatch;

    fn batch(&self, index: u64) -> Result<ShapesBatch> {
        let mut batch = self.0.batch(index)?;
        if index == 0 {
            self.1(&mut batch);
        }
        Ok(batch)
    }
}

#[test]
fn auxiliary_targets_without_a_class_are_refused() {
    let folder = small_checkpoint();
    let mut dataset = dataset(folder.path());
    dataset.stages[0].recipe.skill_weights = [0, 1, 0, 0, 0];
    let cases: [(Spoil, &str); 5] = [
        (|batch| batch.patch_labels[0].class = PATCH_CLASSES as u32, "a patch has the class"),
        (|batch| batch.patch_labels[0].bounds = Some([COORDINATE_BINS as u32; 4]), "a coordinate is in bin"),
        (|batch| batch.late_bounds[0].bounds[3] = COORDINATE_BINS as u32, "a coordinate is in bin"),
        (|batch| batch.middle_bounds[0].bounds[0] = COORDINATE_BINS as u32, "a coordinate is in bin"),
        (|batch| batch.middle_tokens[0].token = 1 << 20, "target token 1048576"),
    ];
    for (spoil, message) in cases {
        let dataset = Spoiled(&dataset, spoil);
        let state = tempfile::tempdir().unwrap();
        let error = dispatch("cpu", ShapesRun::new(folder.path(), state.path(), &dataset, 1)).unwrap_err();
        assert!(matches!(error, Error::Prompt { .. }) && error.to_string().contains(message), "{error}");
    }
}

/// Takes two steps from a quantized base model, over one batch. Returns the losses and the error of the export.
struct QuantizedBase<'a>(&'a Path);

impl WithBackend for QuantizedBase<'_> {
    type Output = ([f64; 2], Error);

    fn run<B: Kernels>(self, device: B::Device) -> Result<([f64; 2], Error)> {
        let (checkpoint, config) = (Checkpoint::open(self.0)?, ModelConfig::load(self.0)?);
        let source = checkpoint.source::<Autodiff<B>>(WeightFormat::Int8, &device);
        let state = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(SCHEDULE, state.path());
        let (objective, preprocess) = (CausalLmObjective::default(), PreprocessConfig::load(self.0)?);
        let mut trainer = Trainer::<B, _>::new(&source, &config, objective, options, preprocess, device.clone())?;
        let batch = dataset(self.0).batch(0)?.inputs;
        let mut step = || trainer.train_step(std::slice::from_ref(&batch), &CancelToken::new());
        let losses = [step()?.loss, step()?.loss];
        Ok((losses, trainer.save_weights(state.path()).unwrap_err()))
    }
}

#[test]
fn a_quantized_base_model_is_trained_but_not_exported() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    dispatch("cpu", ShapesRun::new(folder.path(), folder.path(), &dataset, 1)).unwrap();
    let ([before, after], error) = dispatch("cpu", QuantizedBase(folder.path())).unwrap();
    assert!(after < before, "{before} {after}");
    assert!(matches!(error, Error::Tensor { .. }) && error.to_string().contains("quantized"), "{error}");
}

/// Expands one checkpoint into a larger one with the same vocabulary.
struct Expand<'a> {
    from: &'a Path,
    to: &'a Path,
}

impl WithBackend for Expand<'_> {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        let (base, config) = (Checkpoint::open(self.from)?, ModelConfig::load(self.to)?);
        let base_config = ModelConfig::load(self.from)?.text;
        let vocab_size = config.text.vocab_size as u32;
        let token_map: Vec<(u32, u32)> = (0..vocab_size).map(|token| (token, token)).collect();
        let random = RandomSource { seed: 5, embedding_std: 0.2, depth: 3, device: device.clone() };
        let source = ExpandedSource::new(&base, &base_config, &token_map, random, &device);
        let state = tempfile::tempdir().unwrap();
        let options = TrainOptions::new(SCHEDULE, state.path());
        let (objective, preprocess) = (CausalLmObjective::default(), PreprocessConfig::load(self.to)?);
        Trainer::<B, _>::new(&source, &config, objective, options, preprocess, device.clone())?.save_weights(self.to)
    }
}

#[test]
fn an_expanded_model_computes_the_same_function() {
    let small = small_checkpoint();
    let dataset = dataset(small.path());
    dispatch("cpu", ShapesRun::new(small.path(), small.path(), &dataset, 1)).unwrap();
    let large = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(small.path()).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.extension().is_some_and(|ending| ending != "safetensors") {
            std::fs::copy(&entry, large.path().join(entry.file_name().unwrap())).unwrap();
        }
    }
    let path = large.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    config["num_hidden_layers"] = 4.into();
    config["num_key_value_heads"] = 2.into();
    config["max_window_layers"] = 4.into();
    config["vision_config"]["depth"] = 3.into();
    std::fs::write(&path, config.to_string()).unwrap();
    dispatch("cpu", Expand { from: small.path(), to: large.path() }).unwrap();
    let logprobs = |folder: &Path| {
        let model = Model::load(folder, &LoadOptions::new().weights(WeightFormat::F32)).unwrap();
        let image =
            Image::from_rgb(140, 140, 420, &(0..140 * 420).map(|index| (index % 251) as u8).collect::<Vec<_>>())
                .unwrap();
        let prompt = Prompt::user().image(image).text("How many circles are there?").thinking(Thinking::Off);
        let answer = model.session().ask(&prompt, &GenerateOptions::new().max_tokens(8).logprobs(0)).unwrap();
        answer.logprobs.iter().map(|token| (token.id, token.logprob)).collect::<Vec<_>>()
    };
    let (small, large) = (logprobs(small.path()), logprobs(large.path()));
    assert!(!small.is_empty() && small.len() == large.len());
    for (a, b) in small.iter().zip(&large) {
        assert!(a.0 == b.0 && (a.1 - b.1).abs() < 1e-5, "{a:?} {b:?}");
    }
}
