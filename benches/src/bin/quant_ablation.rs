//! Quantization error by model part: `cargo run --release --bin quant_ablation -- [CHECKPOINT_DIR]`.
//!
//! Each part is quantized alone, to 8 and to 4 bits, and the predictions on synthetic scenes are compared with those of
//! the unquantized model. The remaining rows are the library's own policies and KV cache formats.

use std::path::PathBuf;
use std::process::ExitCode;

use burn::tensor::{Tensor, TensorData};
use mimo_vl_core::expert::{
    AttentionPart, Checkpoint, CheckpointSource, Codebook, Component, Divergence, Kernels, ModelInput, Patches,
    PrefillInput, QuantFormat, QuantizedWeight, TaskControl, TensorId, TensorRole, TensorSource, VisionLanguageModel,
    WithBackend, build_input, dispatch, merge_embeddings, preprocess_image, quantize_matrix,
};
use mimo_vl_core::{KvCacheDtype, LoadOptions, Message, Model, Result, Role, WeightFormat};
use mimo_vl_examples::shapes::fresh_question;
use mimo_vl_examples::tiny_model;

/// Number of scenes over which figures are averaged.
const SCENES: u64 = 24;

/// Predicate of the matrices of a part.
type IsPart = fn(TensorRole) -> bool;

/// Names of the parts and their matrices; a product of several is known by the first.
const PARTS: [(&str, IsPart); 7] = [
    ("vision blocks, attention", |role| matches!(role, TensorRole::VisionAttention(_))),
    ("vision blocks, MLP", |role| matches!(role, TensorRole::VisionMlp(_))),
    ("projector", |role| matches!(role, TensorRole::Projector(_))),
    ("layers, query key value", |role| role == TensorRole::Attention(AttentionPart::Query)),
    ("layers, attention output", |role| role == TensorRole::Attention(AttentionPart::Output)),
    ("layers, MLP", |role| matches!(role, TensorRole::Mlp(_))),
    ("output layer", |role| matches!(role, TensorRole::Head | TensorRole::Embedding)),
];

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).map_or_else(tiny_model, PathBuf::from);
    match dispatch("cpu", Compare { directory }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quant_ablation: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Source that quantizes one part only. With `four`, this includes parts that the library's policy keeps at 8 bits.
struct OnePart<'a, B: Kernels> {
    dense: CheckpointSource<'a, B>,
    quantized: CheckpointSource<'a, B>,
    is_part: IsPart,
    four: bool,
}

impl<B: Kernels> TensorSource<B> for OnePart<'_, B> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        self.dense.tensor(id, shape)
    }

    fn quantized(&self, matrices: &[(TensorId, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        let role = matrices[0].0.role;
        if !(self.is_part)(role) {
            return Ok(None);
        }
        if self.four && role.component() != Component::Language {
            return self.four_bits(matrices, width).map(Some);
        }
        self.quantized.quantized(matrices, width)
    }
}

impl<B: Kernels> OnePart<'_, B> {
    /// Quantizes matrices to 4 bits, irrespective of the policy.
    fn four_bits(&self, matrices: &[(TensorId, usize)], width: usize) -> Result<QuantizedWeight<B>> {
        let mut values: Vec<f32> = Vec::new();
        for &(id, rows) in matrices {
            let tensor = self.dense.tensor(id, [rows, width])?;
            values.extend(tensor.into_data().iter::<f32>());
        }
        let rows = values.len() / width;
        let format = QuantFormat { codebook: Codebook::Normal4, group: 64 };
        let (data, _) = quantize_matrix([rows, width], format, |row, output| {
            output.copy_from_slice(&values[row * width..][..width])
        })
        .expect("the weights of a checkpoint are finite");
        Ok(QuantizedWeight::new(data, &B::Device::default()))
    }
}

struct Scene {
    text: String,
    input: ModelInput,
    patches: Patches,
}

struct Compare {
    directory: PathBuf,
}

impl WithBackend for Compare {
    type Output = ();

