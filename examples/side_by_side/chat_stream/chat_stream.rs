//! Answers several prompts about an image and streams each answer: `chat_stream MODEL IMAGE PROMPT...`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{Write, stdout};
use std::process::ExitCode;

use mimo_vl_core::{CancelToken, Event, GenerateOptions, Image, LoadOptions, Model, Prompt};

fn run(model: &str, image: &str, texts: &[String]) -> Result<(), Box<dyn Error>> {
    // Only the first prompt has the image; the session keeps it.
    let mut prompt = Prompt::user().image(Image::open(image)?);
    let mut session = Model::load(model, &LoadOptions::new())?.session();
    // A cancelled token stays cancelled: Ctrl-C between two answers cancels the next one.
    let cancel = CancelToken::new();
    let options = GenerateOptions::new().cancel(&cancel);
    ctrlc::set_handler(move || cancel.cancel())?;
    for text in texts {
        for event in session.stream(&prompt.text(text), &options)? {
            // Prints the answer without its thinking, on one line.
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
        Ok([model, image, texts @ ..]) if !texts.is_empty() => run(model, image, texts),
        _ => {
            eprintln!("usage: chat_stream MODEL IMAGE PROMPT...");
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
