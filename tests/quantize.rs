//! Quantized checkpoints: writing, reading, and the errors for broken ones.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use mimo_vl_core::expert::Codebook;
use mimo_vl_core::{
    CancelToken, Error, Image, LoadOptions, Model, Prompt, QuantizationReport, Result, WeightFormat, quantize,
};
use mimo_vl_examples::parity::{Case, prompt_logits};
use mimo_vl_tests::fixtures::checkpoints::{CheckpointCopy, SINGLE, tiny};
use serde_json::Value;
use tempfile::TempDir;

fn with(weights: WeightFormat) -> LoadOptions {
    LoadOptions::new().weights(weights)
}

/// A quantized copy of a checkpoint, in a temporary folder.
fn quantized(source: &Path, weights: WeightFormat, prompts: &[Prompt]) -> (TempDir, QuantizationReport) {
    let folder = tempfile::tempdir().unwrap();
    let report = quantize(source, folder.path(), &with(weights), prompts).unwrap();
    (folder, report)
}

fn logits(checkpoint: &Path, options: &LoadOptions) -> Vec<f32> {
    let case = Case::load(&tiny().join("cases/two-images-turns")).unwrap();
    prompt_logits(&Model::load(checkpoint, options).unwrap(), &case, usize::MAX).unwrap()
}

/// Changes the report in the file of a quantized checkpoint.
fn edit_report(checkpoint: &Path, change: impl FnOnce(&mut Value)) {
    let path = checkpoint.join(SINGLE);
    let bytes = fs::read(&path).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let entry = &mut header["__metadata__"]["mimo_vl"];
    let mut report = serde_json::from_str(entry.as_str().unwrap()).unwrap();
    change(&mut report);
    *entry = report.to_string().into();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let mut text = header.to_string();
    text.extend(std::iter::repeat_n(' ', header_len - text.len()));
    file.write_all(text.as_bytes()).unwrap();
}

fn load_error(checkpoint: &Path, options: &LoadOptions) -> Error {
    Model::load(checkpoint, options).expect_err("loading must fail")
}

