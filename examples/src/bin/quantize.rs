//! Quantizes a checkpoint: `quantize CHECKPOINT_DIR OUT_DIR`.
//!
//! Progress goes to stderr, the report to stdout. Exit status 1 for errors, 2 for wrong usage, 130 after Ctrl-C.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Error, Image, LoadOptions, Prompt, QuantizationReport, WeightFormat, quantize};
use mimo_vl_examples::progress::{loading_bar, show};

const USAGE: &str = "usage: quantize [OPTION]... CHECKPOINT_DIR OUT_DIR

Quantize the weights of a checkpoint and write them to a new checkpoint.

  --weights FORMAT     int8 or int4 (default: int4)
  --prompt TEXT        report the KL divergence from the original model on this prompt; may be repeated
  --image FILE         image before every prompt; may be repeated
  --threads N          CPU threads (default: one per physical core)
  --help               print this text
";

/// Exit status after Ctrl-C: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

struct Arguments {
    input: PathBuf,
    output: PathBuf,
    load: LoadOptions,
    prompts: Vec<String>,
    images: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = match parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(reason) => {
            eprint!("quantize: {reason}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(report) => {
            print_report(&report);
            ExitCode::SUCCESS
        }
        Err(Error::Cancelled) => {
            eprintln!("quantize: interrupted; no checkpoint was written");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("quantize: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Parses the command line; `None` means `--help`.
fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let (mut prompts, mut images, mut folders) = (Vec::new(), Vec::new(), Vec::new());
    let mut load = LoadOptions::new().weights(WeightFormat::Int4);
    while let Some(word) = words.next() {
        let option = word.to_str().filter(|word| word.starts_with("--")).map(str::to_owned);
        let mut value = || words.next().ok_or_else(|| format!("{} needs a value", word.to_string_lossy()));
        let text = |value: OsString| value.into_string().map_err(|value| format!("{value:?} is not UTF-8"));
        match option.as_deref() {
            None => folders.push(PathBuf::from(word)),
            Some("--help") => return Ok(None),
            Some("--weights") => load.weights = text(value()?)?.parse().map_err(|error: Error| error.to_string())?,
            Some("--prompt") => prompts.push(text(value()?)?),
            Some("--image") => images.push(PathBuf::from(value()?)),
            Some("--threads") => {
                let threads = text(value()?)?;
                load.threads = Some(threads.parse().map_err(|_| format!("--threads: {threads:?} is not a number"))?);
            }
            Some(other) => return Err(format!("unknown option {other}")),
        }
    }
    let [input, output] = folders.try_into().map_err(|_| "CHECKPOINT_DIR and OUT_DIR are required".to_owned())?;
    Ok(Some(Arguments { input, output, load, prompts, images }))
}

fn run(arguments: &Arguments) -> Result<QuantizationReport, Error> {
    let images = arguments.images.iter().map(Image::open).collect::<Result<Vec<_>, _>>()?;
    let prompt =
        |text: &String| images.iter().fold(Prompt::user(), |prompt, image| prompt.image(image.clone())).text(text);
    let prompts: Vec<Prompt> = arguments.prompts.iter().map(prompt).collect();
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    if let Err(error) = ctrlc::set_handler(move || flag.cancel()) {
        eprintln!("quantize: cannot handle Ctrl-C: {error}");
    }
    let bar = loading_bar();
    let shown = bar.clone();
    let load = arguments.load.clone().cancel(&cancel).on_progress(move |progress| show(&shown, progress));
    let report = quantize(&arguments.input, &arguments.output, &load, &prompts);
    bar.finish_and_clear();
    report
}

fn print_report(report: &QuantizationReport) {
    for matrix in &report.matrices {
        println!("{:.5}  {:?}  {}", matrix.error, matrix.format.codebook, matrix.names.join(" + "));
    }
    println!("{:.5}  all {} matrices, {}", report.error(), report.matrices.len(), report.weights.name());
    for divergence in &report.divergences {
        let prompt: String = divergence.prompt.chars().take(60).collect();
        println!(
            "KL divergence {:.2e} nats, top-1 agreement {:.1} %, {} tokens: {prompt}",
            divergence.divergence,
            100.0 * divergence.top1,
            divergence.tokens
        );
    }
}
