//! GGUF files written by the Python package `gguf`: `tests/data/gguf/make.py`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mimo_vl_core::expert::{
    Checkpoint, CheckpointFiles, Codebook, Kernels, PreprocessConfig, TensorId, TensorSource, Tokenizer, WithBackend,
    dispatch,
};
use mimo_vl_core::{
    Error, GenerateOptions, Image, LoadOptions, Model, ModelConfig, Prompt, Result, Thinking, WeightFormat,
};
use mimo_vl_examples::parity::relative_error;
use mimo_vl_tests::fixtures::checkpoints::CheckpointCopy;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize_to_file};
use serde::Deserialize;
use tempfile::TempDir;

const LANGUAGE: &str = "model.gguf";
const VISION: &str = "mmproj-model.gguf";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/gguf")
}

#[derive(Deserialize)]
struct Expected {
    shape: Vec<usize>,
    fnv: String,
}

fn expected() -> BTreeMap<String, Expected> {
    serde_json::from_slice(&fs::read(data().join("expected.json")).unwrap()).unwrap()
}

/// The 64-bit FNV-1a hash of the values' words.
fn fnv(values: &[f32]) -> String {
    let mix = |state: u64, value: &f32| (state ^ u64::from(value.to_bits())).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", values.iter().fold(0xcbf2_9ce4_8422_2325, mix))
}

fn id(name: &str) -> TensorId {
    TensorId::parse(name).unwrap_or_else(|| panic!("{name} is no tensor of the model"))
}

/// Reads all tensors as f32.
struct AllValues;

impl WithBackend for AllValues {
    type Output = BTreeMap<String, Vec<f32>>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Self::Output> {
        let checkpoint = Checkpoint::open_gguf(data())?.unwrap();
        let source = checkpoint.source::<B>(WeightFormat::F32, &device);
        let read = |(name, Expected { shape, .. }): (String, Expected)| {
            let id = id(&name);
            let data = match *shape.as_slice() {
                [a] => source.tensor(id, [a])?.into_data(),
                [a, b] => source.tensor(id, [a, b])?.into_data(),
                [a, b, c, d, e] => source.tensor(id, [a, b, c, d, e])?.into_data(),
                _ => panic!("{name}: {shape:?}"),
            };
            Ok((name, data.into_vec::<f32>().unwrap()))
        };
        expected().into_iter().map(read).collect()
    }
}

fn all_values() -> BTreeMap<String, Vec<f32>> {
    dispatch("cpu", AllValues).unwrap()
}

/// A safetensors checkpoint with the same weights as f32.
fn safetensors_checkpoint() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "chat_template.jinja"] {
        fs::copy(data().join("hub").join(file), folder.path().join(file)).unwrap();
    }
    let (values, expected) = (all_values(), expected());
    let bytes: Vec<(&String, Vec<u8>)> = values
        .iter()
        .map(|(name, values)| (name, values.iter().flat_map(|value| value.to_le_bytes()).collect()))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| (name, TensorView::new(Dtype::F32, expected[*name].shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, &folder.path().join("model.safetensors")).unwrap();
    folder
}

/// A copy of the two files, to be changed.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in [LANGUAGE, VISION] {
        fs::copy(data().join(file), folder.path().join(file)).unwrap();
    }
    folder
}

fn prompt() -> Prompt {
    let pixels: Vec<u8> = (0..140 * 224 * 3).map(|index| (index * 37 % 251) as u8).collect();
    let image = Image::from_rgb(224, 140, 224 * 3, &pixels).unwrap();
    Prompt::user().image(image).text("What is it?").thinking(Thinking::Off)
}

/// The features of an image, and the logits of some tokens.
fn outputs(model: &Model) -> (Vec<f32>, Vec<f32>) {
    use mimo_vl_core::expert::{PrefillInput, TaskControl};
    let image = Image::from_rgb(112, 140, 112 * 3, &[77; 112 * 140 * 3]).unwrap();
    let patches = mimo_vl_core::expert::preprocess_image(&image, model.preprocess_config()).unwrap();
    let control = TaskControl::default();
    let features = model.engine().encode(&patches, &control).unwrap().values;
    let ids: Vec<u32> = (0..40).map(|index| index * 11 % 480).collect();
    let positions: Vec<[u32; 3]> = (0..40).map(|position| [position; 3]).collect();
    let input = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
    let logits = model.engine().sequence().prefill(&input, 64, true, &control).unwrap();
    (features, logits)
}

