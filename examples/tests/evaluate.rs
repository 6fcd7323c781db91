//! `evaluate` as a program: its results, its report, and a run that goes on.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn evaluate(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_evaluate"))
        .args(["--no-think", "--max-tokens", "64"])
        .arg(folder.join("q.jsonl"))
        .output()
        .unwrap()
}

#[test]
fn questions_are_asked_scored_and_not_asked_twice() {
    let folder = tempfile::tempdir().unwrap();
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/images/shapes-1.png");
    fs::copy(picture, folder.path().join("a.png")).unwrap();
    let question = "\"image\": \"a.png\", \"question\": \"How many circles are there?\"";
    let lines = [
        format!("{{{question}, \"answer\": 2, \"kind\": \"count\"}}"),
        format!("{{{question}, \"answer\": [\"two\", \"2\"], \"kind\": \"exact\", \"id\": \"named\"}}"),
        format!("{{{question}, \"answer\": \"3\", \"kind\": \"anls\"}}"),
        format!("{{{question}, \"answer\": [1, 2, 3, 4], \"kind\": \"box\"}}"),
        "{\"image\": \"none.png\", \"question\": \"?\", \"answer\": \"x\", \"kind\": \"exact\"}".to_owned(),
    ];
    fs::write(folder.path().join("q.jsonl"), lines.join("\n")).unwrap();
    let output = evaluate(folder.path());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let results = folder.path().join("q.results.jsonl");
    let text = fs::read_to_string(&results).unwrap();
    let scores: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["score"].as_f64().unwrap())
        .collect();
    assert_eq!(scores, [1.0, 1.0, 0.0, 0.0, 0.0]);
    assert!(text.contains("\"id\":\"named\"") && text.contains("none.png"), "a question that fails stops nothing");
    let report = fs::read_to_string(folder.path().join("q.report.md")).unwrap();
    for row in ["| exact | 2 | 50.0 % | 1 |", "| anls | 1 | 0.0 % | 0 |", "| count | 1 | 100.0 % | 0 |"] {
        assert!(report.contains(row), "{row}: {report}");
    }
    // Two results are kept; the third was cut short, inside a letter.
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = format!("{}\n{}\n{}\n", lines[0], lines[1], lines[2].replace("1.0", "0.25")).into_bytes();
    kept.extend_from_slice(b"{\"id\":\"\xE7");
    fs::write(&results, kept).unwrap();
    assert_eq!(evaluate(folder.path()).status.code(), Some(0));
    let again = fs::read_to_string(&results).unwrap();
    assert_eq!(again.lines().count(), 6);
    fs::write(&results, again.replace("off 64 tokens", "off 65 tokens")).unwrap();
    let other = evaluate(folder.path());
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("other options"));
    assert!(again.contains("0.25"), "what was there is not asked again");
}

#[test]
fn options_are_used_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let line = "{\"question\": \"How are you?\", \"answer\": \"x\", \"kind\": \"exact\"}";
    fs::write(folder.path().join("q.jsonl"), line).unwrap();
    let run = |options: &[&str]| {
        let _ = fs::remove_file(folder.path().join("q.results.jsonl"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_evaluate"));
        command.args(options).arg(folder.path().join("q.jsonl")).output().unwrap()
    };
    let all = ["--max-tokens", "5", "--max-context", "999", "--temperature", "0.6", "--top-p", "0.95", "--seed", "3"];
    let output = run(&[&all[..], &["--max-frames", "256", "--video-tokens", "16384"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let results = fs::read_to_string(folder.path().join("q.results.jsonl")).unwrap();
    let said = "5 tokens of Some(999), temperature 0.6 top-p 0.95 seed 3, Some(256) frames of Some(12845056) pixels";
    assert!(results.contains(said), "{results}");
    assert!(results.contains("\"tokens\":5"), "{results}");
    assert_eq!(run(&["--temperature", "-1"]).status.code(), Some(1));
    assert_eq!(run(&["--seed", "x"]).status.code(), Some(2));
}

#[test]
fn files_that_are_no_questions_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |text: &str, said: &str| {
        fs::write(folder.path().join("q.jsonl"), text).unwrap();
        let output = evaluate(folder.path());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && told.contains(said), "{told}");
    };
    refused("{\"question\": 3}", "q.jsonl:1:");
    let twice = "{\"question\": \"?\", \"answer\": \"x\", \"kind\": \"exact\", \"id\": \"a\"}\n".repeat(2);
    refused(&twice, "stands there twice");
    assert_eq!(Command::new(env!("CARGO_BIN_EXE_evaluate")).output().unwrap().status.code(), Some(2));
}
