//! Prints the boxes of objects and draws them over the image: `grounding MODEL IMAGE PROMPT OUT.png`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{
    Error, GenerateOptions, Grammar, Image, LoadOptions, Model, Prompt, Result, Thinking, draw_regions,
};

fn run(model: &str, image: &str, text: &str, out: &str) -> Result<()> {
    let image = Image::open(image)?;
    let prompt = Prompt::user().image(image.clone()).text(text).thinking(Thinking::Off);
    // The grammar completes the JSON before max_tokens is reached.
    let options = GenerateOptions::new().max_tokens(512).grammar(Grammar::Boxes);
    let answer = Model::load(model, &LoadOptions::new())?.session().ask(&prompt, &options)?;
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
    let Ok([model, image, text, out]) = arguments.as_deref() else {
        eprintln!("usage: grounding MODEL IMAGE PROMPT OUT.png");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, image, text, out) {
        eprintln!("grounding: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
