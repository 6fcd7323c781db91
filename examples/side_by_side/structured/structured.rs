//! Answers with JSON that follows a schema: `structured MODEL IMAGE`.

use std::error::Error;
use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{GenerateOptions, Grammar, Image, LoadOptions, Model, Prompt, Thinking};

const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "colour": {"enum": ["red", "green", "blue"]}
    },
    "required": ["count", "colour"],
    "additionalProperties": false
}"#;

fn run(model: &str, image: &str) -> Result<(), Box<dyn Error>> {
    let image = Image::open(image)?;
    let prompt = Prompt::user().image(image).text("How many shapes are there?").thinking(Thinking::Off);
    let options = GenerateOptions::new().grammar(Grammar::JsonSchema(SCHEMA.to_owned()));
    let answer = Model::load(model, &LoadOptions::new())?.session().ask(&prompt, &options)?;
    if !answer.complete {
        return Err("the answer was cut off".into());
    }
    println!("{}", answer.text);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, image]) = arguments.as_deref() else {
        eprintln!("usage: structured MODEL IMAGE");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, image) {
        eprintln!("structured: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
