//! WeightFormat of four and eight bits, caches of half precision, and every level of instructions, in whole models.

use mimo_vl_core::expert::{Divergence, MAX_DRAFT_TOKENS, PrefillInput, SimdLevel};
use mimo_vl_core::{CancelToken, Error, KvCacheDtype, LoadOptions, Model, WeightFormat};
use mimo_vl_examples::parity::{Case, TENSOR_TOLERANCE, prompt_logits, relative_error};
use mimo_vl_examples::tiny_model;
use mimo_vl_tests::fixtures::checkpoints::{CheckpointCopy, StoredTensor, tiny};
use safetensors::Dtype;

/// The case with pictures of several windows and more than one turn.
fn case() -> Case {
    Case::load(&tiny().join("cases/two-images-turns")).unwrap()
}

fn logits(checkpoint: &std::path::Path, options: &LoadOptions) -> Vec<f32> {
    prompt_logits(&Model::load(checkpoint, options).unwrap(), &case(), usize::MAX).unwrap()
}

fn with(weights: WeightFormat) -> LoadOptions {
    LoadOptions::new().weights(weights).kv_cache_dtype(KvCacheDtype::F32)
}

/// Mean over all tokens of the Kullback-Leibler divergence of `actual` from `expected`.
fn divergence(actual: &[f32], expected: &[f32], vocab: usize) -> f64 {
    Divergence::new("", actual, expected, vocab).divergence
}

/// The weights that llama.cpp's Q4_0 stands for: groups of 32 along a row, the largest weight at level −8.
fn q4_0(tensor: &StoredTensor) -> StoredTensor {
    let width = *tensor.shape.last().unwrap();
    let rows = tensor.values();
    let groups = rows.chunks_exact(width).flat_map(|row| row.chunks(32));
    let rounded = groups.flat_map(|group| {
        let largest = group.iter().fold(0.0_f32, |most, &w| if w.abs() > most.abs() { w } else { most });
        let inverse = if largest == 0.0 { 0.0 } else { -8.0 / largest };
        group.iter().map(move |w| ((w * inverse + 8.5).floor().min(15.0) - 8.0) * (largest / -8.0)).collect::<Vec<_>>()
    });
    StoredTensor { dtype: Dtype::F32, bytes: rounded.flat_map(f32::to_le_bytes).collect(), ..tensor.clone() }
}

#[test]
fn four_bits_change_answers_less_than_q4_0() {
    let vocab = case().expected.vocab;
    let expected = logits(&tiny(), &with(WeightFormat::F32));
    let checkpoint = CheckpointCopy::new();
    let is_rounded = |tensor: &StoredTensor| {
        tensor.shape.len() == 2 && !tensor.name.starts_with("visual.") && !tensor.name.contains("embed_tokens")
    };
    let tensors = checkpoint.tensors();
    assert!(tensors.iter().filter(|tensor| is_rounded(tensor)).count() > 10);
    let rounded = tensors.iter().map(|tensor| if is_rounded(tensor) { q4_0(tensor) } else { tensor.clone() });
    checkpoint.replace_weights(&rounded.collect::<Vec<_>>());
    let of_q4_0 = divergence(&logits(checkpoint.path(), &with(WeightFormat::Native)), &expected, vocab);
    let of_int4 = divergence(&logits(&tiny(), &with(WeightFormat::Int4)), &expected, vocab);
    let of_int8 = divergence(&logits(&tiny(), &with(WeightFormat::Int8)), &expected, vocab);
    assert!(of_int4 < of_q4_0, "{of_int4:e} where Q4_0 has {of_q4_0:e}");
    assert!(of_int8 < of_int4 / 10.0, "{of_int8:e} and {of_int4:e}");
}

