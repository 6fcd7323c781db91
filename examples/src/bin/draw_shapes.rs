//! Draws images like those that `mimo-vl-tiny` is trained on, with questions and their answers.
//!
//! `draw_shapes OUT [--count N] [--seed S]` writes `OUT/shapes-1.png`, `screen-1.png`, `text-1.png` and so on, and
//! `OUT/shapes.jsonl` with one line per image: its file, a caption, and questions with their answers, or with the
//! bounds of the button to click.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_examples::shapes::{AnnotatedImage, ButtonScreen, Language, Limits, Order, Random, Scene, TextImage, draw};
use serde_json::{Value, json};

const USAGE: &str = "usage: draw_shapes OUT [--count N] [--seed S]";
/// Questions per image of shapes.
const QUESTIONS: usize = 8;
/// Width and height of screens and of images of text, in pixels.
const SCREEN: (u32, u32) = (196, 168);
const TEXT: (u32, u32) = (224, 112);

struct Options {
    out: PathBuf,
    count: u64,
    seed: u64,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| write_images(&options)) {
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

fn write_images(options: &Options) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&options.out).map_err(|error| format!("{}: {error}", options.out.display()))?;
    let mut lines = String::new();
    let mut write =
        |name: String, image: &AnnotatedImage, shows: String, questions: Vec<Value>| -> Result<(), Box<dyn Error>> {
            let path = options.out.join(&name);
            image::save_buffer(&path, &image.pixels, image.width, image.height, image::ColorType::Rgb8)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            Ok(writeln!(lines, "{}", json!({"image": name, "shows": shows, "questions": questions}))?)
        };
    for index in 0..options.count {
        let mut rng = Random::new(options.seed, index);
        let scene = Scene::random(&mut rng, &Limits::default());
        let image = draw(&scene, &mut rng);
        let questions = scene.questions(&mut rng, QUESTIONS);
        let asked =
            questions.iter().map(|question| json!({"question": question.text, "answer": question.answer_text()}));
        let caption = scene.caption(Language::English, Order::default());
        write(format!("shapes-{}.png", index + 1), &image, caption, asked.collect())?;

        let ButtonScreen { image, buttons, words, target, text, .. } = ButtonScreen::random(SCREEN, false, &mut rng);
        let asked = json!({"question": text, "button": buttons[target]});
        write(format!("screen-{}.png", index + 1), &image, words.join(", "), vec![asked])?;

        let TextImage { image, text, transcript } = TextImage::random(TEXT, 1, &mut rng);
        let asked = json!({"question": text, "answer": transcript});
        write(format!("text-{}.png", index + 1), &image, transcript, vec![asked])?;
    }
    let path = options.out.join("shapes.jsonl");
    fs::write(&path, lines).map_err(|error| format!("{}: {error}", path.display()).into())
}
