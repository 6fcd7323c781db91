//! Round a checkpoint once: `quantize CHECKPOINT_DIR OUT_DIR`.
//!
//! Progress goes to stderr, the receipt to stdout. Exit status 1 when it failed, 2 for wrong usage, 130 after Ctrl-C.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Error, Image, LoadOptions, Prompt, QuantizationReport, WeightFormat, quantize};
use mimo_vl_examples::progress::{loading_bar, show};

const USAGE: &str = "usage: quantize [OPTION]... CHECKPOINT_DIR OUT_DIR

Round the weights of a checkpoint and write them to a new one, which loads at once.

  --weights FORMAT     int8 or int4 (default: int4)
  --prompt TEXT        say how far the predictions change on this prompt; may be repeated
  --image FILE         show this picture before every prompt; may be repeated
  --threads N          threads on the CPU (default: one for each core)
  --help               write this text
";

/// Status of a program that Ctrl-C ended, as shells count it.
const INTERRUPTED: u8 = 130;

struct Arguments {
    from: PathBuf,
    to: PathBuf,
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
        Ok(receipt) => {
            write(&receipt);
            ExitCode::SUCCESS
        }
        Err(Error::Cancelled) => {
            eprintln!("quantize: interrupted; nothing was written that counts as a checkpoint");
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            eprintln!("quantize: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `None` asks for the usage.
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
    let [from, to] = folders.try_into().map_err(|_| "one folder to read and one to write are needed".to_owned())?;
    Ok(Some(Arguments { from, to, load, prompts, images }))
}

fn run(arguments: &Arguments) -> Result<QuantizationReport, Error> {
    let images = arguments.images.iter().map(Image::open).collect::<Result<Vec<_>, _>>()?;
    let prompt =
        |text: &String| images.iter().fold(Prompt::user(), |prompt, image| prompt.image(image.clone())).text(text);
    let prompts: Vec<Prompt> = arguments.prompts.iter().map(prompt).collect();
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    if let Err(error) = ctrlc::set_handler(move || flag.cancel()) {
        eprintln!("quantize: Ctrl-C will not be handled: {error}");
    }
    let bar = loading_bar();
    let shown = bar.clone();
    let load = arguments.load.clone().cancel(&cancel).on_progress(move |progress| show(&shown, progress));
    let receipt = quantize(&arguments.from, &arguments.to, &load, &prompts);
    bar.finish_and_clear();
    receipt
}

fn write(receipt: &QuantizationReport) {
    for matrix in &receipt.matrices {
        println!("{:.5}  {:?}  {}", matrix.error, matrix.format.codebook, matrix.names.join(" + "));
    }
    println!("{:.5}  all {} products, {}", receipt.error(), receipt.matrices.len(), receipt.weights.name());
    for agreement in &receipt.divergences {
        let prompt: String = agreement.prompt.chars().take(60).collect();
        println!(
            "divergence {:.2e} nats, the same next token {:.1} %, over {} tokens: {prompt}",
            agreement.divergence,
            100.0 * agreement.top1,
            agreement.tokens
        );
    }
}
