//! The small checkpoint of `data/tiny` against the values of the reference, and against itself in other formats.
//!
//! The program `parity` compares other checkpoints in the same way.

use std::fs;

use mimo_vl_core::{LoadOptions, Model, WeightFormat};
use mimo_vl_examples::parity::{
    Case, Row, Summary, TENSOR_TOLERANCE, Verdict, compare, prompt_logits, relative_error, worst_error,
};
use mimo_vl_tests::fixtures::checkpoints::{CheckpointCopy, StoredTensor, tiny};
use safetensors::Dtype;

/// Largest relative error of logits with weights in bf16 against those with the same weights in f32.
///
/// Rounding to bf16 changes a weight by at most one part in 512. With random weights that grows to 2e-2, in the
/// reference's implementation as well.
const BF16_TOLERANCE: f64 = 4e-2;

/// The case with images of several attention windows and more than one user message.
const IMAGES: &str = "two-images-turns";

fn run_compare(checkpoint: &std::path::Path, options: &LoadOptions) -> (Summary, Vec<Row>) {
    let mut rows = Vec::new();
    let summary = compare(checkpoint, options, |row| rows.push(row.clone())).unwrap();
    (summary, rows)
}

fn failed(rows: &[Row]) -> Vec<(&str, &str)> {
    let failed = rows.iter().filter(|row| row.verdict == Verdict::Failed);
    failed.map(|row| (row.case.as_str(), row.stage)).collect()
}

fn agrees_with_the_reference(device: &str) {
    let (summary, rows) = run_compare(&tiny(), &LoadOptions::new().device(device).weights(WeightFormat::F32));
    let report: Vec<String> = rows.iter().map(Row::to_string).collect();
    // Nine stages for text and three more for images; two of a JPEG case are only reported.
    assert_eq!(summary, Summary { passed: 9 + 12 + 12 + 10, failed: 0 }, "{}", report.join("\n"));
}

#[cfg(feature = "flex")]
#[test]
fn cpu_agrees_with_the_reference() {
    agrees_with_the_reference("cpu");
}

#[cfg(feature = "ndarray")]
#[test]
fn ndarray_agrees_with_the_reference() {
    agrees_with_the_reference("ndarray");
}

// ---- the comparison fails where it should

/// The stages that fail after a change of one value of `config.json`.
fn failures_with(pointer: &str, value: serde_json::Value) -> Vec<String> {
    let checkpoint = CheckpointCopy::with_cases();
    checkpoint.edit("config.json", |config| *config.pointer_mut(pointer).unwrap() = value);
    let (_, rows) = run_compare(checkpoint.path(), &LoadOptions::new());
    failed(&rows).into_iter().filter(|(case, _)| *case == IMAGES).map(|(_, stage)| stage.to_owned()).collect()
}

#[test]
fn a_wrong_constant_fails_the_stages_that_use_it() {
    assert_eq!(failures_with("/rope_theta", 10_000.0.into()), ["logits", "decode", "answer", "session"]);
    assert_eq!(failures_with("/rms_norm_eps", 2e-5.into())[..2], ["logits", "decode"]);
    assert_eq!(failures_with("/rope_scaling/mrope_section", serde_json::json!([3, 3, 2]))[..2], ["logits", "decode"]);
    assert_eq!(failures_with("/vision_config/fullatt_block_indexes", serde_json::json!([3]))[0], "features");
    assert_eq!(failures_with("/vision_config/window_size", 56.into())[0], "features");
}

