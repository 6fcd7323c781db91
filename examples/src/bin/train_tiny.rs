//! Trains `mimo-vl-tiny`, the model that ships with this repository, on generated images.
//!
//!     cargo run --release --features train --bin train_tiny -- OUT [--from MODEL] [--device cpu] [--steps N]
//!                                                              [--seed S] [--state DIR] [--workers N]
//!
//! OUT becomes a checkpoint directory. With --from, training starts from the tensors of an earlier model, expanded to
//! the size of the new one. Ctrl-C saves the state, in OUT/state or DIR; the same command resumes from it, with the
//! same result as without the interruption.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::expert::{Checkpoint, Kernels, PreprocessConfig, TensorSource, Tokenizer, WithBackend, dispatch};
use mimo_vl_core::train::{Autodiff, CosineSchedule, ExpandedSource, RandomSource, StepReport, TrainOptions, Trainer};
use mimo_vl_core::{CancelToken, Error, ModelConfig, Result};
use mimo_vl_examples::shapes::{
    Dimensions, Recipe, ShapesDataset, ShapesObjective, Stage, build_tokenizer, write_checkpoint_files,
};

const USAGE: &str = "\
train_tiny OUT [--from MODEL] [--device cpu] [--steps 22000] [--seed 1] [--state OUT/state] [--workers 2]
  OUT        checkpoint directory to write
  --from     checkpoint directory of an earlier model to start from
  --device   cpu, ndarray or cuda:0, if this build has it
  --steps    optimizer steps of 16 images each
  --seed     seed of the initial weights and of all images
  --state    directory of the state that the same command resumes from
  --workers  batches computed at once, each on one core";

/// Batches per optimizer step.
const ACCUMULATION_STEPS: usize = 4;

/// A stage of the curriculum.
#[derive(Debug)]
struct Curriculum {
    /// Optimizer steps; the last stage has no end.
    steps: u64,
    /// Weight of each skill.
    skill_weights: [u32; 5],
    /// Largest number of objects in an image to detect in.
    max_objects: usize,
    /// Largest number of objects to detect at once.
    max_boxes: usize,
    /// Probability that the last answer thinks.
    thinking: f64,
}

impl Curriculum {
    const fn new(steps: u64, skill_weights: [u32; 5], [max_objects, max_boxes]: [usize; 2], thinking: f64) -> Self {
        Self { steps, skill_weights, max_objects, max_boxes, thinking }
    }

    fn stage(&self) -> Stage {
        let &Self { steps, skill_weights, max_objects, max_boxes, thinking } = self;
        Stage {
            batches: steps * ACCUMULATION_STEPS as u64,
            recipe: Recipe { skill_weights, max_objects, max_boxes, thinking, ..Recipe::default() },
        }
    }
}

/// Coordinates come first, then the choice of an object, then the other skills, and lists of boxes last: a list often
/// starts with the leftmost object of all, and that is easier to learn than to find the object of the question.
const STAGES: [Curriculum; 6] = [
    Curriculum::new(1_300, [15, 85, 0, 0, 0], [1, 1], 0.3),
    Curriculum::new(1_500, [15, 85, 0, 0, 0], [2, 1], 0.3),
    Curriculum::new(1_000, [15, 85, 0, 0, 0], [4, 1], 0.3),
    Curriculum::new(1_500, [15, 45, 10, 20, 10], [5, 1], 0.3),
    Curriculum::new(4_700, [20, 38, 6, 32, 4], [5, 1], 0.4),
    Curriculum::new(1, [28, 52, 4, 5, 11], [5, 5], 0.4),
];

struct Arguments {
    out: PathBuf,
    from: Option<PathBuf>,
    state: PathBuf,
    device: String,
    steps: u64,
    seed: u64,
    workers: usize,
}

fn dimensions() -> Dimensions {
    Dimensions {
        hidden_size: 160,
        intermediate_size: 384,
        layers: 5,
        heads: 5,
        kv_heads: 5,
        rope_theta: 100_000.0,
        mrope_section: [1, 1, 14],
        tie_word_embeddings: false,
        context: 2048,
        vision_depth: 4,
        vision_hidden_size: 128,
        vision_intermediate_size: 256,
        vision_heads: 4,
        full_attention: vec![1, 3],
    }
}

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("train_tiny: {reason}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    if let Err(error) = ctrlc::set_handler(move || flag.cancel()) {
        eprintln!("train_tiny: no handler for Ctrl-C, which will not save the state: {error}");
    }
    let device = arguments.device.clone();
    match dispatch(&device, Training { arguments, cancel }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Cancelled) => {
            eprintln!("stopped; the state is saved, and the same command resumes from it");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("train_tiny: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> std::result::Result<Arguments, String> {
    let mut parsed = Arguments {
        out: PathBuf::new(),
        from: None,
        state: PathBuf::new(),
        device: "cpu".into(),
        steps: 22_000,
        seed: 1,
        workers: std::thread::available_parallelism().map_or(1, |cores| cores.get().min(2)),
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{argument} {text}: {error}"));
        match argument.as_str() {
            "--from" => parsed.from = Some(value()?.into()),
            "--device" => parsed.device = value()?,
            "--state" => parsed.state = value()?.into(),
            "--steps" => parsed.steps = number(value()?)?,
            "--seed" => parsed.seed = number(value()?)?,
            "--workers" => parsed.workers = number(value()?)? as usize,
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ => parsed.out = argument.clone().into(),
        }
    }
    if parsed.out.as_os_str().is_empty() {
        return Err("OUT is missing".into());
    }
    if parsed.state.as_os_str().is_empty() {
        parsed.state = parsed.out.join("state");
    }
    Ok(parsed)
}

struct Training {
    arguments: Arguments,
    cancel: CancelToken,
}

impl WithBackend for Training {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        let Arguments { out, from, seed, .. } = &self.arguments;
        make_checkpoint_files(out)?;
        let config = ModelConfig::load(out)?;
        let random = RandomSource {
            seed: *seed,
            embedding_std: 0.08,
            depth: config.text.num_hidden_layers,
            device: device.clone(),
        };
        match from {
            Some(from) => {
                let (base, token_map) = (Checkpoint::open(from)?, token_map(out, from)?);
                let base_config = ModelConfig::load(from)?.text;
                let source = ExpandedSource::new(&base, &base_config, &token_map, random, &device);
                self.train::<B>(&source, config, device.clone())
            }
            None => self.train::<B>(&random, config, device),
        }
    }
}