fn with(weights: WeightFormat) -> LoadOptions {
    LoadOptions::new().weights(weights)
}

#[test]
fn dequantized_weights_equal_those_of_the_gguf_package() {
    let (values, expected) = (all_values(), expected());
    assert!(expected.len() > 50);
    for (name, Expected { fnv: hash, .. }) in &expected {
        assert_eq!(fnv(&values[name]), *hash, "{name}");
    }
}

#[test]
fn config_and_tokenizer_equal_those_of_the_hub() {
    let checkpoint = Checkpoint::open_gguf(data()).unwrap().unwrap();
    let files = CheckpointFiles::new(checkpoint.directory(), checkpoint.metadata_files().to_vec());
    assert_eq!(ModelConfig::load(files.clone()).unwrap(), ModelConfig::load(data().join("hub")).unwrap());
    assert_eq!(PreprocessConfig::load(files.clone()).unwrap(), PreprocessConfig::default());
    let (own, hub) = (Tokenizer::load(files).unwrap(), Tokenizer::load(data().join("hub")).unwrap());
    for text in [
        "How many circles are there, and where?",
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>Hi<|im_end|>\n",
        "naïve café ☕ 北京 🤖  1234\t\r\n  it's",
        "<think>\n</think>",
    ] {
        assert_eq!(own.encode(text).unwrap(), hub.encode(text).unwrap(), "{text:?}");
        assert_eq!(own.decode(&own.encode(text).unwrap()), hub.decode(&hub.encode(text).unwrap()), "{text:?}");
    }
    let model = Model::load(data(), &LoadOptions::new()).unwrap();
    assert_eq!(Some(model.eos_token_ids()[0]), hub.token_id("<|endoftext|>").min(hub.token_id("<|im_end|>")));
}

#[test]
fn outputs_equal_those_of_the_same_weights_in_safetensors() {
    let hub = safetensors_checkpoint();
    let reference = Model::load(hub.path(), &LoadOptions::new()).unwrap();
    let (features, logits) = outputs(&reference);
    let from_gguf = outputs(&Model::load(data(), &with(WeightFormat::F32)).unwrap());
    assert_eq!(from_gguf, (features.clone(), logits.clone()), "the same f32 weights");
    for (weights, bar) in [(WeightFormat::Native, 0.03), (WeightFormat::Int8, 0.03), (WeightFormat::Int4, 0.3)] {
        let from_gguf = outputs(&Model::load(data(), &with(weights)).unwrap());
        let errors = (relative_error(&from_gguf.0, &features), relative_error(&from_gguf.1, &logits));
        assert!(errors.0 < 0.03 && errors.1 < bar, "{weights:?}: {errors:?}");
        assert!(errors.1 > 1e-5, "{weights:?} quantizes something: {errors:?}");
    }
    let ask = |model: &Model| model.session().ask(&prompt(), &GenerateOptions::new().max_tokens(6)).unwrap().text;
    assert_eq!(ask(&Model::load(data().join(LANGUAGE), &with(WeightFormat::F32)).unwrap()), ask(&reference));
}

/// Codebooks of some products, and true where their weights are exactly the stored ones; `None` for dense ones.
struct Products(WeightFormat);