#[test]
fn every_level_of_instructions_gives_the_same_model() {
    for weights in [WeightFormat::F32, WeightFormat::Native, WeightFormat::Int8, WeightFormat::Int4] {
        let expected = SimdLevel::Portable.force(|| logits(&tiny(), &with(weights)));
        for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            let error = relative_error(&level.force(|| logits(&tiny(), &with(weights))), &expected);
            // Of two codes that are equally near, sums in another order may choose the other: one part in 127 of an
            // activation, which counts in layers as narrow as these. The kernels alone agree to 3e-6.
            let bar = if matches!(weights, WeightFormat::Int4 | WeightFormat::Int8) { 6e-2 } else { TENSOR_TOLERANCE };
            assert!(error <= bar, "{weights:?} {level:?}: {error:e}");
        }
    }
}

#[cfg(feature = "ndarray")]
#[test]
fn rounded_weights_are_the_same_on_the_plain_backend() {
    for weights in [WeightFormat::Int8, WeightFormat::Int4] {
        let plain = logits(&tiny(), &with(weights).device("ndarray"));
        // Activations keep their precision there.
        let error = relative_error(&logits(&tiny(), &with(weights)), &plain);
        assert!(error <= 0.1, "{weights:?}: {error:e}");
        assert!(error > 1e-6, "{weights:?}: {error:e}: the same arithmetic?");
    }
}

#[test]
fn chunks_of_a_prompt_change_no_more_than_the_rounding_of_activations() {
    let model = Model::load(tiny(), &with(WeightFormat::Int4)).unwrap();
    let whole = prompt_logits(&model, &case(), usize::MAX).unwrap();
    let error = relative_error(&prompt_logits(&model, &case(), 7).unwrap(), &whole);
    assert!(error <= 6e-2, "{error:e}");
}

#[test]
fn a_tied_output_layer_is_rounded_and_the_embedding_is_not() {
    let checkpoint = CheckpointCopy::new();
    checkpoint.edit("config.json", |config| {
        let text = if config.get("text_config").is_some() { &mut config["text_config"] } else { &mut *config };
        text["tie_word_embeddings"] = true.into();
        config["tie_word_embeddings"] = true.into();
    });
    let exact = logits(checkpoint.path(), &with(WeightFormat::F32));
    assert!(relative_error(&exact, &logits(&tiny(), &with(WeightFormat::F32))) > 0.1, "the layer is another one now");
    let eight = relative_error(&logits(checkpoint.path(), &with(WeightFormat::Int8)), &exact);
    let four = relative_error(&logits(checkpoint.path(), &with(WeightFormat::Int4)), &exact);
    assert!(eight > 1e-4 && eight < 0.15 && four > eight && four < 0.6, "{eight:e} {four:e}");
}

#[test]
fn caches_of_half_precision_are_close() {
    let expected = logits(&tiny(), &with(WeightFormat::F32));
    let half = logits(&tiny(), &with(WeightFormat::F32).kv_cache_dtype(KvCacheDtype::F16));
    let error = relative_error(&half, &expected);
    assert!(error < 5e-3 && error > 1e-6, "{error:e}");
    let vocab = case().expected.vocab;
    let eight = logits(&tiny(), &with(WeightFormat::F32).kv_cache_dtype(KvCacheDtype::Int8));
    assert!(relative_error(&eight, &expected) > error, "eight bits are fewer than sixteen");
    let (of_cache, of_weights) = (
        divergence(&eight, &expected, vocab),
        divergence(&logits(&tiny(), &with(WeightFormat::Int4)), &expected, vocab),
    );
    assert!(of_cache < of_weights / 20.0, "{of_cache:e}, and {of_weights:e} of weights of four bits");
}

#[test]
fn a_cache_of_eight_bits_grows_and_is_cut() {
    let model = Model::load(tiny(), &with(WeightFormat::F32).kv_cache_dtype(KvCacheDtype::Int8)).unwrap();
    let cancel = CancelToken::new();
    let ids: Vec<u32> = (0..60).map(|id| id * 7 % 400).collect();
    let positions: Vec<[u32; 3]> = (0..60).map(|position| [position; 3]).collect();
    let segment = |from: usize, to: usize| PrefillInput {
        ids: &ids[from..to],
        positions: &positions[from..to],
        media: Vec::new(),
    };
    let mut plain = model.engine().sequence();
    plain.extend(&segment(0, 20), &cancel).unwrap();
    plain.extend(&segment(20, 30), &cancel).unwrap();
    let expected = plain.extend(&segment(30, 60), &cancel).unwrap();
    let mut grown = model.engine().sequence();
    grown.extend(&segment(0, 20), &cancel).unwrap();
    grown.reserve(100).unwrap();
    grown.extend(&segment(20, 50), &cancel).unwrap();
    grown.truncate(30);
    let given = grown.extend(&segment(30, 60), &cancel).unwrap();
    // Other tokens, which the cut took away, would change far more.
    assert!(relative_error(&given, &expected) < 2e-3, "{:e}", relative_error(&given, &expected));
}