#[test]
fn wrong_expected_values_fail_their_stage() {
    let checkpoint = CheckpointCopy::with_cases();
    checkpoint.edit("cases/text/expected.json", |expected| {
        let prompt = expected["prompt"].as_str().unwrap().replacen("MiMo", "Mimo", 1);
        expected["prompt"] = prompt.into();
    });
    checkpoint.edit("cases/video-image/messages.json", |case| case["max_pixels"] = (6 * 784).into());
    checkpoint.edit("cases/jpeg/expected.json", |expected| expected["rope_delta"] = 7.into());
    let (summary, rows) = run_compare(checkpoint.path(), &LoadOptions::new().weights(WeightFormat::F32));
    let failed = failed(&rows);
    assert_eq!(summary.failed, failed.len());
    for stage in [
        ("text", "prompt"),
        ("text", "ids"),
        ("video-image", "grids"),
        ("video-image", "patches"),
        ("jpeg", "rope_delta"),
        ("jpeg", "decode"),
    ] {
        assert!(failed.contains(&stage), "{stage:?} passed");
    }
    assert!(!failed.contains(&("video-image", "features")), "the stage features starts from the expected patches");
    assert!(!failed.contains(&("text", "logits")), "the stage logits starts from the expected ids");
}

#[test]
fn an_unreadable_case_is_a_failed_row() {
    let checkpoint = CheckpointCopy::with_cases();
    let file = checkpoint.file("cases/text/expected.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_file(checkpoint.file("cases/jpeg/a.jpg")).unwrap();
    checkpoint.write("cases/video-image/messages.json", "{");
    let (summary, rows) = run_compare(checkpoint.path(), &LoadOptions::new());
    assert_eq!(failed(&rows), [("jpeg", "case"), ("text", "case"), ("video-image", "case")]);
    assert_eq!(summary, Summary { passed: 12, failed: 3 });
    for (case, file) in [("jpeg", "a.jpg"), ("text", "expected.safetensors"), ("video-image", "messages.json")] {
        let row = rows.iter().find(|row| row.case == case).unwrap();
        assert!(row.error.contains(file), "{row}");
    }
}

#[test]
fn a_checkpoint_without_cases_is_an_error() {
    let checkpoint = CheckpointCopy::new();
    let error = || compare(checkpoint.path(), &LoadOptions::new(), |_| {}).unwrap_err().to_string();
    let missing = error();
    assert!(missing.starts_with(&checkpoint.file("cases").display().to_string()), "{missing}");
    fs::create_dir(checkpoint.file("cases")).unwrap();
    assert!(error().ends_with("cases: there are no cases"), "{}", error());
}

// ---- the same weights in other formats

fn case(name: &str) -> Case {
    Case::load(&tiny().join("cases").join(name)).unwrap()
}

/// The logits of a conversation with three images.
fn logits(checkpoint: &std::path::Path, weights: WeightFormat) -> Vec<f32> {
    let model = Model::load(checkpoint, &LoadOptions::new().weights(weights)).unwrap();
    prompt_logits(&model, &case(IMAGES), usize::MAX).unwrap()
}

/// The tensors with each value encoded by `encode`.
fn encoded_as(tensors: &[StoredTensor], dtype: Dtype, encode: impl Fn(f32) -> Vec<u8>) -> Vec<StoredTensor> {
    let convert = |tensor: &StoredTensor| StoredTensor {
        dtype,
        bytes: tensor.values().into_iter().flat_map(&encode).collect(),
        ..tensor.clone()
    };
    tensors.iter().map(convert).collect()
}

#[test]
fn one_file_gives_the_logits_of_shards() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.replace_weights(&checkpoint.tensors());
    assert_eq!(logits(checkpoint.path(), WeightFormat::Native), logits(&tiny(), WeightFormat::Native));
}

#[test]
fn both_naming_schemes_of_tensors_give_the_same_logits() {
    let checkpoint = CheckpointCopy::new();
    let mut tensors = checkpoint.tensors();
    for tensor in &mut tensors {
        tensor.name = match tensor.name.strip_prefix("model.") {
            Some(rest) => format!("model.language_model.{rest}"),
            None if tensor.name.starts_with("visual.") => format!("model.{}", tensor.name),
            None => tensor.name.clone(),
        };
    }
    assert_eq!(tensors.iter().filter(|tensor| !tensor.name.starts_with("model.")).count(), 1, "lm_head keeps its name");
    checkpoint.replace_weights(&tensors);
    assert_eq!(logits(checkpoint.path(), WeightFormat::Native), logits(&tiny(), WeightFormat::Native));
}