#[test]
fn a_quantized_checkpoint_equals_quantization_while_loading() {
    for weights in [WeightFormat::Int8, WeightFormat::Int4] {
        let (folder, _) = quantized(&tiny(), weights, &[]);
        let (again, _) = quantized(&tiny(), weights, &[]);
        assert!(fs::read(folder.path().join(SINGLE)).unwrap() == fs::read(again.path().join(SINGLE)).unwrap());
        let expected = logits(&tiny(), &with(weights));
        for requested in [WeightFormat::Native, weights] {
            assert_eq!(logits(folder.path(), &with(requested)), expected, "{weights:?}, loaded as {requested:?}");
        }
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn a_quantized_checkpoint_has_the_same_logits_on_the_portable_backend() {
    let (folder, _) = quantized(&tiny(), WeightFormat::Int4, &[]);
    let portable = |checkpoint: &Path| logits(checkpoint, &with(WeightFormat::Int4).device("ndarray"));
    assert_eq!(portable(folder.path()), portable(&tiny()));
}

#[test]
fn a_tied_output_layer_is_quantized() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.edit("config.json", |config| {
        let text = if config.get("text_config").is_some() { &mut config["text_config"] } else { &mut *config };
        text["tie_word_embeddings"] = true.into();
        config["tie_word_embeddings"] = true.into();
    });
    let (folder, report) = quantized(checkpoint.path(), WeightFormat::Int4, &[]);
    assert!(report.matrices.iter().any(|matrix| matrix.names == ["model.embed_tokens.weight"]));
    assert_eq!(
        logits(folder.path(), &with(WeightFormat::Native)),
        logits(checkpoint.path(), &with(WeightFormat::Int4))
    );
}

#[test]
fn the_report_has_errors_and_divergences() {
    let image = Image::from_rgb(56, 56, 168, &[90; 56 * 56 * 3]).unwrap();
    let prompts = [Prompt::user().text("How many?"), Prompt::user().image(image).text("What is it?")];
    let (folder, four) = quantized(&tiny(), WeightFormat::Int4, &prompts);
    let (_, eight) = quantized(&tiny(), WeightFormat::Int8, &prompts);
    assert_eq!(Model::load(folder.path(), &LoadOptions::new()).unwrap().quantization_report(), Some(&four));
    assert!(Model::load(tiny(), &LoadOptions::new()).unwrap().quantization_report().is_none());
    assert_eq!((four.weights, four.source.as_str()), (WeightFormat::Int4, "tiny"));
    for matrix in &four.matrices {
        let is_vision = matrix.names[0].starts_with("visual.");
        assert_eq!(matrix.format.codebook == Codebook::Linear8, is_vision, "{:?}", matrix.names);
        let bounds = if is_vision { 1e-3..1e-2 } else { 0.03..0.12 };
        assert!(bounds.contains(&matrix.error), "{:?}: {}", matrix.names, matrix.error);
    }
    assert!(four.matrices.iter().any(|matrix| matrix.names.len() == 3), "query, key and value are one product");
    assert!(eight.error() < four.error() / 3.0);
    assert_eq!(four.divergences.len(), 2);
    for (four, eight) in four.divergences.iter().zip(&eight.divergences) {
        assert_eq!(four.prompt, eight.prompt);
        assert!(four.tokens > 5 && (0.0..=1.0).contains(&four.top1), "{four:?}");
        assert!(eight.divergence > 0.0 && eight.divergence < four.divergence, "{eight:?} {four:?}");
        assert!(eight.top1 > 0.8, "{eight:?}");
    }
    assert_eq!(four.divergences[1].prompt, "What is it?");
}

#[test]
fn another_format_than_the_stored_one_is_refused() {
    let (folder, _) = quantized(&tiny(), WeightFormat::Int4, &[]);
    for weights in [WeightFormat::Int8, WeightFormat::F32, WeightFormat::F16, WeightFormat::Bf16] {
        let error = load_error(folder.path(), &with(weights));
        assert!(matches!(error, Error::Option { option: "weights", .. }), "{error:?}");
        assert!(error.to_string().contains("int4"), "{error}");
    }
}

#[test]
fn broken_files_are_refused() {
    let (folder, _) = quantized(&tiny(), WeightFormat::Int4, &[]);
    let path = folder.path().join(SINGLE);
    let bytes = fs::read(&path).unwrap();
    for length in [4, 100, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        let error = load_error(folder.path(), &with(WeightFormat::Native));
        assert!(matches!(&error, Error::Checkpoint { path: named, .. } if *named == path), "{length}: {error:?}");
    }
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 4] = [
        (|report| report["version"] = 2.into(), "version 2"),
        (|report| report["matrices"][0]["group"] = 48.into(), "unknown"),
        (|report| report["matrices"][0]["levels"] = "ternary".into(), "ternary"),
        (|report| report["weights"] = "f32".into(), "unknown"),
    ];
    for (change, expected) in changes {
        fs::write(&path, &bytes).unwrap();
        edit_report(folder.path(), change);
        let error = load_error(folder.path(), &with(WeightFormat::Native));
        assert!(matches!(&error, Error::Checkpoint { path: named, .. } if *named == path), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn errors_name_the_matrix_of_another_model() {
    let (folder, report) = quantized(&tiny(), WeightFormat::Int4, &[]);
    let first = report.matrices[0].names[0].clone();
    edit_report(folder.path(), |report| report["matrices"][0]["width"] = 4096.into());
    match load_error(folder.path(), &with(WeightFormat::Native)) {
        Error::Tensor { name, reason } => {
            assert_eq!(name, first);
            assert!(reason.contains("4096") && reason.contains("another model"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    edit_report(folder.path(), |report| {
        report["matrices"][0]["width"] = report["matrices"][1]["width"].clone();
        report["matrices"][0]["group"] = 32.into();
    });
    let error = load_error(folder.path(), &with(WeightFormat::Native));
    assert!(matches!(&error, Error::Tensor { .. }), "{error:?}");
}

#[test]
fn impossible_quantizations_are_refused() {
    let (folder, _) = quantized(&tiny(), WeightFormat::Int8, &[]);
    let fresh = tempfile::tempdir().unwrap();
    let option = |result: Result<QuantizationReport>| match result {
        Err(Error::Option { option, reason }) => (option, reason),
        other => panic!("{other:?}"),
    };
    let error = |source: &Path, to: &Path, weights| option(quantize(source, to, &with(weights), &[]));
    assert_eq!(error(&tiny(), fresh.path(), WeightFormat::Bf16).0, "weights");
    assert!(error(folder.path(), fresh.path(), WeightFormat::Int4).1.contains("already"));
    let (name, reason) = error(&tiny(), folder.path(), WeightFormat::Int4);
    assert!(name == "to" && reason.contains("another folder"), "{name}: {reason}");
    assert_eq!(error(&tiny(), &tiny(), WeightFormat::Int4).0, "to");
}

#[test]
fn loading_and_quantizing_report_progress_and_can_be_cancelled() {
    // Options of a call that is cancelled at step `limit`, and its steps.
    let observed = |weights, limit: usize| {
        let (seen, cancel) = (Arc::new(Mutex::new(Vec::new())), CancelToken::new());
        let (sink, token) = (Arc::clone(&seen), cancel.clone());
        let options = with(weights).cancel(&cancel).on_progress(move |progress| {
            let mut seen = sink.lock().unwrap();
            let last = seen.last().map_or(0, |&(done, _)| done);
            assert!(last < progress.total, "{progress:?} after the last report");
            assert!(progress.done >= last && progress.done <= progress.total, "{progress:?} after {last}");
            seen.push((progress.done, progress.total));
            if seen.len() == limit {
                token.cancel();
            }
        });
        (options, seen)
    };
    let mut all = 0;
    for weights in [WeightFormat::Native, WeightFormat::F32, WeightFormat::Int4] {
        let (options, seen) = observed(weights, usize::MAX);
        Model::load(tiny(), &options).unwrap();
        let seen = seen.lock().unwrap();
        let (done, total) = *seen.last().unwrap();
        all = seen.len();
        assert!(all > 20 && done == total, "{all} {done} {total}");
    }

    for (limit, weights) in [(1, WeightFormat::Native), (all / 2, WeightFormat::Int4)] {
        let (options, seen) = observed(weights, limit);
        let result = Model::load(tiny(), &options);
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert_eq!(seen.lock().unwrap().len(), limit, "no tensor is read after cancellation");
    }

    // An interrupted call leaves no files, and the next one succeeds.
    let folder = tempfile::tempdir().unwrap();
    let (options, _) = observed(WeightFormat::Int4, all / 2);
    let cancelled = quantize(tiny(), folder.path(), &options, &[]);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    quantize(tiny(), folder.path(), &with(WeightFormat::Int4), &[]).unwrap();
    assert_eq!(logits(folder.path(), &with(WeightFormat::Native)), logits(&tiny(), &with(WeightFormat::Int4)));
}

#[test]
fn weights_that_do_not_fit_into_memory_are_refused_before_they_are_read() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.replace_weights(&checkpoint.tensors());
    // A file with a hole of 8 TB takes no space.
    let rows = 1_u64 << 35;
    let bytes = rows * 64 * 4;
    let header = format!(
        r#"{{"model.layers.0.mlp.up_proj.weight":{{"dtype":"F32","shape":[{rows},64],"data_offsets":[0,{bytes}]}}}}"#
    );
    let mut file = fs::File::create(checkpoint.file(SINGLE)).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + bytes).unwrap();
    let refusal = |weights| Model::load(checkpoint.path(), &with(weights)).unwrap_err();
    for (weights, expected) in
        [(WeightFormat::Native, bytes), (WeightFormat::F16, bytes / 2), (WeightFormat::Int4, bytes / 64 * 17 / 2)]
    {
        match refusal(weights) {
            Error::Memory { what: "the weights", needed, available } => {
                assert_eq!(needed, expected, "{weights:?}");
                assert!(available > 0 && available < needed);
            }
            other => panic!("{other:?}"),
        }
    }
    let message = refusal(WeightFormat::Native).to_string();
    assert!(message.contains("needs 8796.1 GB"), "{message}");
}
