//! Checkpoints that are rounded once: written, read back, and refused when they are not what they should be.

use std::cell::Cell;
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use mimo_vl_core::expert::Codebook;
use mimo_vl_core::{
    CancelToken, Error, Image, LoadOptions, Model, Prompt, QuantizationReport, Result, TaskControl, WeightFormat,
    quantize,
};
use mimo_vl_examples::parity::{Case, prompt_logits};
use mimo_vl_tests::fixtures::checkpoints::{CheckpointCopy, SINGLE, tiny};
use serde_json::Value;
use tempfile::TempDir;

fn with(weights: WeightFormat) -> LoadOptions {
    LoadOptions::new().weights(weights)
}

/// A rounded copy of a checkpoint, in a folder of its own.
fn rounded(from: &Path, weights: WeightFormat, prompts: &[Prompt]) -> (TempDir, QuantizationReport) {
    let folder = tempfile::tempdir().unwrap();
    let receipt = quantize(from, folder.path(), &with(weights), prompts, TaskControl::new()).unwrap();
    (folder, receipt)
}

fn logits(checkpoint: &Path, options: &LoadOptions) -> Vec<f32> {
    let case = Case::load(&tiny().join("cases/two-images-turns")).unwrap();
    prompt_logits(&Model::load(checkpoint, options).unwrap(), &case, usize::MAX).unwrap()
}

/// Change the receipt in the file of a rounded checkpoint.
fn edit_receipt(checkpoint: &Path, change: impl FnOnce(&mut Value)) {
    let path = checkpoint.join(SINGLE);
    let bytes = fs::read(&path).unwrap();
    let room = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut header: Value = serde_json::from_slice(&bytes[8..8 + room]).unwrap();
    let entry = &mut header["__metadata__"]["mimo_vl"];
    let mut receipt = serde_json::from_str(entry.as_str().unwrap()).unwrap();
    change(&mut receipt);
    *entry = receipt.to_string().into();
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(8)).unwrap();
    let mut text = header.to_string();
    text.extend(std::iter::repeat_n(' ', room - text.len()));
    file.write_all(text.as_bytes()).unwrap();
}

fn refusal(checkpoint: &Path, options: &LoadOptions) -> Error {
    Model::load(checkpoint, options).expect_err("must be refused")
}

