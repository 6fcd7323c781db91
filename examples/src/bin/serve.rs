//! Serves a model over HTTP with the OpenAI chat completions API: `serve [--model PATH] [--address HOST:PORT]`.
//!
//! `mimo-vl serve` of the Python package has an option for every field of `ServeOptions`.

use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Error, LoadOptions, Model, ServeOptions, Server};
use mimo_vl_examples::tiny_model;

const USAGE: &str = "usage: serve [--model PATH] [--device NAME] [--weights FORMAT] [--address HOST:PORT]
             [--served-model-name NAME] [--api-key KEY] [--media-root FOLDER]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("serve: {reason}\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut path, mut load, mut options) = (tiny_model(), LoadOptions::new(), ServeOptions::new());
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{argument} needs a value, or is not an option"))?;
        match argument.as_str() {
            "--model" => path = value.into(),
            "--device" => load.device = value,
            "--weights" => load.weights = value.parse().map_err(|error: Error| error.to_string())?,
            "--address" => options.address = value,
            "--served-model-name" => options.served_model_name = Some(value),
            "--api-key" => options.api_key = Some(value),
            "--media-root" => options.media_root = Some(value.into()),
            _ => return Err(format!("unknown option {argument}")),
        }
    }
    let cancel = CancelToken::new();
    let on_interrupt = cancel.clone();
    ctrlc::set_handler(move || on_interrupt.cancel()).map_err(|error| error.to_string())?;
    let serve = || {
        let server = Server::bind(Model::load(path, &load)?, options)?;
        println!("http://{}/v1", server.address());
        server.run(&cancel)
    };
    serve().map_err(|error: Error| error.to_string())
}
