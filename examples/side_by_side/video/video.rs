//! Answers a prompt about a video file, sampled at two frames per second: `video MODEL VIDEO_FILE PROMPT`.

use std::ffi::OsString;
use std::process::ExitCode;

use mimo_vl_core::{FrameSampling, GenerateOptions, LoadOptions, Model, Prompt, Result, Thinking, Video, VideoOptions};

fn run(model: &str, file: &str, text: &str) -> Result<()> {
    // A token covers 28 × 28 pixels of a pair of frames, so that each pair has at most 36 tokens.
    let options = VideoOptions::new().sampling(FrameSampling::new().fps(2.0)).max_pixels(36 * 784);
    let video = Video::open(file, &options)?;
    let times: Vec<String> = video.timestamps().iter().map(|time| format!("{time:.2}")).collect();
    println!("{}", times.join(" "));
    let prompt = Prompt::user().video(video).text(text).thinking(Thinking::Off);
    let answer = Model::load(model, &LoadOptions::new())?.session().ask(&prompt, &GenerateOptions::new())?;
    println!("{}", answer.text);
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let Ok([model, file, text]) = arguments.as_deref() else {
        eprintln!("usage: video MODEL VIDEO_FILE PROMPT");
        return ExitCode::from(2);
    };
    if let Err(error) = run(model, file, text) {
        eprintln!("video: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
