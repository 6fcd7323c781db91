//! Several questions about a picture, each answer written while it comes: `chat_stream MODEL IMAGE QUESTION...`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Event, GenerateOptions, Image, LoadOptions, Model, Prompt};

fn run(model: &str, image: &str, questions: &[String]) -> Result<(), Box<dyn Error>> {
    // Only the first question shows the picture; the session knows it from then on.
    let mut prompt = Prompt::user().image(Image::open(image)?);
    let mut session = Model::load(model, &LoadOptions::new())?.session();
    // A cancelled token stays cancelled: Ctrl-C between two answers stops the next one.
    let cancel = CancelToken::new();
    let options = GenerateOptions::new().cancel(&cancel);
    ctrlc::set_handler(move || cancel.cancel())?;
    for question in questions {
        for event in session.stream(&prompt.text(question), &options)? {
            // Thinking is left out, and an answer stays on its line.
            if let Event::Text(text) = event? {
                print!("{}", text.replace('\n', " "));
                stdout().flush()?;
            }
        }
        println!();
        prompt = Prompt::user();
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let ended = match arguments.as_deref() {
        Ok([model, image, questions @ ..]) if !questions.is_empty() => run(model, image, questions),
        _ => {
            eprintln!("usage: chat_stream MODEL IMAGE QUESTION...");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if matches!(error.downcast_ref(), Some(mimo_vl_core::Error::Cancelled)) => {
            println!();
            eprintln!("chat_stream: interrupted");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("chat_stream: {error}");
            ExitCode::FAILURE
        }
    }
}
