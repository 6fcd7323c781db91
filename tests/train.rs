//! Training on a model of a few thousand weights.

use std::path::Path;

use mimo_vl_core::cancel::Cancel;
use mimo_vl_core::config::{ModelConfig, PreprocessConfig};
use mimo_vl_core::device::{WithBackend, dispatch};
use mimo_vl_core::error::{Error, Result};
use mimo_vl_core::kernels::Kernels;
use mimo_vl_core::prompt::Tokenizer;
use mimo_vl_core::train::{Batch, Dataset, Example, RandomSource, Schedule, TrainOptions, Trainer};
use mimo_vl_examples::shapes::{Dimensions, KINDS, Recipe, ShapesDataset, build_tokenizer, write_checkpoint_files};

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
        recipe: Recipe::default(),
        batch_size: 2,
        easy_batches: 0,
        tokenizer: Tokenizer::load(folder).unwrap(),
        config: ModelConfig::load(folder).unwrap(),
        preprocess: PreprocessConfig::load(folder).unwrap(),
    }
}

/// Train up to step `until`, as one of possibly several runs over the same state, and write the weights.
struct Run<'a, D> {
    folder: &'a Path,
    state: &'a Path,
    out: &'a Path,
    dataset: &'a D,
    workers: usize,
    until: u64,
    rate: f64,
}

impl<D: Dataset> WithBackend for Run<'_, D> {
    type Output = Vec<f64>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Vec<f64>> {
        let config = ModelConfig::load(self.folder)?;
        let source = RandomSource { seed: 3, embedding_std: 0.2, depth: 2, device: device.clone() };
        let options = TrainOptions {
            schedule: Schedule { peak: self.rate, last: 1e-4, warmup: 1, steps: 6 },
            batches_per_step: 2,
            workers: self.workers,
            patch_classes: KINDS,
            betas: [0.9, 0.98],
            weight_decay: 0.01,
            clip: 1.0,
            run: "test".into(),
            state: self.state.to_path_buf(),
            save_every: 100,
        };
        let mut trainer = Trainer::<B>::new(&source, &config, options, PreprocessConfig::load(self.folder)?, device)?;
        let (cancel, mut losses) = (Cancel::new(), Vec::new());
        let stop = cancel.clone();
        let result = trainer.run(self.dataset, &cancel, |report| {
            losses.push(report.loss);
            if report.step == self.until {
                stop.cancel();
            }
        });
        assert!(matches!(result, Ok(()) | Err(Error::Cancelled)), "{result:?}");
        trainer.save_weights(self.out)?;
        Ok(losses)
    }
}

#[test]
fn an_interrupted_run_ends_with_the_same_weights() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let weights = |stops: &[u64], workers: usize| {
        let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut losses = Vec::new();
        for &until in stops {
            let run = Run {
                folder: folder.path(),
                state: state.path(),
                out: out.path(),
                dataset: &dataset,
                workers,
                until,
                rate: 2e-3,
            };
            losses.extend(dispatch("cpu", run).unwrap());
        }
        assert_eq!(losses.len(), 6);
        (losses, std::fs::read(out.path().join("model.safetensors")).unwrap())
    };
    let whole = weights(&[6], 2);
    assert_eq!(whole, weights(&[2, 3, 6], 2), "resumed");
    let one = weights(&[6], 1);
    for (a, b) in whole.0.iter().zip(&one.0) {
        assert!((a - b).abs() < 1e-4, "workers change only rounding: {a} {b}");
    }
    assert!(whole.0[5] < whole.0[0], "the loss falls: {:?}", whole.0);
}

#[test]
fn the_state_of_other_options_is_refused() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let (state, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |rate| Run {
        folder: folder.path(),
        state: state.path(),
        out: out.path(),
        dataset: &dataset,
        workers: 1,
        until: 1,
        rate,
    };
    dispatch("cpu", run(1e-3)).unwrap();
    let error = dispatch("cpu", run(2e-3)).unwrap_err();
    assert!(matches!(error, Error::Checkpoint { .. }) && error.to_string().contains("another run"), "{error}");
}

#[test]
fn only_the_assistants_words_are_learned() {
    let folder = small_checkpoint();
    let dataset = dataset(folder.path());
    let token = |text: &str| dataset.tokenizer.token_id(text).unwrap();
    let opening = dataset.tokenizer.encode("<|im_start|>assistant\n").unwrap();
    for index in 0..8 {
        let batch = dataset.batch(index).unwrap();
        let learned: Vec<usize> = batch.targets.iter().map(|&(row, _)| row as usize + 1).collect();
        assert!(learned.len() >= 2 * batch.size, "every example has an answer and its end");
        for (&(_, id), &place) in batch.targets.iter().zip(&learned) {
            assert_eq!(batch.ids[place], id);
            let first = !learned.contains(&(place - 1));
            assert!(!first || batch.ids[..place].ends_with(&opening), "batch {index}: a reply starts after its role");
            let last = !learned.contains(&(place + 1));
            assert_eq!(last, id == token("<|im_end|>"), "batch {index}: a reply ends with its end token");
        }
    }
}

#[test]
fn an_example_whose_parts_do_not_fit_is_refused() {
    let example = Example {
        ids: vec![1, 2],
        positions: vec![[0; 3]],
        learn: vec![false, true],
        slots: Vec::new(),
        patches: Vec::new(),
        patch_labels: Vec::new(),
    };
    assert!(matches!(Batch::new(&[example]), Err(Error::Prompt { .. })));
}
