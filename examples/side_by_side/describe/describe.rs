//! Ask about a picture without thinking: `describe MODEL IMAGE QUESTION`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Model, Prompt, Result, Thinking};

fn run(model: &str, image: &str, question: &str) -> Result<()> {
    // The picture goes before the question.
    let prompt = Prompt::user().image(Image::open(image)?).text(question).thinking(Thinking::Off);
    let model = Model::load(model, &LoadOptions::new())?;
    let answer = model.session().ask(&prompt, &GenerateOptions::new())?;
    println!("{}", answer.text);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, image, question]) = arguments.as_deref() else {
        eprintln!("usage: describe MODEL IMAGE QUESTION");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, image, question) {
        eprintln!("describe: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
