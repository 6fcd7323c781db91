//! The program `parity`: last line and exit status.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The checkpoint with values of the reference.
fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/tiny")
}

fn parity(arguments: &[&Path]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_parity")).args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

/// Copies a folder recursively.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn the_last_line_counts_the_stages_that_passed() {
    let output = parity(&[&tiny(), Path::new("--device"), Path::new("cpu")]);
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(0), "{lines:#?}");
    let (last, rows) = lines.split_last().unwrap();
    let passed = rows.iter().filter(|line| line.contains(" passed ")).count();
    assert!(passed > 40, "{lines:#?}");
    assert_eq!(last, &format!("{passed} passed, 0 failed"));
}

#[test]
fn a_failed_stage_is_status_1() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity");
    copy(&tiny(), &directory);
    let file = directory.join("cases/text/expected.json");
    let expected = fs::read_to_string(&file).unwrap().replace("\"rope_delta\": 0", "\"rope_delta\": 1");
    fs::write(&file, expected).unwrap();
    let output = parity(&[&directory]);
    let lines = lines(&output);
    assert_eq!(output.status.code(), Some(1), "{lines:#?}");
    let failed = lines.iter().filter(|line| line.contains("FAILED")).count();
    assert!(failed >= 1 && lines.last().unwrap().ends_with(&format!(" passed, {failed} failed")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("text ") && line.contains("rope_delta FAILED")), "{lines:#?}");
}

#[test]
fn a_checkpoint_that_cannot_be_loaded_is_status_1() {
    let output = parity(&[Path::new("nowhere")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nowhere"));
}

#[test]
fn wrong_usage_is_status_2() {
    let wrong: [&[&str]; 4] = [&[], &["a", "b"], &["a", "--device"], &["a", "--weights", "f64"]];
    for words in wrong {
        let output = parity(&words.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: parity"));
    }
}
