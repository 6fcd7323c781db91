//! The [`Engine`] on a Burn backend: loads the network and runs it on one device.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use burn::tensor::{DType, Tensor, TensorData};

use super::backend::{WithBackend, dispatch};
use super::engine::{Engine, Features, PrefillInput, Sequence, Step};
use super::inputs::PlaceholderRange;
use super::language::{KvCache, KvCacheDtype};
use super::merge::merge_embeddings;
use super::network::VisionLanguageModel;
use crate::cancel::{Stage, TaskControl};
use crate::checkpoint::{Checkpoint, QuantizedWriter, WeightFormat, check_memory};
use crate::config::{ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
use crate::kernels::{Kernels, cores, release_buffers, with_threads};
use crate::preprocess::{Grid, Patches};

/// Maximum of the option `threads`.
const MAX_THREADS: usize = 1024;

/// Largest decode batch. Up to 8 rows the kernels are batch-invariant: a row's result does not depend on the other
/// rows.
const MAX_DECODE_BATCH: usize = 8;

/// Maximum patches of several images and videos that one pass encodes; a single one may have more.
pub(crate) const MAX_ENCODE_PATCHES: usize = 8192;

/// Options of [`load_engine`].
#[derive(Debug, Clone, Copy)]
pub struct EngineOptions<'a> {
    /// Device: `cpu`, `ndarray` or `cuda:N`.
    pub device: &'a str,
    /// Number format of the weights.
    pub weights: WeightFormat,
    /// Number format of the KV cache.
    pub kv_cache_dtype: KvCacheDtype,
    /// Threads of the native kernels on the CPU and of quantization, 1 to 1,024; `None` for one per physical core.
    pub threads: Option<usize>,
    /// Cancellation, time limit and progress of the loading.
    pub control: &'a TaskControl,
    /// Writes the quantized weights to a file, too.
    pub writer: Option<&'a RefCell<QuantizedWriter>>,
}

/// Loads a checkpoint onto a device.
///
/// # Errors
/// [`Error::Memory`] when the weights do not fit; [`Error::Cancelled`] and [`Error::Timeout`] by the control;
/// [`Error::Device`] when the device cannot be used; [`Error::Tensor`] when a tensor is missing or has a wrong shape;
/// [`Error::Option`] when an option is out of its range.
pub fn load_engine(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    preprocess: &PreprocessConfig,
    options: EngineOptions<'_>,
) -> Result<Box<dyn Engine>> {
    if let Some(threads) = options.threads.filter(|threads| !(1..=MAX_THREADS).contains(threads)) {
        return Err(Error::option("threads", format!("{threads}; it must lie between 1 and {MAX_THREADS}")));
    }
    dispatch(options.device, Load { checkpoint, config, preprocess, options })
}

struct Load<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    preprocess: &'a PreprocessConfig,
    options: EngineOptions<'a>,
}

impl WithBackend for Load<'_> {
    type Output = Box<dyn Engine>;

    fn run<B: Kernels>(self, device: B::Device) -> Result<Self::Output> {
        let EngineOptions { device: name, weights, kv_cache_dtype, threads, control, writer } = self.options;
        let threads = threads.unwrap_or_else(cores);
        let on_host = !name.starts_with("cuda");
        let half_floats = B::supports_dtype(&device, DType::BF16);
        let weight_bytes = self.checkpoint.bytes_in_memory(weights, half_floats);
        if on_host {
            check_memory("the weights", weight_bytes)?;
        }
        let model = guarded(threads, || {
            let source = self.checkpoint.source::<B>(weights, &device).control(control).writer(writer);
            VisionLanguageModel::load(&source, self.config)
        })?;
        Ok(Box::new(BackendEngine {
            shared: Arc::new(Shared { model, device, on_host, kv_cache_dtype, threads }),
            config: self.config.clone(),
            preprocess: self.preprocess.clone(),
            weight_bytes,
        }))
    }
}

struct BackendEngine<B: Kernels> {
    shared: Arc<Shared<B>>,
    config: ModelConfig,
    preprocess: PreprocessConfig,
    weight_bytes: u64,
}

