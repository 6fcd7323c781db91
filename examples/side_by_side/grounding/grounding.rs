//! Boxes around what is asked for, as lines and drawn over the picture: `grounding MODEL IMAGE QUESTION OUT.png`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{
    Error, GenerateOptions, Grammar, Image, LoadOptions, Model, Prompt, Result, Thinking, draw_regions,
};

fn run(model: &str, image: &str, question: &str, out: &str) -> Result<()> {
    let image = Image::open(image)?;
    let prompt = Prompt::user().image(image.clone()).text(question).thinking(Thinking::Off);
    // The form closes what is open before the tokens are used up.
    let generate = GenerateOptions::new().max_tokens(512).grammar(Grammar::Boxes);
    let answer = Model::load(model, &LoadOptions::new())?.session().ask(&prompt, &generate)?;
    for region in &answer.regions {
        if let Some(found) = region.as_box() {
            let [left, top, right, bottom] = found.pixels;
            let label = region.label.as_deref().unwrap_or_default();
            println!("{label}: {left:.0} {top:.0} {right:.0} {bottom:.0}");
        }
    }
    let png = draw_regions(&image, &answer.regions)?.to_png()?;
    std::fs::write(out, png).map_err(|source| Error::Io { path: out.into(), source })
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, image, question, out]) = arguments.as_deref() else {
        eprintln!("usage: grounding MODEL IMAGE QUESTION OUT.png");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, image, question, out) {
        eprintln!("grounding: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