    fn run<B: Kernels>(self, device: B::Device) -> Result<()> {
        let checkpoint = Checkpoint::open(&self.directory)?;
        let model = Model::load(&self.directory, &LoadOptions::new())?;
        let (config, vocab) = (model.config().clone(), model.config().text.vocab_size);
        let scenes: Vec<Scene> = (0..SCENES).map(|index| scene(&model, index)).collect::<Result<_>>()?;
        let logits = |network: &VisionLanguageModel<B>, scene: &Scene| {
            let cancel = TaskControl::default();
            let Scene { input, patches, .. } = scene;
            let pixels = &patches.pixels;
            let features = network.features(pixels, &[patches.grid], model.preprocess_config(), &device, &cancel)?;
            let embedded = network.language().embed(&input.ids, &device);
            let x = merge_embeddings(embedded, features, &input.placeholders);
            let hidden = network.language().forward(x, &input.positions, 1, &mut [], &cancel)?;
            let data: TensorData = network.language().logits(hidden).into_data();
            Ok(data.iter::<f32>().collect::<Vec<f32>>())
        };
        let source = |weights| checkpoint.source::<B>(weights, &device);
        let dense = VisionLanguageModel::load(&source(WeightFormat::F32), &config)?;
        let expected: Vec<Vec<f32>> = scenes.iter().map(|scene| logits(&dense, scene)).collect::<Result<_>>()?;
        let report = |name: &str, logits: &dyn Fn(&Scene) -> Result<Vec<f32>>| -> Result<()> {
            let (mut divergence, mut top1, mut tokens) = (0.0, 0.0, 0.0);
            for (scene, expected) in scenes.iter().zip(&expected) {
                let scene_divergence = Divergence::new(&scene.text, &logits(scene)?, expected, vocab);
                divergence += scene_divergence.divergence * scene_divergence.tokens as f64;
                top1 += scene_divergence.top1 * scene_divergence.tokens as f64;
                tokens += scene_divergence.tokens as f64;
            }
            println!("| {name} | {:.1e} | {:.1} % |", divergence / tokens, 100.0 * top1 / tokens);
            Ok(())
        };
        println!("| quantized | divergence, nats | same next token |\n|---|---:|---:|");
        for (bits, weights) in [(8, WeightFormat::Int8), (4, WeightFormat::Int4)] {
            for (name, is_part) in PARTS {
                let four = weights == WeightFormat::Int4;
                let part = OnePart { dense: source(WeightFormat::F32), quantized: source(weights), is_part, four };
                let network = VisionLanguageModel::load(&part, &config)?;
                report(&format!("{name}: {bits} bits"), &|scene| logits(&network, scene))?;
            }
            let network = VisionLanguageModel::load(&source(weights), &config)?;
            report(&format!("policy of {}", weights.name()), &|scene| logits(&network, scene))?;
        }
        for cache in [KvCacheDtype::F16, KvCacheDtype::Int8] {
            let options = LoadOptions::new().weights(WeightFormat::F32).kv_cache_dtype(cache);
            let cached = Model::load(&self.directory, &options)?;
            report(&format!("KV cache in {}", cache.name()), &|scene| prefill(&cached, scene))?;
        }
        Ok(())
    }
}

/// The logits of all tokens, computed in chunks through the KV cache, so that later chunks read cached keys and values.
fn prefill(model: &Model, scene: &Scene) -> Result<Vec<f32>> {
    let cancel = TaskControl::default();
    let features = model.engine().encode(&scene.patches, &cancel)?;
    let ModelInput { ids, positions, placeholders, .. } = &scene.input;
    let media = placeholders.iter().map(|range| (range.clone(), &features)).collect();
    model.engine().sequence().prefill(&PrefillInput { ids, positions, media }, 16, true, &cancel)
}

/// Builds the input of a synthetic scene with a prompt.
fn scene(model: &Model, index: u64) -> Result<Scene> {
    let (image, question) = fresh_question(4242, index)?;
    let patches = preprocess_image(&image, model.preprocess_config())?;
    let messages = [Message::new(Role::User).image(image).text(&question.text)];
    let ids = model.template().encode(model.tokenizer(), &messages, true)?;
    let config = model.config();
    let input = build_input(&ids, &[(patches.grid, None)], &config.tokens, config.vision.tokens_per_second)?;
    Ok(Scene { text: question.text, input, patches })
}
