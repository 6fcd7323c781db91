//! The reference's values for a small checkpoint with random weights, and the same checkpoint stored in other ways.
//!
//! `data/tiny` is a checkpoint directory with a few cases; the program `parity` compares others in the same way.

use std::fs;

use mimo_vl_core::{LoadOptions, Model, WeightFormat};
use mimo_vl_examples::parity::{
    Case, Row, TENSOR_BAR, Tally, Verdict, compare, prompt_logits, relative_error, worst_error,
};
use mimo_vl_tests::checkpoints::{CheckpointCopy, StoredTensor, tiny};
use safetensors::Dtype;

/// Logits with weights rounded to bf16 against those with the f32 weights that they were rounded from, over all tokens.
/// QuantizationError changes each weight by at most one part in 512; random weights let that grow to 2e-2 here, and in the
/// reference's implementation as well.
const BF16_BAR: f64 = 4e-2;

/// The case with pictures of several windows and more than one turn.
const PICTURES: &str = "two-images-turns";

fn compared(checkpoint: &std::path::Path, options: &LoadOptions) -> (Tally, Vec<Row>) {
    let mut rows = Vec::new();
    let tally = compare(checkpoint, options, |row| rows.push(row.clone())).unwrap();
    (tally, rows)
}

fn failed(rows: &[Row]) -> Vec<(&str, &str)> {
    let failed = rows.iter().filter(|row| row.verdict == Verdict::Failed);
    failed.map(|row| (row.case.as_str(), row.stage)).collect()
}

fn agrees_with_the_reference(device: &str) {
    let (tally, rows) = compared(&tiny(), &LoadOptions::new().device(device).weights(WeightFormat::F32));
    let report: Vec<String> = rows.iter().map(Row::to_string).collect();
    // Nine stages of text; three more with pictures, and two less where a JPEG may change the answer.
    assert_eq!(tally, Tally { passed: 9 + 12 + 12 + 10, failed: 0 }, "{}", report.join("\n"));
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

// ---- the comparison notices what is wrong

/// The stages that fail when one value of `config.json` is another.
fn failures_with(pointer: &str, value: serde_json::Value) -> Vec<String> {
    let checkpoint = CheckpointCopy::with_cases();
    checkpoint.edit("config.json", |config| *config.pointer_mut(pointer).unwrap() = value);
    let (_, rows) = compared(checkpoint.path(), &LoadOptions::new());
    failed(&rows).into_iter().filter(|(case, _)| *case == PICTURES).map(|(_, stage)| stage.to_owned()).collect()
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
    let (tally, rows) = compared(checkpoint.path(), &LoadOptions::new().weights(WeightFormat::F32));
    let failed = failed(&rows);
    assert_eq!(tally.failed, failed.len());
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
    assert!(!failed.contains(&("video-image", "features")), "features start from the expected patches");
    assert!(!failed.contains(&("text", "logits")), "logits start from the expected ids");
}

#[test]
fn a_case_that_cannot_be_read_fails() {
    let checkpoint = CheckpointCopy::with_cases();
    let file = checkpoint.file("cases/text/expected.safetensors");
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_file(checkpoint.file("cases/jpeg/a.jpg")).unwrap();
    checkpoint.write("cases/video-image/messages.json", "{");
    let (tally, rows) = compared(checkpoint.path(), &LoadOptions::new());
    assert_eq!(failed(&rows), [("jpeg", "case"), ("text", "case"), ("video-image", "case")]);
    assert_eq!(tally, Tally { passed: 12, failed: 3 });
    for (case, file) in [("jpeg", "a.jpg"), ("text", "expected.safetensors"), ("video-image", "messages.json")] {
        let row = rows.iter().find(|row| row.case == case).unwrap();
        assert!(row.error.contains(file), "{row}");
    }
}

#[test]
fn no_cases_are_an_error() {
    let checkpoint = CheckpointCopy::new();
    assert!(compare(checkpoint.path(), &LoadOptions::new(), |_| {}).is_err());
    fs::create_dir(checkpoint.file("cases")).unwrap();
    assert!(compare(checkpoint.path(), &LoadOptions::new(), |_| {}).is_err());
}

// ---- the same weights in other files

fn case(name: &str) -> Case {
    Case::load(&tiny().join("cases").join(name)).unwrap()
}

/// The logits of a conversation with three pictures.
fn logits(checkpoint: &std::path::Path, weights: WeightFormat) -> Vec<f32> {
    let model = Model::load(checkpoint, &LoadOptions::new().weights(weights)).unwrap();
    prompt_logits(&model, &case(PICTURES), usize::MAX).unwrap()
}

/// The tensors with each value through `store`.
fn stored_as(tensors: &[StoredTensor], dtype: Dtype, store: impl Fn(f32) -> Vec<u8>) -> Vec<StoredTensor> {
    let convert = |tensor: &StoredTensor| StoredTensor {
        dtype,
        bytes: tensor.values().into_iter().flat_map(&store).collect(),
        ..tensor.clone()
    };
    tensors.iter().map(convert).collect()
}

#[test]
fn one_file_equals_shards() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.replace_weights(&checkpoint.tensors());
    assert_eq!(logits(checkpoint.path(), WeightFormat::Native), logits(&tiny(), WeightFormat::Native));
}

