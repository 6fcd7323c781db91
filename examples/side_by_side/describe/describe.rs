//! Answers a prompt about an image without thinking: `describe MODEL IMAGE PROMPT`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Model, Prompt, Result, Thinking};

fn run(model: &str, image: &str, text: &str) -> Result<()> {
    // The image comes before the text.
    let prompt = Prompt::user().image(Image::open(image)?).text(text).thinking(Thinking::Off);
    let model = Model::load(model, &LoadOptions::new())?;
    let answer = model.session().ask(&prompt, &GenerateOptions::new())?;
    println!("{}", answer.text);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, image, text]) = arguments.as_deref() else {
        eprintln!("usage: describe MODEL IMAGE PROMPT");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, image, text) {
        eprintln!("describe: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
