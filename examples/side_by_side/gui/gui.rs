//! Predicts the next GUI action for a goal from a screenshot: `gui MODEL SCREENSHOT GOAL`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::gui::{Action, ActionKind, Task};
use mimo_vl_core::{GenerateOptions, Image, LoadOptions, Model, Result, Thinking};

fn run(model: &str, screenshot: &str, goal: &str) -> Result<()> {
    let screenshot = Image::open(screenshot)?;
    let task = Task::new(goal).action_space(&[ActionKind::Click, ActionKind::Press, ActionKind::Finished]);
    let model = Model::load(model, &LoadOptions::new())?;
    let prompt = task.prompt(screenshot, model.preprocess_config())?.thinking(Thinking::Off);
    let options = GenerateOptions::new().max_tokens(200).grammar(task.grammar());
    let answer = model.session().ask(&prompt, &options)?;
    let action = Action::parse(&answer.text)?.to_original(&answer.transforms[0]);
    let point = match &action {
        Action::Click { point: [x, y], .. } => format!(" {} {}", x.round(), y.round()),
        _ => String::new(),
    };
    println!("{}{point}", action.kind().name());
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, screenshot, goal]) = arguments.as_deref() else {
        eprintln!("usage: gui MODEL SCREENSHOT GOAL");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, screenshot, goal) {
        eprintln!("gui: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