impl WithBackend for Products {
    type Output = Vec<Option<(Codebook, bool)>>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Self::Output> {
        let checkpoint = Checkpoint::open_gguf(data())?.unwrap();
        let (source, values) = (checkpoint.source::<B>(self.0, &device), all_values());
        let product = |names: &[&str]| {
            let parts: Vec<(TensorId, usize)> =
                names.iter().map(|name| (id(name), expected()[*name].shape[0])).collect();
            let width = expected()[names[0]].shape[1];
            let quantized = source.quantized(&parts, width)?;
            Ok(quantized.map(|quantized| {
                let stored: Vec<f32> = names.iter().flat_map(|name| values[*name].clone()).collect();
                (quantized.format().codebook, quantized.dequantize().into_data().into_vec::<f32>().unwrap() == stored)
            }))
        };
        let layer = |layer: usize, parts: &[&str]| {
            let names: Vec<String> = parts.iter().map(|part| format!("model.layers.{layer}.{part}.weight")).collect();
            product(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let qkv = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
        Ok(vec![
            layer(0, &qkv)?,
            layer(0, &["self_attn.o_proj"])?,
            layer(1, &qkv)?,
            layer(1, &["self_attn.o_proj"])?,
            layer(1, &["mlp.gate_proj", "mlp.up_proj"])?,
            product(&["visual.blocks.1.attn.qkv.weight"])?,
        ])
    }
}

#[test]
fn blocks_keep_their_weights_where_a_format_has_the_same() {
    use Codebook::{Linear4, Linear8, Normal4};
    let products = |weights| dispatch("cpu", Products(weights)).unwrap();
    let four = Some((Linear4, true));
    let eight = |exact| Some((Linear8, exact));
    // Q4_0, Q8_0, Q4_K with Q6_K, BF16, F16 with Q4_0, Q8_0.
    assert_eq!(products(WeightFormat::Native), [four, eight(true), eight(false), None, None, eight(true)]);
    assert_eq!(products(WeightFormat::Int8), [four, eight(true), eight(false), eight(false), None, eight(true)]);
    let anew = Some((Normal4, false));
    assert_eq!(products(WeightFormat::Int4), [four, anew, anew, anew, None, eight(true)]);
    assert_eq!(products(WeightFormat::F32), [None; 6]);
}

#[cfg(feature = "ndarray")]
#[test]
fn the_portable_backend_gives_the_same_logits() {
    let expected = outputs(&Model::load(data(), &with(WeightFormat::F32)).unwrap());
    let portable = outputs(&Model::load(data(), &LoadOptions::new().device("ndarray")).unwrap());
    assert!(relative_error(&portable.1, &expected.1) < 0.03);
}

#[test]
fn config_files_in_the_folder_take_precedence_over_metadata() {
    let folder = copy();
    let mut config: serde_json::Value =
        serde_json::from_slice(&fs::read(data().join("hub/config.json")).unwrap()).unwrap();
    config["max_position_embeddings"] = 99.into();
    fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    assert_eq!(Model::load(folder.path(), &LoadOptions::new()).unwrap().max_context(), 99);
}

fn load_error(path: &Path) -> Error {
    Model::load(path, &LoadOptions::new()).expect_err("loading must fail")
}

#[test]
fn a_bare_file_name_is_in_the_current_folder() {
    std::env::set_current_dir(data()).unwrap();
    Model::load(LANGUAGE, &LoadOptions::new()).unwrap();
}

#[test]
fn exactly_one_file_of_each_kind_is_required() {
    let folder = copy();
    fs::copy(data().join(LANGUAGE), folder.path().join("other.gguf")).unwrap();
    let error = load_error(folder.path()).to_string();
    assert!(error.contains("2 GGUF files of a language model"), "{error}");
    Model::load(folder.path().join("other.gguf"), &LoadOptions::new()).unwrap();
    fs::remove_file(folder.path().join(VISION)).unwrap();
    let error = load_error(&folder.path().join(LANGUAGE)).to_string();
    assert!(error.contains("mmproj"), "{error}");
    let part = folder.path().join("model-00001-of-00002.gguf");
    fs::copy(data().join(LANGUAGE), &part).unwrap();
    let error = load_error(&part).to_string();
    assert!(error.contains("several parts"), "{error}");
    let missing = load_error(&folder.path().join("missing.gguf"));
    assert!(matches!(missing, Error::Io { .. }), "{missing:?}");
}

#[test]
fn truncated_and_broken_files_are_refused() {
    for file in [LANGUAGE, VISION] {
        let folder = copy();
        let path = folder.path().join(file);
        let bytes = fs::read(&path).unwrap();
        let lengths = [0, 3, 7, 20, 40, 300, 3000, bytes.len() / 2, bytes.len() - 40];
        for length in lengths {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = load_error(folder.path());
            assert!(
                matches!(&error, Error::Checkpoint { path: named, .. } if *named == path),
                "{file} {length}: {error:?}"
            );
            assert!(error.to_string().contains("truncated"), "{file} {length}: {error}");
        }
        for (at, byte, expected) in
            [(0, b'X', "start with GGUF"), (4, 9, "version 9"), (15, 255, "broken"), (23, 255, "broken")]
        {
            let mut changed = bytes.clone();
            changed[at] = byte;
            fs::write(&path, changed).unwrap();
            let error = load_error(folder.path());
            assert!(matches!(&error, Error::Checkpoint { path: named, .. } if *named == path), "{error:?}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}

/// Overwrites a file with `new`, `skip` bytes after the start of the only occurrence of `key`.
fn overwrite(path: &Path, key: &[u8], skip: usize, new: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let found: Vec<usize> = (0..bytes.len() - key.len()).filter(|&at| bytes[at..].starts_with(key)).collect();
    assert_eq!(found.len(), 1, "{:?}", String::from_utf8_lossy(key));
    let at = found[0] + skip;
    bytes[at..at + new.len()].copy_from_slice(new);
    fs::write(path, bytes).unwrap();
}

#[test]
fn errors_name_the_unsupported_part() {
    let folder = copy();
    let path = folder.path().join(LANGUAGE);
    // The type comes after the name, the number of dimensions and two dimensions.
    let mut name = b"blk.0.attn_output.weight".to_vec();
    name.extend(2_u32.to_le_bytes());
    name.extend([256_u64, 256].iter().flat_map(|size| size.to_le_bytes()));
    let typed = |kind: u32| [name.clone(), kind.to_le_bytes().to_vec()].concat();
    for (kind, expected) in [(6_u32, "Q5_0"), (99, "unknown (99)")] {
        fs::copy(data().join(LANGUAGE), &path).unwrap();
        overwrite(&path, &typed(8), name.len(), &kind.to_le_bytes());
        match load_error(folder.path()) {
            Error::Tensor { name, reason } => {
                assert_eq!(name, "blk.0.attn_output.weight");
                assert!(reason.contains(expected) && reason.contains("Q4_K and Q6_K"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
    }
    let cases: [(&str, &[u8], &[u8], &str); 6] = [
        (LANGUAGE, b"qwen2vl\x1d", b"qwen3vl\x1d", "qwen3vl"),
        (VISION, b"qwen2.5vl_merger", b"qwen3.5vl_merger", "qwen3.5vl_merger"),
        (LANGUAGE, b"tokenizer.ggml.pre", b"tokenizer.ggml.prx", "tokenizer.ggml.pre"),
        (LANGUAGE, b"attention.head_count_kv", b"attention.head_count_kx", "head_count_kv"),
        (VISION, b"clip.vision.n_wa_pattern", b"clip.vision.n_wa_patterx", "n_wa_pattern"),
        (LANGUAGE, b"blk.1.ffn_up.weight", b"blk.1.ffn_ux.weight", "up_proj"),
    ];
    for (file, old, new, expected) in cases {
        let folder = copy();
        let path = folder.path().join(file);
        if old.starts_with(b"qwen2vl") {
            // The entry of the architecture is the first occurrence.
            let mut bytes = fs::read(&path).unwrap();
            let at = (0..bytes.len()).find(|&at| bytes[at..].starts_with(b"qwen2vl")).unwrap();
            bytes[at..at + 7].copy_from_slice(&new[..7]);
            fs::write(&path, bytes).unwrap();
        } else {
            overwrite(&path, old, 0, new);
        }
        let error = load_error(folder.path());
        assert!(matches!(error, Error::Checkpoint { .. } | Error::Tensor { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn impossible_sizes_are_refused() {
    // Dimensions come after their number, from the innermost to the outermost.
    let patches = [b"v.patch_embd.weight".as_slice(), &4_u32.to_le_bytes()].concat();
    let dimensions = |sizes: &[u64]| sizes.iter().flat_map(|size| size.to_le_bytes()).collect::<Vec<u8>>();
    let bias = [b"v.blk.1.attn_q.bias".as_slice(), &1_u32.to_le_bytes(), &64_u64.to_le_bytes()].concat();
    let blocks = [b"clip.vision.block_count".as_slice(), &4_u32.to_le_bytes()].concat();
    let cases: [(&[u8], Vec<u8>, &str); 5] = [
        (&patches, dimensions(&[0, 0]), "nothing in it"),
        (&patches, dimensions(&[7]), "the last two 14"),
        (&patches, dimensions(&[1 << 40, 1 << 40]), "shape"),
        (&bias, 8_u32.to_le_bytes().to_vec(), "blocks"),
        (&blocks, u32::MAX.to_le_bytes().to_vec(), "block_count"),
    ];
    for (key, new, expected) in cases {
        let folder = copy();
        overwrite(&folder.path().join(VISION), key, key.len(), &new);
        let error = load_error(folder.path());
        assert!(matches!(error, Error::Checkpoint { .. } | Error::Tensor { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn safetensors_take_precedence_over_gguf_files() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.write("other.gguf", "not read");
    Model::load(checkpoint.path(), &LoadOptions::new()).unwrap();
}