#[test]
fn threads_change_nothing_but_the_time() {
    for weights in [WeightFormat::F32, WeightFormat::Int4] {
        let one = logits(&tiny(), &with(weights).threads(1));
        assert_eq!(one, logits(&tiny(), &with(weights).threads(3)), "{weights:?}");
    }
    for threads in [0, 1025] {
        let result = Model::load(tiny(), &LoadOptions::new().threads(threads));
        assert!(matches!(result, Err(Error::Option { option: "threads", .. })), "{threads}: {result:?}");
    }
}

#[test]
fn weights_that_are_not_numbers_are_refused_by_name() {
    let checkpoint = CheckpointCopy::new();
    let name = "model.layers.1.mlp.up_proj.weight";
    checkpoint.edit_tensor(name, |tensor| {
        let at = tensor.bytes.len() / 2;
        tensor.bytes[at..at + 2].copy_from_slice(&0x7fc0_u16.to_le_bytes());
    });
    match Model::load(checkpoint.path(), &with(WeightFormat::Int4)) {
        Err(Error::Tensor { name: named, reason }) => {
            assert_eq!(named, name);
            assert!(reason.contains("row"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn formats_have_names() {
    for weights in WeightFormat::ALL {
        assert_eq!(weights.name().parse::<WeightFormat>().unwrap(), weights);
    }
    for cache in KvCacheDtype::ALL {
        assert_eq!(cache.name().parse::<KvCacheDtype>().unwrap(), cache);
    }
    assert!(matches!("bf16".parse::<KvCacheDtype>(), Err(Error::Option { option: "kv_cache_dtype", .. })));
    let error = "int3".parse::<WeightFormat>().unwrap_err().to_string();
    assert!(error.contains("int3") && error.contains("int4"), "{error}");
}

#[test]
fn few_tokens_at_once_give_what_one_at_a_time_gives() {
    let cancel = CancelToken::new();
    let formats = [WeightFormat::Native, WeightFormat::F32, WeightFormat::Int8, WeightFormat::Int4];
    // Three and five heads of queries share one of keys.
    for (checkpoint, weights) in [tiny(), tiny_model()].iter().flat_map(|path| formats.map(|weights| (path, weights))) {
        for level in SimdLevel::ALL.into_iter().filter(|level| level.is_supported()) {
            level.force(|| {
                let model = Model::load(checkpoint, &LoadOptions::new().weights(weights)).unwrap();
                let started = || {
                    let (ids, positions) = ((0..70).collect::<Vec<u32>>(), (0..70).map(|p| [p; 3]).collect::<Vec<_>>());
                    let mut sequence = model.engine().sequence();
                    let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
                    sequence.extend(&segment, &cancel).unwrap();
                    sequence
                };
                let ids: Vec<u32> = (0..=MAX_DRAFT_TOKENS as u32).map(|id| 3 * id + 100).collect();
                let positions: Vec<[u32; 3]> = (70..).take(ids.len()).map(|position| [position; 3]).collect();
                let mut sequence = started();
                let single: Vec<f32> = ids
                    .iter()
                    .zip(&positions)
                    .flat_map(|(&id, position)| sequence.step(id, position[0], &cancel).unwrap())
                    .collect();
                let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
                let together = started().prefill(&segment, ids.len(), true, &cancel).unwrap();
                assert!(
                    single == together,
                    "{checkpoint:?} {weights:?} {level:?}: {:e}",
                    relative_error(&together, &single)
                );
            });
        }
    }
}
