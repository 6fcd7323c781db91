//! Evaluates `mimo-vl-tiny` on generated images that it was not trained on, without and with thinking.
//!
//!     cargo run --release --bin eval_tiny -- [MODEL] [--scenes 1000] [--seed 77] [--device cpu] [--weights f32]
//!                                            [--show-errors]
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_core::{Error, LoadOptions, Model, Result, Thinking, WeightFormat};
use mimo_vl_examples::shapes::{evaluate_questions, evaluate_skills};
use mimo_vl_examples::tiny_model;

struct Arguments {
    model: PathBuf,
    scenes: u64,
    seed: u64,
    options: LoadOptions,
    show_errors: bool,
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
    let mut parsed = Arguments { model: tiny_model(), scenes: 1000, seed: 77, options, show_errors: false };
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
            "--show-errors" => parsed.show_errors = true,
            _ if argument.starts_with('-') => return Err(format!("unknown option {argument}")),
            _ => parsed.model = argument.clone().into(),
        }
    }
    Ok(parsed)
}

fn run(arguments: &Arguments) -> Result<()> {
    let model = Model::load(&arguments.model, &arguments.options)?;
    for (name, thinking) in [("without thinking", Thinking::Off), ("with thinking", Thinking::On)] {
        let accuracy =
            evaluate_questions(&model, arguments.seed, arguments.scenes, thinking, |index, question, answer| {
                if arguments.show_errors {
                    println!("  scene {index}: {} -> {answer:?}, not {:?}", question.text, question.answer_text());
                }
            })?;
        let percent = |count: usize, total: usize| 100.0 * count as f64 / total.max(1) as f64;
        println!(
            "{name}: {} of {} correct ({:.1} %), thinking as requested {:.1} %",
            accuracy.correct,
            accuracy.asked,
            percent(accuracy.correct, accuracy.asked),
            percent(accuracy.thinking_followed, accuracy.asked)
        );
        for counts in accuracy.kinds.iter().filter(|counts| counts.asked > 0) {
            let share = percent(counts.correct, counts.asked);
            println!("  {:?}: {} of {} ({share:.1} %)", counts.kind, counts.correct, counts.asked);
        }
        let on_error = |question: &str, answer: &str, expected: &str| {
            if arguments.show_errors {
                println!("  {question} -> {answer:?}, not {expected:?}");
            }
        };
        let scores = evaluate_skills(&model, arguments.seed, arguments.scenes, thinking, on_error)?;
        println!(
            "  boxes: mean IoU {:.3}, F1 at 0.5 {:.3}, {} objects",
            scores.mean_iou(),
            scores.f1(),
            scores.objects
        );
        for (name, correct) in [("clicks", scores.clicks), ("strings", scores.readings), ("motion", scores.motions)] {
            println!("  {name}: {correct} of {} ({:.1} %)", scores.asked, percent(correct, scores.asked));
        }
    }
    Ok(())
}
