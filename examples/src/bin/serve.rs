//! Serve a model over HTTP, as OpenAI's chat completions: `serve [--model PATH] [--address HOST:PORT] [--key KEY]`.
//!
//! `mimo-vl serve`, of the Python package, has an option for every limit.

use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Error, LoadOptions, Model, ServeOptions, Server};
use mimo_vl_examples::tiny_model;

const USAGE: &str =
    "usage: serve [--model PATH] [--device NAME] [--weights FORMAT] [--address HOST:PORT] [--key KEY] [--files FOLDER]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("serve: {reason}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut words: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut path, mut load, mut options) = (tiny_model(), LoadOptions::new(), ServeOptions::new());
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value, or is none of the options"))?;
        match word.as_str() {
            "--model" => path = value.into(),
            "--device" => load.device = value,
            "--weights" => load.weights = value.parse().map_err(|error: Error| error.to_string())?,
            "--address" => options.address = value,
            "--key" => options.api_key = Some(value),
            "--files" => options.files = Some(value.into()),
            _ => return Err(format!("unknown option {word}")),
        }
    }
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    ctrlc::set_handler(move || flag.cancel()).map_err(|error| error.to_string())?;
    let serve = || {
        let server = Server::bind(Model::load(path, &load)?, options)?;
        println!("http://{}/v1", server.address());
        server.run(&cancel)
    };
    serve().map_err(|error: Error| error.to_string())
}
