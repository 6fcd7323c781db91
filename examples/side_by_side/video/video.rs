//! Ask about a video file, of which two frames a second are looked at: `video MODEL VIDEO_FILE QUESTION`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{FrameSampling, GenerateOptions, LoadOptions, Model, Prompt, Result, Thinking, Video, VideoOptions};

fn run(model: &str, file: &str, question: &str) -> Result<()> {
    // A token covers 28 by 28 pixels, so that a pair of frames has at most 36 of them.
    let options = VideoOptions::new().sampling(FrameSampling::new().fps(2.0)).max_pixels(36 * 784);
    let video = Video::open(file, &options)?;
    let times: Vec<String> = video.timestamps().iter().map(|time| format!("{time:.2}")).collect();
    println!("{}", times.join(" "));
    let prompt = Prompt::user().video(video).text(question).thinking(Thinking::Off);
    let answer = Model::load(model, &LoadOptions::new())?.session().ask(&prompt, &GenerateOptions::new())?;
    println!("{}", answer.text);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, file, question]) = arguments.as_deref() else {
        eprintln!("usage: video MODEL VIDEO_FILE QUESTION");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, file, question) {
        eprintln!("video: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