impl<B: Kernels> BackendEngine<B> {
    /// Decodes one token of at most [`MAX_DECODE_BATCH`] sequences in one pass.
    fn decode_one_batch(
        &self,
        sequences: &mut [&mut CachedSequence<B>],
        ids: &[u32],
        positions: &[u32],
        control: &TaskControl,
    ) -> Result<Vec<Vec<f32>>> {
        let Shared { model, device, .. } = &*self.shared;
        let language = model.language();
        for sequence in sequences.iter_mut() {
            let needed = sequence.cache.len() + 1;
            language.reserve(&mut sequence.cache, needed, device);
        }
        let positions: Vec<[u32; 3]> = positions.iter().map(|&position| [position; 3]).collect();
        let mut caches: Vec<&mut KvCache<B>> = sequences.iter_mut().map(|sequence| &mut sequence.cache).collect();
        let x = language.embed(ids, device);
        let logits = to_host(language.logits(language.forward(x, &positions, ids.len(), &mut caches, control)?))?;
        Ok(logits.chunks_exact(logits.len() / ids.len()).map(<[f32]>::to_vec).collect())
    }

    /// Computes the features of images and videos in one pass.
    fn encode_batch(&self, patches: &[&Patches], control: &TaskControl) -> Result<Vec<Features>> {
        let grids: Vec<Grid> = patches.iter().map(|patches| patches.grid).collect();
        let concatenated;
        let pixels = match patches {
            [single] => &single.pixels,
            several => {
                concatenated = several.iter().map(|patches| patches.pixels.as_slice()).collect::<Vec<_>>().concat();
                &concatenated
            }
        };
        guarded(self.shared.threads, || {
            let Shared { model, device, .. } = &*self.shared;
            let features = model.features(pixels, &grids, &self.preprocess, device, control)?;
            let width = features.dims()[1];
            let values = to_host(features)?;
            let mut start = 0;
            let split = grids.iter().map(|grid| {
                let end = start + grid.tokens() * width;
                let values = values[start..end].to_vec();
                start = end;
                Features { values, width }
            });
            Ok(split.collect())
        })
    }
}

/// State that an engine and its sequences share.
struct Shared<B: Kernels> {
    model: VisionLanguageModel<B>,
    device: B::Device,
    /// The device's memory is main memory.
    on_host: bool,
    kv_cache_dtype: KvCacheDtype,
    threads: usize,
}

impl<B: Kernels> Engine for BackendEngine<B> {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn encode_all(&self, patches: &[&Patches], control: &TaskControl) -> Result<Vec<Features>> {
        let mut all = Vec::with_capacity(patches.len());
        while let Some(first) = patches.get(all.len()) {
            let mut rows = first.grid.patches();
            let mut batch = vec![*first];
            for next in &patches[all.len() + 1..] {
                rows += next.grid.patches();
                if rows > MAX_ENCODE_PATCHES {
                    break;
                }
                batch.push(next);
            }
            all.extend(self.encode_batch(&batch, control)?);
        }
        Ok(all)
    }

    fn sequence(&self) -> Box<dyn Sequence> {
        let cache = self.shared.model.language().cache(self.shared.kv_cache_dtype);
        Box::new(CachedSequence { cache, shared: Arc::clone(&self.shared) })
    }

    fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    fn cache_bytes(&self, tokens: usize) -> u64 {
        let Shared { model, device, kv_cache_dtype, .. } = &*self.shared;
        model.language().growth(&model.language().cache(*kv_cache_dtype), tokens, device)
    }

    fn is_on_host(&self) -> bool {
        self.shared.on_host
    }

    fn decode_batch(&self, steps: &mut [Step<'_>], control: &TaskControl) -> Result<Vec<Vec<f32>>> {
        let (ids, positions): (Vec<u32>, Vec<u32>) = steps.iter().map(|step| (step.id, step.position)).unzip();
        let sequences = steps.iter_mut().map(|step| step.sequence.as_any().downcast_mut::<CachedSequence<B>>());
        let sequences: Option<Vec<_>> = sequences.collect();
        let mut sequences = sequences.ok_or_else(|| Error::internal("a sequence of another engine"))?;
        let mut logits = Vec::with_capacity(ids.len());
        for first in (0..ids.len()).step_by(MAX_DECODE_BATCH) {
            let batch = first..(first + MAX_DECODE_BATCH).min(ids.len());
            let result = guarded(self.shared.threads, || {
                self.decode_one_batch(
                    &mut sequences[batch.clone()],
                    &ids[batch.clone()],
                    &positions[batch.clone()],
                    control,
                )
            });
            match result {
                Ok(rows) => logits.extend(rows),
                Err(error) => {
                    // The earlier batches have appended their tokens.
                    for sequence in &mut sequences[..first] {
                        sequence.cache.truncate(sequence.cache.len() - 1);
                    }
                    return Err(error);
                }
            }
        }
        Ok(logits)
    }
}

struct CachedSequence<B: Kernels> {
    shared: Arc<Shared<B>>,
    cache: KvCache<B>,
}

impl<B: Kernels> CachedSequence<B> {
    fn embeddings(&self, input: &PrefillInput<'_>) -> Tensor<B, 2> {
        let Shared { model, device, .. } = &*self.shared;
        let embeddings = model.language().embed(input.ids, device);
        if input.media.is_empty() {
            return embeddings;
        }
        let width = embeddings.dims()[1];
        let ranges: Vec<PlaceholderRange> = input.media.iter().map(|(range, _)| range.clone()).collect();
        let features: Vec<f32> = input.media.iter().flat_map(|(_, features)| &features.values).copied().collect();
        let rows = features.len() / width;
        merge_embeddings(embeddings, Tensor::from_data(TensorData::new(features, [rows, width]), device), &ranges)
    }

