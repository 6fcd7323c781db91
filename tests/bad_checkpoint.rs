//! Broken checkpoint directories: each gives an error of the right kind that names the defective file or tensor.

use std::fs;

use mimo_vl_core::{Error, ErrorCode, LoadOptions, Model};
use mimo_vl_tests::fixtures::checkpoints::{CheckpointCopy, INDEX, SHARDS, StoredTensor, tiny};
use safetensors::Dtype;
use serde_json::json;

/// The error of loading a valid checkpoint after `change`.
fn error_after(change: impl FnOnce(&CheckpointCopy)) -> Error {
    let checkpoint = CheckpointCopy::new();
    change(&checkpoint);
    Model::load(checkpoint.path(), &LoadOptions::new()).unwrap_err()
}

/// Checks that `change` leads to an error of kind `code` whose message has all of `words`.
#[track_caller]
fn fails(code: ErrorCode, words: &[&str], change: impl FnOnce(&CheckpointCopy)) {
    let error = error_after(change);
    assert_eq!(error.code(), code, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

fn truncate(checkpoint: &CheckpointCopy, file: &str, keep: impl FnOnce(usize) -> usize) {
    let bytes = fs::read(checkpoint.file(file)).unwrap();
    checkpoint.write(file, &bytes[..keep(bytes.len())]);
}

/// A safetensors file with this header and no data.
fn with_header(header: &str) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

#[test]
fn an_unchanged_copy_loads() {
    let checkpoint = CheckpointCopy::new();
    Model::load(checkpoint.path(), &LoadOptions::new()).unwrap();
}

// ---- the directory

#[test]
fn a_missing_directory() {
    let error = Model::load(tiny().join("nowhere"), &LoadOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io, "{error}");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_file_instead_of_a_directory() {
    let error = Model::load(tiny().join("config.json"), &LoadOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Io, "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
}

#[test]
fn an_empty_directory() {
    let directory = tempfile::tempdir().unwrap();
    let error = Model::load(directory.path(), &LoadOptions::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Checkpoint, "{error}");
    assert!(error.to_string().contains("config.json"), "{error}");
}

// ---- config.json and its neighbours

#[test]
fn a_missing_config() {
    fails(ErrorCode::Checkpoint, &["config.json"], |checkpoint| checkpoint.remove("config.json"));
}

#[test]
fn broken_json() {
    for file in ["config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json", INDEX] {
        for content in ["", "{", "[]", "null", "{\"a\": \u{1}}"] {
            fails(ErrorCode::Checkpoint, &[file], |checkpoint| checkpoint.write(file, content));
        }
        fails(ErrorCode::Checkpoint, &[file], |checkpoint| truncate(checkpoint, file, |len| len / 2));
    }
}

#[test]
fn text_files_that_are_not_utf8() {
    for file in ["config.json", INDEX, "chat_template.jinja"] {
        let error = error_after(|checkpoint| checkpoint.write(file, b"{\"a\": \"\xff\xfe\"}"));
        assert!(matches!(error.code(), ErrorCode::Io | ErrorCode::Checkpoint), "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn an_unknown_architecture() {
    fails(ErrorCode::Checkpoint, &["config.json", "LlamaForCausalLM"], |checkpoint| {
        checkpoint.edit("config.json", |config| config["architectures"] = json!(["LlamaForCausalLM"]));
    });
}

#[test]
fn errors_name_the_invalid_value() {
    for (pointer, value, named) in [
        ("/hidden_size", json!("wide"), "config.json"),
        ("/hidden_size", json!(-1), "config.json"),
        ("/num_attention_heads", json!(0), "num_attention_heads"),
        ("/num_key_value_heads", json!(4), "num_key_value_heads"),
        ("/rope_scaling/mrope_section", json!([1, 1, 1]), "mrope_section"),
        ("/vision_config/num_heads", json!(7), "hidden_size"),
        ("/vision_config/out_hidden_size", json!(64), "out_hidden_size"),
        ("/vision_config/patch_size", json!(16), "patch_size"),
        ("/image_token_id", json!(100_000), "image_token_id"),
    ] {
        fails(ErrorCode::Checkpoint, &["config.json", named], |checkpoint| {
            checkpoint.edit("config.json", |config| *config.pointer_mut(pointer).unwrap() = value);
        });
    }
    fails(ErrorCode::Checkpoint, &["preprocessor_config.json", "patch_size"], |checkpoint| {
        checkpoint.edit("preprocessor_config.json", |config| config["patch_size"] = json!(16));
    });
    fails(ErrorCode::Checkpoint, &["preprocessor_config.json", "image_std"], |checkpoint| {
        checkpoint.edit("preprocessor_config.json", |config| config["image_std"] = json!([0.2, 0.0, 0.2]));
    });
}

// ---- the weight files

#[test]
fn missing_weights() {
    fails(ErrorCode::Checkpoint, &["model.safetensors"], |checkpoint| {
        SHARDS.into_iter().chain([INDEX]).for_each(|file| checkpoint.remove(file));
    });
}

#[test]
fn a_missing_shard() {
    for shard in SHARDS {
        fails(ErrorCode::Checkpoint, &[shard], |checkpoint| checkpoint.remove(shard));
    }
}

#[test]
fn a_truncated_shard() {
    type Keep = fn(usize) -> usize;
    let lengths: [Keep; 6] = [|len| len - 1, |len| len / 2, |_| 1000, |_| 8, |_| 3, |_| 0];
    for keep in lengths {
        let shard = SHARDS[1];
        let error = error_after(|checkpoint| truncate(checkpoint, shard, keep));
        assert_eq!(error.code(), ErrorCode::Checkpoint, "{error}");
        assert!(error.to_string().contains(shard), "{error}");
    }
}

#[test]
fn a_shard_that_is_no_safetensors_file() {
    let shard = SHARDS[0];
    let contents = [
        b"<html>404 Not Found</html>".to_vec(),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n".to_vec(),
        vec![0xff; 64],
        with_header("{"),
        with_header(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#),
        with_header(r#"{"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,18446744073709551615]}}"#),
        with_header(r#"{"a":{"dtype":"U8","shape":[4611686018427387904],"data_offsets":[0,4611686018427387904]}}"#),
    ];
    for content in contents {
        fails(ErrorCode::Checkpoint, &[shard], |checkpoint| checkpoint.write(shard, content));
    }
}

#[test]
fn an_index_that_names_missing_files_or_tensors() {
    let assign = |checkpoint: &CheckpointCopy, tensor: &str, file: &str| {
        checkpoint.edit(INDEX, |index| index["weight_map"][tensor] = json!(file));
    };
    fails(ErrorCode::Checkpoint, &["model-00003-of-00003.safetensors", "missing"], |checkpoint| {
        assign(checkpoint, "lm_head.weight", "model-00003-of-00003.safetensors");
    });
    fails(ErrorCode::Checkpoint, &["no.such.tensor", SHARDS[0]], |checkpoint| {
        assign(checkpoint, "no.such.tensor", SHARDS[0]);
    });
    let elsewhere = CheckpointCopy::new();
    let absolute = elsewhere.file(SHARDS[0]).display().to_string();
    for file in ["../model.safetensors", "sub/model.safetensors", "..", "", &absolute] {
        fails(ErrorCode::Checkpoint, &[INDEX, file], |checkpoint| assign(checkpoint, "lm_head.weight", file));
    }
    fails(ErrorCode::Tensor, &["missing"], |checkpoint| {
        checkpoint.edit(INDEX, |index| index["weight_map"] = json!({}));
    });
}

// ---- tensors

const TENSOR: &str = "model.layers.1.self_attn.q_proj.weight";

#[test]
fn a_missing_tensor() {
    for name in [TENSOR, "lm_head.weight", "visual.patch_embed.proj.weight", "visual.merger.mlp.2.bias"] {
        fails(ErrorCode::Tensor, &[name, "missing"], |checkpoint| {
            let mut tensors = checkpoint.tensors();
            tensors.retain(|tensor| tensor.name != name);
            checkpoint.replace_weights(&tensors);
        });
    }
}

#[test]
fn a_tensor_of_another_shape() {
    let shapes: [fn(&mut StoredTensor); 3] = [
        |tensor| tensor.shape = vec![tensor.shape[0] / 2, tensor.shape[1] * 2],
        |tensor| tensor.shape = vec![tensor.shape.iter().product()],
        |tensor| (tensor.shape, tensor.bytes) = (vec![0, 96], Vec::new()),
    ];
    for change in shapes {
        fails(ErrorCode::Tensor, &[TENSOR, "shape", "[96, 96]"], |checkpoint| checkpoint.edit_tensor(TENSOR, change));
    }
    // The defect may be in the configuration instead.
    fails(ErrorCode::Tensor, &["lm_head.weight", "shape"], |checkpoint| {
        checkpoint.edit("config.json", |config| config["vocab_size"] = json!(1024));
    });
}

#[test]
fn a_tensor_of_another_type() {
    for (dtype, size) in [(Dtype::I64, 8), (Dtype::U8, 1), (Dtype::F64, 8), (Dtype::BOOL, 1)] {
        let named = format!("{dtype:?}");
        fails(ErrorCode::Tensor, &[TENSOR, &named], |checkpoint| {
            checkpoint.edit_tensor(TENSOR, |tensor| {
                (tensor.dtype, tensor.bytes) = (dtype, vec![0; size * tensor.shape.iter().product::<usize>()]);
            });
        });
    }
}

// ---- tokenizer and chat template

#[test]
fn a_missing_tokenizer() {
    fails(ErrorCode::Checkpoint, &["tokenizer.json"], |checkpoint| checkpoint.remove("tokenizer.json"));
}

#[test]
fn a_tokenizer_of_another_model() {
    fails(ErrorCode::Checkpoint, &["tokenizer.json", "<|image_pad|>"], |checkpoint| {
        checkpoint.edit("tokenizer.json", |tokenizer| {
            tokenizer["added_tokens"].as_array_mut().unwrap().retain(|token| token["content"] != "<|image_pad|>");
        });
    });
    fails(ErrorCode::Checkpoint, &["tokenizer.json", "image_token_id"], |checkpoint| {
        checkpoint.edit("config.json", |config| config["image_token_id"] = json!(7));
    });
}

#[test]
fn a_missing_or_broken_chat_template() {
    fails(ErrorCode::Checkpoint, &["chat_template"], |checkpoint| {
        checkpoint.remove("chat_template.jinja");
        checkpoint.remove("tokenizer_config.json");
    });
    fails(ErrorCode::Checkpoint, &["chat_template.jinja"], |checkpoint| {
        checkpoint.write("chat_template.jinja", "{% for message in messages %}");
    });
}

// ---- the device

#[test]
fn unknown_devices() {
    for device in ["", "gpu", "CPU", "cpu:1", "cuda:x", "cuda:", "cuda:-1", "cuda0x", "ndarray:0"] {
        let error = Model::load(tiny(), &LoadOptions::new().device(device)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Device, "{error}");
        assert!(error.to_string().contains(&format!("{device:?}")), "{error}");
    }
    let error = Model::load(tiny(), &LoadOptions::new().device("cuda:4096")).unwrap_err();
    assert_eq!(error.code(), ErrorCode::Device, "{error}");
}