impl Training {
    fn train<B: Kernels>(
        &self,
        source: &impl TensorSource<Autodiff<B>>,
        config: ModelConfig,
        device: B::Device,
    ) -> Result<()> {
        let Arguments { out, from, state, steps, seed, workers, .. } = &self.arguments;
        let preprocess = PreprocessConfig::load(out)?;
        let schedule = CosineSchedule { max_lr: 1.5e-3, min_lr: 1.5e-5, warmup_steps: 200, total_steps: *steps };
        let options = TrainOptions {
            gradient_accumulation_steps: ACCUMULATION_STEPS,
            workers: *workers,
            adam_betas: [0.9, 0.98],
            weight_decay: 0.01,
            run_name: format!("mimo-vl-tiny, seed {seed}, from {from:?}, {STAGES:?}"),
            ..TrainOptions::new(schedule, state)
        };
        let objective = ShapesObjective::load(source, &config.text, schedule)?;
        let dataset = ShapesDataset {
            seed: *seed,
            stages: STAGES.iter().map(Curriculum::stage).collect(),
            batch_size: 4,
            tokenizer: Tokenizer::load(out)?,
            config: config.clone(),
            preprocess: preprocess.clone(),
        };
        let mut trainer = Trainer::<B, _>::new(source, &config, objective, options, preprocess, device)?;
        let bar = progress_bar(*steps, trainer.step());
        let mut averages = RunningAverages::default();
        let result = trainer.train(&dataset, &self.cancel, |report| {
            averages.add(report);
            bar.set_position(report.step);
            bar.set_message(averages.text(report));
            if report.step % 100 == 0 {
                bar.suspend(|| println!("step {} {}", report.step, averages.text(report)));
            }
        });
        bar.finish();
        if matches!(result, Ok(()) | Err(Error::Cancelled)) {
            trainer.save_weights(out)?;
        }
        result
    }
}

/// Pairs the ids of every token that two checkpoints have in common: the id in `out` and the id in `base`.
fn token_map(out: &Path, base: &Path) -> Result<Vec<(u32, u32)>> {
    let vocabulary = |folder: &Path| {
        let path = folder.join("tokenizer.json");
        let tokenizer = tokenizers::Tokenizer::from_file(&path)
            .map_err(|error| Error::Checkpoint { path, reason: error.to_string() })?;
        Ok::<_, Error>(tokenizer.get_vocab(true))
    };
    let base_ids = vocabulary(base)?;
    Ok(vocabulary(out)?.into_iter().filter_map(|(text, token)| Some((token, *base_ids.get(&text)?))).collect())
}

/// Writes all files but the weights. A resumed run keeps its files, and with them its vocabulary.
fn make_checkpoint_files(out: &Path) -> Result<()> {
    if out.join("config.json").is_file() && out.join("tokenizer.json").is_file() {
        return Ok(());
    }
    let failed = |error: String| Error::Checkpoint { path: out.to_path_buf(), reason: error };
    std::fs::create_dir_all(out).map_err(|error| failed(error.to_string()))?;
    let tokenizer = build_tokenizer().map_err(|error| failed(error.to_string()))?;
    write_checkpoint_files(out, &dimensions(), &tokenizer).map_err(|error| failed(error.to_string()))
}

fn progress_bar(steps: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_position(done);
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} eta {eta}");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// Exponential moving averages over about a hundred steps.
#[derive(Default)]
struct RunningAverages {
    token_loss: f64,
    auxiliary_loss: f64,
    accuracy: f64,
    seconds: f64,
    weight: f64,
}

impl RunningAverages {
    fn add(&mut self, report: &StepReport) {
        let decay = 0.99;
        let metric = |name| report.metric(name).unwrap_or_default();
        self.weight = decay * self.weight + 1.0;
        self.token_loss = decay * self.token_loss + metric("token_loss");
        self.auxiliary_loss = decay * self.auxiliary_loss + metric("auxiliary_loss");
        self.accuracy = decay * self.accuracy + metric("accuracy");
        self.seconds = decay * self.seconds + report.duration.as_secs_f64();
    }

    fn text(&self, report: &StepReport) -> String {
        let examples_per_second = self.weight * report.examples as f64 / self.seconds;
        let [loss, auxiliary, accuracy] =
            [self.token_loss, self.auxiliary_loss, 100.0 * self.accuracy].map(|sum| sum / self.weight);
        format!(
            "loss {loss:.4} auxiliary {auxiliary:.4} accuracy {accuracy:.1}% {examples_per_second:.0} examples/s \
             lr {:.1e}",
            report.learning_rate
        )
    }
}