    fn run(
        &mut self,
        input: &PrefillInput<'_>,
        chunk: usize,
        all_logits: bool,
        control: &TaskControl,
    ) -> Result<Vec<f32>> {
        let (len, chunk) = (input.ids.len(), chunk.max(1));
        let embeddings = self.embeddings(input);
        let Shared { model, device, .. } = &*self.shared;
        let needed = self.cache.len() + len;
        model.language().reserve(&mut self.cache, needed, device);
        let mut logits = Vec::new();
        for start in (0..len).step_by(chunk) {
            let count = chunk.min(len - start);
            let x = embeddings.clone().narrow(0, start, count);
            let positions = &input.positions[start..start + count];
            let hidden = model.language().forward(x, positions, 1, &mut [&mut self.cache], control)?;
            if all_logits {
                logits.extend(to_host(model.language().logits(hidden))?);
                continue;
            }
            if start + count == len {
                logits = to_host(model.language().logits(hidden.narrow(0, count - 1, 1)))?;
            }
            control.report(Stage::Prefill, (start + count) as u64, len as u64);
        }
        Ok(logits)
    }
}

impl<B: Kernels> Sequence for CachedSequence<B> {
    fn len(&self) -> usize {
        self.cache.len()
    }

    fn reserve(&mut self, tokens: usize) -> Result<()> {
        if self.shared.on_host {
            check_memory("the KV cache", self.growth(tokens))?;
        }
        guarded(self.shared.threads, || {
            self.shared.model.language().reserve(&mut self.cache, tokens, &self.shared.device);
            Ok(())
        })
    }

    fn bytes(&self) -> u64 {
        self.shared.model.language().cache_bytes(&self.cache, &self.shared.device)
    }

    fn growth(&self, tokens: usize) -> u64 {
        self.shared.model.language().growth(&self.cache, tokens, &self.shared.device)
    }

    fn truncate(&mut self, len: usize) {
        self.cache.truncate(len);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }

    fn fork(&self) -> Box<dyn Sequence> {
        Box::new(Self { shared: Arc::clone(&self.shared), cache: self.cache.clone() })
    }

    fn prefill(
        &mut self,
        input: &PrefillInput<'_>,
        chunk: usize,
        all_logits: bool,
        control: &TaskControl,
    ) -> Result<Vec<f32>> {
        check_input(input)?;
        let before = self.cache.len();
        let result = guarded(self.shared.threads, || self.run(input, chunk, all_logits, control));
        if result.is_err() {
            self.cache.truncate(before);
        }
        result
    }
}

/// Runs `work` with this many threads. A panic in the tensor library is a defect of this library: it becomes an error,
/// and the process continues.
fn guarded<T>(threads: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let result = catch_unwind(AssertUnwindSafe(|| with_threads(threads, work)));
    release_buffers();
    result.unwrap_or_else(|panic| Err(Error::panicked(&*panic)))
}

fn to_host<B: Kernels, const D: usize>(tensor: Tensor<B, D>) -> Result<Vec<f32>> {
    let data = tensor.try_into_data().map_err(|error| Error::internal(format!("reading a tensor back: {error:?}")))?;
    data.into_vec().map_err(|error| Error::internal(format!("reading a tensor back: {error:?}")))
}

/// Checks that positions, placeholders and features match the tokens. Otherwise the tensor library would panic or read
/// the wrong rows.
fn check_input(input: &PrefillInput<'_>) -> Result<()> {
    let tokens = input.ids.len();
    if tokens == 0 {
        return Err(Error::prompt("it has no tokens"));
    }
    if input.positions.len() != tokens {
        return Err(Error::prompt(format!("{} positions for {tokens} tokens", input.positions.len())));
    }
    for (range, features) in &input.media {
        let rows = features.values.len() / features.width.max(1);
        if rows != range.len || range.start + range.len > tokens {
            return Err(Error::prompt(format!("{rows} features for {range:?} of {tokens} tokens")));
        }
    }
    Ok(())
}
