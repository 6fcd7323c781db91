//! Trains `mimo-vl-tiny`, the model that ships with this repository, on pictures it draws itself.
//!
//!     cargo run --release --features train --bin train_tiny -- OUT [--from MODEL] [--device cpu] [--steps N]
//!                                                              [--seed S] [--state DIR] [--workers N]
//!
//! OUT becomes a checkpoint directory. With --from, the tensors of an earlier model are where training starts, and layers
//! that it lacks add nothing at first. Ctrl-C saves the state, in OUT/state or DIR; the same command goes on from
//! it, with the same result as without the interruption.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::expert::{Checkpoint, Kernels, PreprocessConfig, Tokenizer, WithBackend, dispatch};
use mimo_vl_core::train::{ExpandedSource, RandomSource, Schedule, StepReport, TrainOptions, Trainer};
use mimo_vl_core::{CancelToken, Error, ModelConfig, Result};
use mimo_vl_examples::shapes::{
    Dimensions, KINDS, PLACES, Recipe, ShapesDataset, Stage, build_tokenizer, write_checkpoint_files,
};

const USAGE: &str = "\
train_tiny OUT [--from MODEL] [--device cpu] [--steps 22000] [--seed 1] [--state OUT/state] [--workers 2]
  OUT        the checkpoint directory to make
  --from     the checkpoint directory of an earlier model to start from
  --device   cpu, ndarray or cuda:0, as far as this build has it
  --steps    optimiser steps of 16 pictures each
  --seed     of the first weights and of all pictures
  --state    where the state is kept that the same command resumes from
  --workers  batches that are worked on at once, each on one core";

/// Batches of a step.
const BATCHES: u64 = 4;

/// What comes in a stage of training.
#[derive(Debug)]
struct Lessons {
    /// Steps; the last stage goes on to the end, whatever it says.
    steps: u64,
    /// How often each skill comes.
    skills: [u32; 5],
    /// Most objects in a picture to detect in.
    most_detected: usize,
    /// Most objects that are asked for at once.
    most_boxes: usize,
    /// How often it is thought.
    thinking: f64,
}

/// Places are learned first, then which object is meant, then the rest, and lists of boxes at last: a list often starts
/// with the leftmost object of all, and to take that one is easier to learn than to look for what was asked.
const STAGES: [Lessons; 6] = [
    Lessons { steps: 1_300, skills: [15, 85, 0, 0, 0], most_detected: 1, most_boxes: 1, thinking: 0.3 },
    Lessons { steps: 1_500, skills: [15, 85, 0, 0, 0], most_detected: 2, most_boxes: 1, thinking: 0.3 },
    Lessons { steps: 1_000, skills: [15, 85, 0, 0, 0], most_detected: 4, most_boxes: 1, thinking: 0.3 },
    Lessons { steps: 1_500, skills: [15, 45, 10, 20, 10], most_detected: 5, most_boxes: 1, thinking: 0.3 },
    Lessons { steps: 4_700, skills: [20, 38, 6, 32, 4], most_detected: 5, most_boxes: 1, thinking: 0.4 },
    Lessons { steps: 1, skills: [28, 52, 4, 5, 11], most_detected: 5, most_boxes: 5, thinking: 0.4 },
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
        eprintln!("train_tiny: Ctrl-C will not save: {error}");
    }
    let device = arguments.device.clone();
    match dispatch(&device, Training { arguments, cancel }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Cancelled) => {
            eprintln!("stopped and saved; the same command goes on from here");
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
        let Arguments { out, from, state, steps, seed, workers, .. } = self.arguments;
        make_checkpoint_files(&out)?;
        let config = ModelConfig::load(&out)?;
        let preprocess = PreprocessConfig::load(&out)?;
        let dataset = ShapesDataset {
            seed,
            stages: STAGES.map(stage).to_vec(),
            batch_size: 4,
            tokenizer: Tokenizer::load(&out)?,
            config: config.clone(),
            preprocess: preprocess.clone(),
        };
        let random =
            RandomSource { seed, embedding_std: 0.08, depth: config.text.num_hidden_layers, device: device.clone() };
        let options = TrainOptions {
            schedule: Schedule { peak: 1.5e-3, last: 1.5e-5, warmup: 200, steps },
            batches_per_step: BATCHES as usize,
            workers,
            patch_classes: KINDS,
            number_classes: PLACES,
            betas: [0.9, 0.98],
            weight_decay: 0.01,
            clip: 1.0,
            run: format!("mimo-vl-tiny, seed {seed}, from {from:?}, {STAGES:?}"),
            state,
            save_every: 500,
        };
        let mut trainer = match from {
            Some(from) => {
                let (earlier, tokens) = (Checkpoint::open(&from)?, common_tokens(&out, &from)?);
                let earlier_config = ModelConfig::load(&from)?.text;
                let source = ExpandedSource::new(&earlier, &earlier_config, &tokens, random, &device);
                Trainer::<B>::new(&source, &config, options, preprocess, device.clone())?
            }
            None => Trainer::<B>::new(&random, &config, options, preprocess, device)?,
        };
        let bar = progress_bar(steps, trainer.step());
        let mut mean = Means::default();
        let result = trainer.run(&dataset, &self.cancel, |report| {
            mean.add(report);
            bar.set_position(report.step);
            bar.set_message(mean.text(report));
            if report.step % 100 == 0 {
                bar.suspend(|| println!("step {} {}", report.step, mean.text(report)));
            }
        });
        bar.finish();
        if matches!(result, Ok(()) | Err(Error::Cancelled)) {
            trainer.save_weights(&out)?;
        }
        result
    }
}

