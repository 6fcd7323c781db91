//! Measures `mimo-vl-tiny` on freshly drawn pictures, without and with thinking.
//!
//!     cargo run --release --bin eval_tiny -- [MODEL] [--scenes 1000] [--seed 77] [--device cpu] [--weights f32] [--wrong]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_core::{Error, LoadOptions, Model, Result, Thinking, WeightFormat};
use mimo_vl_examples::shapes::{measure, measure_skills};
use mimo_vl_examples::tiny_model;

struct Arguments {
    model: PathBuf,
    scenes: u64,
    seed: u64,
    options: LoadOptions,
    show_wrong: bool,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(reason) => {
            eprintln!("eval_tiny: {reason}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eval_tiny: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> std::result::Result<Arguments, String> {
    let options = LoadOptions::new().weights(WeightFormat::F32);
    let mut parsed = Arguments { model: tiny_model(), scenes: 1000, seed: 77, options, show_wrong: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{argument} {text}: {error}"));
        match argument.as_str() {
            "--scenes" => parsed.scenes = number(value()?)?,
            "--seed" => parsed.seed = number(value()?)?,
            "--device" => parsed.options = parsed.options.device(value()?),
            "--weights" => {
                let weights = value()?.parse().map_err(|error: Error| error.to_string())?;
                parsed.options = parsed.options.weights(weights);
            }
            "--wrong" => parsed.show_wrong = true,
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ => parsed.model = argument.clone().into(),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<()> {
    let model = Model::load(&arguments.model, &arguments.options)?;
    for (name, thinking) in [("without thinking", Thinking::Off), ("with thinking", Thinking::On)] {
        let accuracy = measure(&model, arguments.seed, arguments.scenes, thinking, |index, question, answer| {
            if arguments.show_wrong {
                println!("  scene {index}: {} -> {answer:?}, not {:?}", question.text, question.answer_text());
            }
        })?;
        let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
        println!(
            "{name}: {} of {} right ({:.1} %), thinking as asked {:.1} %",
            accuracy.right,
            accuracy.asked,
            percent(accuracy.right, accuracy.asked),
            percent(accuracy.obeyed, accuracy.asked)
        );
        for (kind, asked, right) in accuracy.kinds.iter().filter(|(_, asked, _)| *asked > 0) {
            println!("  {kind:?}: {right} of {asked} ({:.1} %)", percent(*right, *asked));
        }
        let skills = measure_skills(&model, arguments.seed, arguments.scenes, thinking, |question, answer, right| {
            if arguments.show_wrong {
                println!("  {question} -> {answer:?}, not {right:?}");
            }
        })?;
        println!(
            "  boxes: mean IoU {:.3}, F1 at 0.5 {:.3}, {} objects",
            skills.mean_iou(),
            skills.f1(),
            skills.objects
        );
        for (name, right) in [("clicks", skills.clicks), ("strings", skills.readings), ("motion", skills.motions)] {
            println!("  {name}: {right} of {} ({:.1} %)", skills.asked, percent(right, skills.asked));
        }
    }
    Ok(())
}