#[test]
fn both_families_of_names_are_the_same_model() {
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
fn weights_may_stay_in_bf16() {
    let vocab = case(PICTURES).expected.vocab;
    let error = worst_error(&logits(&tiny(), WeightFormat::Native), &logits(&tiny(), WeightFormat::F32), vocab);
    assert!(error <= TENSOR_BAR, "{error:e}");
}

#[test]
fn f16_weights_lose_only_what_f16_cannot_hold() {
    let checkpoint = CheckpointCopy::new();
    let tensors = stored_as(&checkpoint.tensors(), Dtype::F16, |value| f16_bits(value).to_le_bytes().to_vec());
    checkpoint.replace_weights(&tensors);
    let vocab = case(PICTURES).expected.vocab;
    let expected = logits(&tiny(), WeightFormat::F32);
    for weights in [WeightFormat::Native, WeightFormat::F32] {
        let error = worst_error(&logits(checkpoint.path(), weights), &expected, vocab);
        assert!(error <= TENSOR_BAR, "{weights:?}: {error:e}");
    }
}

#[test]
fn bf16_weights_stay_close_to_f32_weights() {
    let checkpoint = CheckpointCopy::new();
    // Values between those that bf16 has: the checkpoint's own, made larger by up to one part in 128.
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
    assert_eq!(exact, logits(checkpoint.path(), WeightFormat::F32), "f32 weights are taken as they are");
    let rounded = logits(checkpoint.path(), WeightFormat::Bf16);
    let error = relative_error(&rounded, &exact);
    assert!(error <= BF16_BAR, "{error:e}");
    assert!(error > TENSOR_BAR, "{error:e}: nothing was rounded");

    for tensor in &mut noisy {
        let values = tensor.bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
        (tensor.bytes, tensor.dtype) = (values.flat_map(|value| bf16_bits(value).to_le_bytes()).collect(), Dtype::BF16);
    }
    let stored = CheckpointCopy::new();
    stored.replace_weights(&noisy);
    assert_eq!(rounded, logits(stored.path(), WeightFormat::Native), "rounded while loading or before");
}

/// An f32 value as bf16, rounded to the nearest, of two equally near to the even one.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A bf16 value as f16: its 8 bits of mantissa fit, unless the value is too small.
fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let (sign, exponent) = ((bits >> 16) as u16 & 0x8000, (bits >> 23 & 0xff) as i32 - 127 + 15);
    match exponent {
        1..=30 => sign | (exponent as u16) << 10 | (bits >> 13) as u16 & 0x03ff,
        // Below 2⁻¹⁴: a multiple of 2⁻²⁴.
        i32::MIN..=0 => sign | (value.abs() * 16_777_216.0).round() as u16,
        _ => panic!("{value} is too large for f16"),
    }
}

#[test]
fn prefill_in_chunks_equals_prefill_at_once() {
    let model = Model::load(tiny(), &LoadOptions::new()).unwrap();
    for name in [PICTURES, "video-image"] {
        let case = case(name);
        let whole = prompt_logits(&model, &case, usize::MAX).unwrap();
        assert_eq!(whole.len(), case.expected.logits.len());
        for chunk in [1, 7, 64] {
            let error = worst_error(&prompt_logits(&model, &case, chunk).unwrap(), &whole, case.expected.vocab);
            assert!(error <= TENSOR_BAR, "{name}, {chunk} tokens at a time: {error:e}");
        }
    }
}
