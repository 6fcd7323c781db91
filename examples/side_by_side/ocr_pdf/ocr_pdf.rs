//! Reads the text of each page of a PDF file: `ocr_pdf MODEL FILE.pdf`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{GenerateOptions, LoadOptions, Model, PdfOptions, Prompt, Result, Thinking, open_pdf};

fn run(model: &str, file: &str) -> Result<()> {
    let pages = open_pdf(file, &PdfOptions::new())?;
    let model = Model::load(model, &LoadOptions::new())?;
    for page in pages {
        let prompt = Prompt::user().image(page.image).text("What does the page say?").thinking(Thinking::Off);
        // A session of its own for each page.
        let answer = model.session().ask(&prompt, &GenerateOptions::new().max_tokens(24))?;
        println!("page {}: {}", page.number, answer.text);
    }
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, file]) = arguments.as_deref() else {
        eprintln!("usage: ocr_pdf MODEL FILE.pdf");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, file) {
        eprintln!("ocr_pdf: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