#[test]
fn a_rounded_file_is_the_model_that_rounding_on_load_gives() {
    for weights in [WeightFormat::Int8, WeightFormat::Int4] {
        let (folder, _) = rounded(&tiny(), weights, &[]);
        let (again, _) = rounded(&tiny(), weights, &[]);
        assert!(fs::read(folder.path().join(SINGLE)).unwrap() == fs::read(again.path().join(SINGLE)).unwrap());
        let expected = logits(&tiny(), &with(weights));
        for asked in [WeightFormat::Native, weights] {
            assert_eq!(logits(folder.path(), &with(asked)), expected, "{weights:?}, loaded as {asked:?}");
        }
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn a_rounded_file_is_the_same_on_the_plain_backend() {
    let (folder, _) = rounded(&tiny(), WeightFormat::Int4, &[]);
    let plain = |checkpoint: &Path| logits(checkpoint, &with(WeightFormat::Int4).device("ndarray"));
    assert_eq!(plain(folder.path()), plain(&tiny()));
}

#[test]
fn a_tied_output_layer_is_in_the_file() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.edit("config.json", |config| {
        let text = if config.get("text_config").is_some() { &mut config["text_config"] } else { &mut *config };
        text["tie_word_embeddings"] = true.into();
        config["tie_word_embeddings"] = true.into();
    });
    let (folder, receipt) = rounded(checkpoint.path(), WeightFormat::Int4, &[]);
    assert!(receipt.matrices.iter().any(|matrix| matrix.names == ["model.embed_tokens.weight"]));
    assert_eq!(
        logits(folder.path(), &with(WeightFormat::Native)),
        logits(checkpoint.path(), &with(WeightFormat::Int4))
    );
}

#[test]
fn the_receipt_says_what_was_lost() {
    let image = Image::from_rgb(56, 56, 168, &[90; 56 * 56 * 3]).unwrap();
    let prompts = [Prompt::user().text("How many?"), Prompt::user().image(image).text("What is it?")];
    let (folder, four) = rounded(&tiny(), WeightFormat::Int4, &prompts);
    let (_, eight) = rounded(&tiny(), WeightFormat::Int8, &prompts);
    assert_eq!(Model::load(folder.path(), &LoadOptions::new()).unwrap().quantization_report(), Some(&four));
    assert!(Model::load(tiny(), &LoadOptions::new()).unwrap().quantization_report().is_none());
    assert_eq!((four.weights, four.source.as_str()), (WeightFormat::Int4, "tiny"));
    for matrix in &four.matrices {
        let is_vision = matrix.names[0].starts_with("visual.");
        assert_eq!(matrix.format.levels == Codebook::Linear8, is_vision, "{:?}", matrix.names);
        let bounds = if is_vision { 1e-3..1e-2 } else { 0.03..0.12 };
        assert!(bounds.contains(&matrix.error), "{:?}: {}", matrix.names, matrix.error);
    }
    assert!(four.matrices.iter().any(|matrix| matrix.names.len() == 3), "query, key and value are one product");
    assert!(eight.error() < four.error() / 3.0);
    assert_eq!(four.agreement.len(), 2);
    for (four, eight) in four.agreement.iter().zip(&eight.agreement) {
        assert_eq!(four.prompt, eight.prompt);
        assert!(four.tokens > 5 && (0.0..=1.0).contains(&four.top1), "{four:?}");
        assert!(eight.divergence > 0.0 && eight.divergence < four.divergence, "{eight:?} {four:?}");
        assert!(eight.top1 > 0.8, "{eight:?}");
    }
    assert_eq!(four.agreement[1].prompt, "What is it?");
}

#[test]
fn other_weights_than_the_file_has_are_refused() {
    let (folder, _) = rounded(&tiny(), WeightFormat::Int4, &[]);
    for weights in [WeightFormat::Int8, WeightFormat::F32, WeightFormat::F16, WeightFormat::Bf16] {
        let error = refusal(folder.path(), &with(weights));
        assert!(matches!(error, Error::Option { option: "weights", .. }), "{error:?}");
        assert!(error.to_string().contains("int4"), "{error}");
    }
}

#[test]
fn broken_files_are_refused() {
    let (folder, _) = rounded(&tiny(), WeightFormat::Int4, &[]);
    let path = folder.path().join(SINGLE);
    let whole = fs::read(&path).unwrap();
    for length in [4, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(folder.path(), &with(WeightFormat::Native));
        assert!(matches!(&error, Error::Checkpoint { path: named, .. } if *named == path), "{length}: {error:?}");
    }
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 4] = [
        (|receipt| receipt["version"] = 2.into(), "version 2"),
        (|receipt| receipt["matrices"][0]["group"] = 48.into(), "unknown"),
        (|receipt| receipt["matrices"][0]["levels"] = "ternary".into(), "ternary"),
        (|receipt| receipt["weights"] = "f32".into(), "unknown"),
    ];
    for (change, expected) in changes {
        fs::write(&path, &whole).unwrap();
        edit_receipt(folder.path(), change);
        let error = refusal(folder.path(), &with(WeightFormat::Native));
        assert!(matches!(&error, Error::Checkpoint { path: named, .. } if *named == path), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn the_weights_of_another_model_are_refused_by_name() {
    let (folder, receipt) = rounded(&tiny(), WeightFormat::Int4, &[]);
    let first = receipt.matrices[0].names[0].clone();
    edit_receipt(folder.path(), |receipt| receipt["matrices"][0]["width"] = 4096.into());
    match refusal(folder.path(), &with(WeightFormat::Native)) {
        Error::Tensor { name, reason } => {
            assert_eq!(name, first);
            assert!(reason.contains("4096") && reason.contains("another model"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    edit_receipt(folder.path(), |receipt| {
        receipt["matrices"][0]["width"] = receipt["matrices"][1]["width"].clone();
        receipt["matrices"][0]["group"] = 32.into();
    });
    let error = refusal(folder.path(), &with(WeightFormat::Native));
    assert!(matches!(&error, Error::Tensor { .. }), "{error:?}");
}

#[test]
fn what_cannot_be_rounded_is_refused() {
    let (folder, _) = rounded(&tiny(), WeightFormat::Int8, &[]);
    let fresh = tempfile::tempdir().unwrap();
    let option = |result: Result<QuantizationReport>| match result {
        Err(Error::Option { option, reason }) => (option, reason),
        other => panic!("{other:?}"),
    };
    let round = |from: &Path, to: &Path, weights| option(quantize(from, to, &with(weights), &[], TaskControl::new()));
    assert_eq!(round(&tiny(), fresh.path(), WeightFormat::Bf16).0, "weights");
    assert!(round(folder.path(), fresh.path(), WeightFormat::Int4).1.contains("already"));
    let (name, reason) = round(&tiny(), folder.path(), WeightFormat::Int4);
    assert!(name == "to" && reason.contains("another folder"), "{name}: {reason}");
    assert_eq!(round(&tiny(), &tiny(), WeightFormat::Int4).0, "to");
}

#[test]
fn loading_and_rounding_report_and_can_be_stopped() {
    let steps = Cell::new(0);
    let last = Cell::new((0, 0));
    let cancel = CancelToken::new();
    let watch_until = |most: usize| {
        let (steps, last, cancel) = (&steps, &last, &cancel);
        move |done: u64, of: u64| {
            assert!(done >= last.get().0 && done < of, "{done} of {of} after {:?}", last.get());
            last.set((done, of));
            steps.set(steps.get() + 1);
            if steps.get() == most {
                cancel.cancel();
            }
        }
    };
    for weights in [WeightFormat::Native, WeightFormat::F32, WeightFormat::Int4] {
        steps.set(0);
        last.set((0, 0));
        let progress = watch_until(usize::MAX);
        Model::load_watched(tiny(), &with(weights), TaskControl::new().cancel(&cancel).progress(&progress)).unwrap();
    }
    let all = steps.get();
    assert!(all > 20 && last.get().0 > last.get().1 / 2, "{all} {last:?}");

    for (most, weights) in [(1, WeightFormat::Native), (all / 2, WeightFormat::Int4)] {
        steps.set(0);
        last.set((0, 0));
        let progress = watch_until(most);
        let cancel = CancelToken::new();
        let stopping = |done, of| {
            progress(done, of);
            if steps.get() == most {
                cancel.cancel();
            }
        };
        let result =
            Model::load_watched(tiny(), &with(weights), TaskControl::new().cancel(&cancel).progress(&stopping));
        assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
        assert_eq!(steps.get(), most, "no tensor is read after the flag was raised");
    }

    // What an interrupted call has left is no checkpoint, and does not stand in the way of the next.
    let folder = tempfile::tempdir().unwrap();
    steps.set(0);
    last.set((0, 0));
    let stop = CancelToken::new();
    let progress = |_, _| {
        steps.set(steps.get() + 1);
        if steps.get() == all / 2 {
            stop.cancel();
        }
    };
    let round = |watch| quantize(tiny(), folder.path(), &with(WeightFormat::Int4), &[], watch);
    assert!(matches!(round(TaskControl::new().cancel(&stop).progress(&progress)), Err(Error::Cancelled)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    round(TaskControl::new()).unwrap();
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
    for (weights, expected) in
        [(WeightFormat::Native, bytes), (WeightFormat::F16, bytes / 2), (WeightFormat::Int4, bytes / 64 * 17 / 2)]
    {
        match refusal(checkpoint.path(), &with(weights)) {
            Error::Memory { what: "the weights", needed, available } => {
                assert_eq!(needed, expected, "{weights:?}");
                assert!(available > 0 && available < needed);
            }
            other => panic!("{other:?}"),
        }
    }
    let message = refusal(checkpoint.path(), &with(WeightFormat::Native)).to_string();
    assert!(message.contains("needs 8796.1 GB"), "{message}");
}
