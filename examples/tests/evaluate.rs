//! The program `evaluate`: results, report, and a run that continues.

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
fn questions_are_scored_once_and_a_run_continues() {
    let folder = tempfile::tempdir().unwrap();
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/images/shapes-1.png");
    fs::copy(image, folder.path().join("a.png")).unwrap();
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
    assert!(
        text.contains("\"id\":\"named\"") && text.contains("none.png"),
        "a question that fails does not end the run"
    );
    let report = fs::read_to_string(folder.path().join("q.report.md")).unwrap();
    for row in ["| exact | 2 | 50.0 % | 1 |", "| anls | 1 | 0.0 % | 0 |", "| count | 1 | 100.0 % | 0 |"] {
        assert!(report.contains(row), "{row}: {report}");
    }
    // Two results are complete; the third one ends inside a character.
    let lines: Vec<&str> = text.lines().collect();
    let mut complete = format!("{}\n{}\n{}\n", lines[0], lines[1], lines[2].replace("1.0", "0.25")).into_bytes();
    complete.extend_from_slice(b"{\"id\":\"\xE7");
    fs::write(&results, complete).unwrap();
    assert_eq!(evaluate(folder.path()).status.code(), Some(0));
    let again = fs::read_to_string(&results).unwrap();
    assert_eq!(again.lines().count(), 6);
    fs::write(&results, again.replace("\"max_tokens\":64", "\"max_tokens\":65")).unwrap();
    let other = evaluate(folder.path());
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("other options"));
    assert!(again.contains("0.25"), "a question that has a result is not asked again");
}

#[test]
fn options_reach_the_model_or_are_rejected() {
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
    let [header, result] =
        [0, 1].map(|line| -> serde_json::Value { serde_json::from_str(results.lines().nth(line).unwrap()).unwrap() });
    let expected = serde_json::json!({
        "model": concat!(env!("CARGO_MANIFEST_DIR"), "/models/mimo-vl-tiny"), "device": "cpu", "weights": "native",
        "thinking": "auto", "max_tokens": 5, "max_context": 999, "temperature": 0.6, "top_p": 0.95, "seed": 3,
        "max_frames": 256, "total_pixels": 16384 * 28 * 28,
    });
    assert_eq!(header, serde_json::json!({ "run": expected }));
    assert_eq!(result["tokens"], 5, "{results}");
    assert_eq!(run(&["--temperature", "-1"]).status.code(), Some(1));
    assert_eq!(run(&["--seed", "x"]).status.code(), Some(2));
}

#[test]
fn files_without_questions_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let check_error = |text: &str, part: &str| {
        fs::write(folder.path().join("q.jsonl"), text).unwrap();
        let output = evaluate(folder.path());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(part), "{stderr}");
    };
    check_error("{\"question\": 3}", "q.jsonl:1:");
    let twice = "{\"question\": \"?\", \"answer\": \"x\", \"kind\": \"exact\", \"id\": \"a\"}\n".repeat(2);
    check_error(&twice, "appears twice");
    assert_eq!(Command::new(env!("CARGO_BIN_EXE_evaluate")).output().unwrap().status.code(), Some(2));
}
