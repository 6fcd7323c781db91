//! Loading a checkpoint through the public interface: errors and limits.

use std::path::{Path, PathBuf};

use mimo_vl_core::{Error, ErrorCode, GenerateOptions, LoadOptions, Model, Prompt};
use safetensors::SafeTensors;

fn checkpoint() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tiny"))
}

fn load_error(directory: &Path, options: &LoadOptions) -> Error {
    Model::load(directory, options).err().unwrap()
}

#[test]
fn unusable_devices_are_refused() {
    let mut refused = vec!["tpu", "", "cuda:x", "cpu:0"];
    if cfg!(not(feature = "cuda")) {
        refused.push("cuda:0");
    }
    for name in refused {
        match load_error(&checkpoint(), &LoadOptions::new().device(name)) {
            Error::Device { device, reason } => assert!(device == name && !reason.is_empty()),
            other => panic!("{name:?}: {other}"),
        }
    }
}

#[test]
fn context_is_bounded_by_the_checkpoint() {
    let model = Model::load(checkpoint(), &LoadOptions::new()).unwrap();
    assert_eq!((model.max_context(), model.preprocess_config().max_tokens), (32_768, 32_768));
    let small = Model::load(checkpoint(), &LoadOptions::new().max_context(100)).unwrap();
    assert_eq!((small.max_context(), small.preprocess_config().max_tokens), (100, 100));
    for tokens in [0, 128_001] {
        let error = load_error(&checkpoint(), &LoadOptions::new().max_context(tokens));
        assert!(matches!(&error, Error::Option { option: "max_context", .. }), "{error}");
    }
}

/// A copy of the checkpoint's files, to be damaged.
fn copy_of_checkpoint() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(checkpoint()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), directory.path().join(entry.file_name())).unwrap();
        }
    }
    directory
}

#[test]
fn an_internal_error_closes_the_session() {
    let directory = copy_of_checkpoint();
    let shard = directory.path().join("model-00001-of-00002.safetensors");
    let mut bytes = std::fs::read(&shard).unwrap();
    let norm = SafeTensors::deserialize(&bytes).unwrap();
    let norm = norm.tensor("model.norm.weight").unwrap().data();
    let offset = norm.as_ptr().addr() - bytes.as_ptr().addr();
    bytes[offset..offset + 2].copy_from_slice(&0x7FC0_u16.to_le_bytes());
    std::fs::write(&shard, bytes).unwrap();

    // NaN weights give NaN logits.
    let broken = Model::load(directory.path(), &LoadOptions::new()).unwrap();
    let mut session = broken.session();
    let mut reason = || match session.ask(&Prompt::user().text("What?"), &GenerateOptions::new()) {
        Err(Error::Internal { reason }) => reason,
        other => panic!("{other:?}"),
    };
    assert!(reason().contains("NaN"));
    assert!(reason().contains("open a new one"));
    let fresh = broken.session().ask(&Prompt::user().text("What?"), &GenerateOptions::new());
    assert!(matches!(fresh, Err(Error::Internal { reason }) if reason.contains("NaN")), "the model stays usable");
}

#[test]
fn a_tokenizer_of_another_checkpoint_is_refused() {
    let directory = copy_of_checkpoint();
    let config = directory.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    for (old, new, expected) in [
        ("\"image_token_id\": 492", "\"image_token_id\": 491", "<|image_pad|> is token 492"),
        ("\"vocab_size\": 512", "\"vocab_size\": 496", "vocab_size"),
    ] {
        assert!(text.contains(old));
        std::fs::write(&config, text.replace(old, new)).unwrap();
        match load_error(directory.path(), &LoadOptions::new()) {
            Error::Checkpoint { path, reason } => {
                assert!(path.ends_with("tokenizer.json") && reason.contains(expected))
            }
            other => panic!("{other}"),
        }
    }
    std::fs::remove_file(directory.path().join("tokenizer.json")).unwrap();
    assert_eq!(load_error(directory.path(), &LoadOptions::new()).code(), ErrorCode::Checkpoint);
}
