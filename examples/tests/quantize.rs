//! The program `quantize`, and its checkpoint in the program `ask`.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).output().unwrap()
}

fn quantize(arguments: &[&str]) -> Output {
    run(env!("CARGO_BIN_EXE_quantize"), arguments)
}

const TINY: &str = "examples/models/mimo-vl-tiny";
const IMAGE: &str = "examples/images/shapes-1.png";

#[test]
fn a_quantized_checkpoint_answers() {
    let folder = tempfile::tempdir().unwrap();
    let output_folder = folder.path().join("int4").display().to_string();
    let output = quantize(&[TINY, &output_folder, "--image", IMAGE, "--prompt", "How many circles are there?"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert!(text.contains("matrices, int4") && text.contains("self_attn.k_proj.weight"), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("KL divergence") && line.ends_with("circles are there?")),
        "{text}"
    );
    let answer = run(
        env!("CARGO_BIN_EXE_ask"),
        &[IMAGE, "How many circles are there?", "--model", &output_folder, "--no-think"],
    );
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "2", "{answer:?}");
    let again = quantize(&[TINY, &output_folder]);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("another folder"), "{again:?}");
}

#[test]
fn wrong_usage_is_status_2() {
    for arguments in [
        &[][..],
        &[TINY],
        &["a", "b", "c"],
        &[TINY, "x", "--weights", "int3"],
        &[TINY, "x", "--threads", "two"],
        &["--what"],
    ] {
        let output = quantize(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: quantize"), "{output:?}");
    }
    let failed = quantize(&["missing", "target/never-written"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    assert!(quantize(&["--help"]).status.success());
}