fn stage(lessons: Lessons) -> Stage {
    let Lessons { steps, skills, most_detected, most_boxes, thinking } = lessons;
    Stage {
        batches: steps * BATCHES,
        recipe: Recipe { skills, most_detected, most_boxes, thinking, ..Recipe::default() },
    }
}

/// Every token that two checkpoints have in common: its number in the newer and in the earlier one.
fn common_tokens(newer: &Path, earlier: &Path) -> Result<Vec<(u32, u32)>> {
    let words = |folder: &Path| {
        let path = folder.join("tokenizer.json");
        let tokenizer = tokenizers::Tokenizer::from_file(&path)
            .map_err(|error| Error::Checkpoint { path, reason: error.to_string() })?;
        Ok::<_, Error>(tokenizer.get_vocab(true))
    };
    let known = words(earlier)?;
    Ok(words(newer)?.into_iter().filter_map(|(word, token)| Some((token, *known.get(&word)?))).collect())
}

/// Everything but the weights; a run that is resumed keeps the files, and with them the vocabulary, that it has.
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

/// Running means over about a hundred steps.
#[derive(Default)]
struct Means {
    loss: f64,
    auxiliary: f64,
    accuracy: f64,
    seconds: f64,
    weight: f64,
}

impl Means {
    fn add(&mut self, report: &StepReport) {
        let keep = 0.99;
        self.weight = keep * self.weight + 1.0;
        self.loss = keep * self.loss + report.loss;
        self.auxiliary = keep * self.auxiliary + report.auxiliary;
        self.accuracy = keep * self.accuracy + report.accuracy;
        self.seconds = keep * self.seconds + report.duration.as_secs_f64();
    }

    fn text(&self, report: &StepReport) -> String {
        let rate = self.weight * report.examples as f64 / self.seconds;
        let [loss, auxiliary, accuracy] =
            [self.loss, self.auxiliary, 100.0 * self.accuracy].map(|sum| sum / self.weight);
        format!(
            "loss {loss:.4} auxiliary {auxiliary:.4} tokens right {accuracy:.1}% {rate:.0} examples/s lr {:.1e}",
            report.rate
        )
    }
}