#[test]
fn native_bf16_weights_give_the_logits_of_f32_weights() {
    let vocab = case(IMAGES).expected.vocab;
    let error = worst_error(&logits(&tiny(), WeightFormat::Native), &logits(&tiny(), WeightFormat::F32), vocab);
    assert!(error <= TENSOR_TOLERANCE, "{error:e}");
}

#[test]
fn weights_stored_in_f16_give_the_logits_of_bf16_weights() {
    let checkpoint = CheckpointCopy::new();
    let tensors = encoded_as(&checkpoint.tensors(), Dtype::F16, |value| f16_bits(value).to_le_bytes().to_vec());
    checkpoint.replace_weights(&tensors);
    let vocab = case(IMAGES).expected.vocab;
    let expected = logits(&tiny(), WeightFormat::F32);
    for weights in [WeightFormat::Native, WeightFormat::F32] {
        let error = worst_error(&logits(checkpoint.path(), weights), &expected, vocab);
        assert!(error <= TENSOR_TOLERANCE, "{weights:?}: {error:e}");
    }
}

#[test]
fn f32_weights_rounded_to_bf16_give_close_logits() {
    let checkpoint = CheckpointCopy::new();
    // Values that bf16 cannot represent: the checkpoint's own, scaled up by at most one part in 128.
    let mut state = 1_u32;
    let mut noisy: Vec<StoredTensor> = checkpoint.tensors();
    for tensor in &mut noisy {
        let values = tensor.values().into_iter().map(|value| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            value * (1.0 + (state >> 8) as f32 / (1 << 24) as f32 / 128.0)
        });
        (tensor.bytes, tensor.dtype) = (values.flat_map(f32::to_le_bytes).collect(), Dtype::F32);
    }
    checkpoint.replace_weights(&noisy);
    let exact = logits(checkpoint.path(), WeightFormat::Native);
    assert_eq!(exact, logits(checkpoint.path(), WeightFormat::F32), "native f32 weights are not rounded");
    let rounded = logits(checkpoint.path(), WeightFormat::Bf16);
    let error = relative_error(&rounded, &exact);
    assert!(error <= BF16_TOLERANCE, "{error:e}");
    assert!(error > TENSOR_TOLERANCE, "{error:e}: nothing was rounded");

    for tensor in &mut noisy {
        let values = tensor.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        (tensor.bytes, tensor.dtype) = (values.flat_map(|value| bf16_bits(value).to_le_bytes()).collect(), Dtype::BF16);
    }
    let stored = CheckpointCopy::new();
    stored.replace_weights(&noisy);
    assert_eq!(rounded, logits(stored.path(), WeightFormat::Native), "rounded while loading, and in the file");
}

/// An f32 value as bf16, rounded to nearest, ties to even.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A bf16 value as f16. Exact for normal numbers, since bf16 has fewer bits of mantissa.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, exponent) = ((bits >> 16) as u16 & 0x8000, (bits >> 23 & 0xff) as i32 - 127 + 15);
    match exponent {
        1..=30 => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x03ff,
        // Subnormal, below 2⁻¹⁴: a multiple of 2⁻²⁴.
        i32::MIN..=0 => sign | (value.abs() * 16_777_216.0).round() as u16,
        _ => panic!("{value} is too large for f16"),
    }
}

#[test]
fn prefill_in_chunks_gives_the_logits_of_one_pass() {
    let model = Model::load(tiny(), &LoadOptions::new()).unwrap();
    for name in [IMAGES, "video-image"] {
        let case = case(name);
        let expected = prompt_logits(&model, &case, usize::MAX).unwrap();
        assert_eq!(expected.len(), case.expected.logits.len());
        for chunk in [1, 7, 64] {
            let error = worst_error(&prompt_logits(&model, &case, chunk).unwrap(), &expected, case.expected.vocab);
            assert!(error <= TENSOR_TOLERANCE, "{name}, chunks of {chunk} tokens: {error:e}");
        }
    }
}
