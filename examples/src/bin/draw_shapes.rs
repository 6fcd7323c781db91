//! Draw pictures like those that `mimo-vl-tiny` is trained on, with questions and their answers.
//!
//! `draw_shapes OUT [--count N] [--seed S]` writes `OUT/shapes-1.png` and so on, and `OUT/shapes.jsonl` with
//! one line per picture: its file, what it shows, and questions with answers.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_examples::shapes::{Language, Limits, Order, Picture, Random, Scene, draw};
use serde_json::json;

const USAGE: &str = "usage: draw_shapes OUT [--count N] [--seed S]";
/// Questions written for each picture.
const QUESTIONS: usize = 8;

struct Options {
    out: PathBuf,
    count: u64,
    seed: u64,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| write_pictures(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let (mut out, mut count, mut seed) = (None, 16, 1);
    while let Some(argument) = arguments.next() {
        let mut number = || -> Result<u64, Box<dyn Error>> {
            let value = arguments.next().ok_or_else(|| format!("{argument} needs a number\n{USAGE}"))?;
            value.parse().map_err(|_| format!("{argument} {value}: not a whole number\n{USAGE}").into())
        };
        match argument.as_str() {
            "--count" => count = number()?,
            "--seed" => seed = number()?,
            _ if argument.starts_with('-') || out.is_some() => {
                return Err(format!("unexpected argument {argument}\n{USAGE}").into());
            }
            _ => out = Some(PathBuf::from(argument)),
        }
    }
    Ok(Options { out: out.ok_or(USAGE)?, count, seed })
}

fn write_pictures(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let mut lines = String::new();
    for index in 0..options.count {
        let mut rng = Random::new(options.seed, index);
        let scene = Scene::random(&mut rng, &Limits::default());
        let Picture { width, height, pixels, .. } = draw(&scene, &mut rng);
        let name = format!("shapes-{}.png", index + 1);
        let path = options.out.join(&name);
        image::save_buffer(&path, &pixels, width, height, image::ColorType::Rgb8)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let questions: Vec<_> = scene
            .questions(&mut rng, QUESTIONS)
            .iter()
            .map(|question| json!({"question": question.text, "answer": question.answer_text()}))
            .collect();
        let caption = scene.caption(Language::English, Order::default());
        writeln!(lines, "{}", json!({"image": name, "shows": caption, "questions": questions}))?;
    }
    let path = options.out.join("shapes.jsonl");
    fs::write(&path, lines).map_err(|error| format!("{}: {error}", path.display()).into())
}
