//! The program `batch_pdf`: a line for every page and image, failures included, and a run that continues.

#![cfg(feature = "pdf")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn batch_pdf(folder: &Path, output: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batch_pdf"));
    command.arg(folder).args(["--no-think", "--max-tokens", "32", "--batch-size", "2", "--output"]);
    command.arg(output).args(arguments);
    command.output().unwrap()
}

fn results(output: &Path) -> Vec<Value> {
    fs::read_to_string(output).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A PDF file of two pages of 200 by 100 points.
fn pdf() -> Vec<u8> {
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 5 0 R>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 100]/Contents 5 0 R>>",
        "<</Length 16>>stream\n20 10 40 30 re f\nendstream",
    ];
    let (mut file, mut table) = (String::from("%PDF-1.4\n"), String::new());
    for (index, object) in objects.iter().enumerate() {
        table += &format!("{:010} 00000 n \n", file.len());
        file += &format!("{} 0 obj{object} endobj\n", index + 1);
    }
    let start = file.len();
    file += &format!("xref\n0 6\n0000000000 65535 f \n{table}trailer<</Size 6/Root 1 0 R>>\nstartxref\n{start}\n%%EOF");
    file.into_bytes()
}

#[test]
fn every_page_and_image_becomes_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, output) = (directory.path().join("in"), directory.path().join("out.jsonl"));
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/images/shapes-1.png"), folder.join("a.png")).unwrap();
    fs::write(folder.join("deep/b.pdf"), pdf()).unwrap();
    fs::write(folder.join("broken.png"), b"not an image").unwrap();
    fs::write(folder.join("broken.pdf"), b"not a PDF file").unwrap();
    fs::write(folder.join("notes.txt"), b"ignored").unwrap();
    let prompt = ["--prompt", "How many circles are there?"];
    let first = batch_pdf(&folder, &output, &prompt);
    assert_eq!(first.status.code(), Some(1), "{}", String::from_utf8_lossy(&first.stderr));
    let lines = results(&output);
    let mut ids: Vec<&str> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a.png", "broken.pdf", "broken.png", "deep/b.pdf#1", "deep/b.pdf#2"]);
    let line = |lines: &[Value], id: &str| lines.iter().find(|line| line["id"] == id).unwrap().clone();
    assert_eq!(
        (&line(&lines, "a.png")["answer"], &line(&lines, "a.png")["stop_reason"]),
        (&"2".into(), &"end_of_text".into())
    );
    assert_eq!(line(&lines, "deep/b.pdf#2")["page"], 2);
    for broken in ["broken.png", "broken.pdf"] {
        assert!(line(&lines, broken)["error"].as_str().is_some_and(|error| error.contains(broken)));
    }
    assert!(
        fs::read_to_string(directory.path().join("out.jsonl.md"))
            .unwrap()
            .contains("5 of 5 pages and images done, 2 failed")
    );

    // Complete results stay, an incomplete line and failures are answered again.
    let text = fs::read_to_string(&output).unwrap().replace("\"answer\":\"2\"", "\"answer\":\"kept\"");
    fs::write(&output, format!("{text}{{\"id\":\"dee")).unwrap();
    fs::remove_file(folder.join("broken.png")).unwrap();
    fs::write(folder.join("broken.pdf"), pdf()).unwrap();
    let second = batch_pdf(&folder, &output, &prompt);
    assert_eq!(second.status.code(), Some(0), "{}", String::from_utf8_lossy(&second.stderr));
    let lines = results(&output);
    assert_eq!(lines.len(), 5);
    assert_eq!(line(&lines, "a.png")["answer"], "kept");
    assert!(line(&lines, "broken.pdf#1")["error"].is_null());

    let other = batch_pdf(&folder, &output, &["--prompt", "Why?"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&other.stderr).contains("other options"));
    assert_eq!(batch_pdf(&folder, &output, &[]).status.code(), Some(2));
}

#[test]
fn answers_follow_a_schema() {
    let directory = tempfile::tempdir().unwrap();
    let (folder, output) = (directory.path().join("in"), directory.path().join("out.jsonl"));
    fs::create_dir(&folder).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/images/shapes-1.png"), folder.join("a.png")).unwrap();
    let schema = directory.path().join("schema.json");
    let text = r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["n"], "additionalProperties": false}"#;
    fs::write(&schema, text).unwrap();
    let done = batch_pdf(&folder, &output, &["--schema", schema.to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
    assert!((0..=9).contains(&results(&output)[0]["json"]["n"].as_i64().unwrap()));
}
