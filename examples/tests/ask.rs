//! The program `ask`: output, errors and exit status.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The small checkpoint with random weights.
const CHECKPOINT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny");

fn case(file: &str) -> PathBuf {
    Path::new(CHECKPOINT).join("cases").join(file)
}

fn ask<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ask"));
    command.arg("--model").arg(CHECKPOINT).args(arguments).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts exit status 1 and one line on stderr that contains `part`.
fn check_failure<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>, part: &str) {
    let output = ask(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("ask: ") && text.contains(part) && text.lines().count() == 1, "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn the_answer_is_that_of_the_reference() {
    let expected = std::fs::read_to_string(case("text/expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let prompt = "Think step by step: how many is 6 x 7?";
    let output = ask([prompt, "--no-think", "--max-tokens", "16", "--stats"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let answer = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(answer, format!("{}\n", expected["text"].as_str().unwrap()));
    for stage in ["device", "load", "preprocess", "encode", "prefill", "decode"] {
        assert!(stderr(&output).lines().any(|line| line.starts_with(stage)), "{stage}: {}", stderr(&output));
    }
}

#[test]
fn images_come_before_the_prompt() {
    let (a, b) = (case("two-images-turns/a.png"), case("two-images-turns/b.png"));
    let options = ["--max-tokens=4", "--max-pixels=6000", "--temperature=0.7", "--seed=3"].map(OsStr::new);
    let answer = |images: &[&Path]| {
        let images = images.iter().map(|image| image.as_os_str());
        let output = ask(options.into_iter().chain(images).chain([OsStr::new("Compare.")]));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output.stdout
    };
    assert_eq!(answer(&[&a, &b]), answer(&[&a, &b]));
    assert_ne!(answer(&[&a, &b]), b"\n");
    assert_ne!(answer(&[&a]), b"\n");
}

#[test]
fn failures_are_one_line() {
    check_failure(["nowhere.png", "What?"], "nowhere.png");
    check_failure([&case("text/messages.json"), Path::new("What?")], "messages.json");
    check_failure(["What?", "--model", "nowhere"], "nowhere");
    check_failure(["What?", "--device", "tpu"], "tpu");
    check_failure(["What?", "--temperature", "-1"], "temperature");
    check_failure(["What?", "--max-tokens", "0"], "max_tokens");
    check_failure([""], "prompt");
}

#[cfg(unix)]
#[test]
fn arguments_may_be_other_than_utf_8() {
    use std::os::unix::ffi::OsStrExt;
    let broken = OsStr::from_bytes(b"caf\xE9\nx.png");
    check_failure([broken], "UTF-8");
    check_failure([broken, OsStr::new("What?")], "caf");
}

#[test]
fn wrong_usage_is_explained() {
    let wrong: &[&[&str]] = &[&[], &["--colour", "What?"], &["What?", "--seed"], &["What?", "--max-tokens", "many"]];
    for arguments in wrong {
        let output = ask(*arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("usage: ask"), "{arguments:?}");
    }
    let help = ask(["--help"]);
    assert!(help.status.success() && help.stdout.starts_with(b"usage: ask") && help.stderr.is_empty());
}
