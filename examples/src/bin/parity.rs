//! Compares a checkpoint with the values of the reference, stage by stage: `parity CHECKPOINT_DIR`.
//!
//! Prints one row per case and stage; the last line counts the rows that passed and failed. Exit status 1 if one failed
//! or the checkpoint cannot be loaded, 2 for wrong usage.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use mimo_vl_core::{LoadOptions, WeightFormat};
use mimo_vl_examples::parity::{Summary, compare};

const USAGE: &str = "usage: parity CHECKPOINT_DIR [--device NAME] [--weights f32|native]

Run every case in CHECKPOINT_DIR/cases and compare each stage with the values of the reference.

  --device NAME        cpu (the default); ndarray and cuda:0 in builds with that feature
  --weights FORMAT     f32, which the tolerances are made for, or native: as stored (default: f32)
  --help               print this text
";

struct Arguments {
    directory: PathBuf,
    options: LoadOptions,
}

/// The command of the command line.
enum Command {
    Help,
    Compare(Box<Arguments>),
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => match write!(out, "{USAGE}") {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Ok(Command::Compare(arguments)) => match run(&arguments, &mut out) {
            Ok(Summary { failed: 0, .. }) => ExitCode::SUCCESS,
            Ok(_) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("parity: {error}");
                ExitCode::FAILURE
            }
        },
        Err(reason) => {
            eprint!("parity: {reason}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments, out: &mut impl Write) -> Result<Summary, Box<dyn std::error::Error>> {
    let mut written = Ok(());
    let summary = compare(&arguments.directory, &arguments.options, |row| {
        if written.is_ok() {
            written = writeln!(out, "{row}").and_then(|()| out.flush());
        }
    })?;
    written?;
    writeln!(out, "{summary}")?;
    Ok(summary)
}

fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut directory = None;
    let mut options = LoadOptions::new().weights(WeightFormat::F32);
    while let Some(word) = words.next() {
        // The directory's name may be other than UTF-8, options may not.
        let Some(option) = word.to_str().filter(|word| word.starts_with('-')) else {
            if directory.replace(PathBuf::from(word)).is_some() {
                return Err("more than one directory".to_owned());
            }
            continue;
        };
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        if name == "--help" || name == "-h" {
            return Ok(Command::Help);
        }
        if name != "--device" && name != "--weights" {
            return Err(format!("unknown option {name}"));
        }
        let value = value.or_else(|| words.next().and_then(|word| word.into_string().ok()));
        let value = value.ok_or_else(|| format!("{name} needs a value"))?;
        options = match (name, value.as_str()) {
            ("--device", device) => options.device(device),
            (_, "f32") => options.weights(WeightFormat::F32),
            (_, "native") => options.weights(WeightFormat::Native),
            (_, other) => return Err(format!("--weights: {other:?} is neither f32 nor native")),
        };
    }
    let directory = directory.ok_or("no checkpoint directory")?;
    Ok(Command::Compare(Box::new(Arguments { directory, options })))
}
