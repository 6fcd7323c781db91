//! Benchmarks of the full model at the size of MiMo-VL-7B, stage by stage; the implementation of `bench_7b`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use burn::tensor::{DType, Tensor};
use mimo_vl_core::expert::{
    Checkpoint, Component, Kernels, MAX_DRAFT_TOKENS, Mask, PrefillInput, QuantizedMatrix, QuantizedWeight, Sequence,
    Step, TaskControl, TensorId, TensorRole, TensorSource, WithBackend, cores, dispatch, preprocess_image,
};
use mimo_vl_core::{
    GenerateOptions, Image, LoadOptions, Model, Prompt, QuantizationReport, Thinking, WeightFormat, quantize,
};

use crate::checkpoint::{Depth, write_random};
use crate::roofline::{peak_int8_ops, read_bandwidth};
use crate::{machine, noise};

/// Decode steps per measurement, of which the median counts.
const STEPS: usize = 24;
/// Tokens of one step that checks the largest number of draft tokens; also the size of the measured decode batch.
const DRAFT_STEP_TOKENS: usize = MAX_DRAFT_TOKENS + 1;
/// Context length with which peak memory is measured, in tokens.
const CONTEXT: usize = 2048;

/// Names of the benchmarks, as `--only` accepts them.
pub const PARTS: [&str; 4] = ["vision", "prefill", "decode", "end_to_end"];

const USAGE: &str = "usage: bench_7b [OPTION]...

Benchmark a checkpoint with the shapes of MiMo-VL-7B and 4-bit weights.

  --model DIR            quantized checkpoint (default: one with random weights, created once)
  --layers N             language model layers of the created checkpoint (default: 36)
  --vision-layers N      vision tower blocks of the created checkpoint (default: 32)
  --only PART            vision, prefill, decode or end_to_end; may be repeated (default: all)
  --rounds N             measurements per figure, of which the median is printed (default: 5)
  --threads N            number of threads (default: number of physical cores)
  --help                 print this text
";

struct Bench {
    directory: PathBuf,
    model: Model,
    report: QuantizationReport,
    threads: usize,
    rounds: usize,
}

type Outcome = Result<(), Box<dyn Error>>;

/// Runs the benchmarks with the given command line arguments; `parts` are the default of `--only`.
///
/// # Errors
/// For unknown arguments, and errors of the library.
pub fn run(arguments: impl Iterator<Item = String>, parts: &[&str]) -> Outcome {
    let mut depth = Depth { language: 36, vision: 32 };
    let (mut directory, mut rounds, mut threads) = (None, 5, cores());
    let mut only: Vec<String> = Vec::new();
    // `cargo bench` adds this argument.
    let mut arguments = arguments.filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--model" => directory = Some(PathBuf::from(value()?)),
            "--layers" => depth.language = value()?.parse()?,
            "--vision-layers" => depth.vision = value()?.parse()?,
            "--only" => only.push(value()?),
            "--rounds" => rounds = value()?.parse::<usize>()?.max(1),
            "--threads" => threads = value()?.parse()?,
            "--first-token" => return first_token(Path::new(&value()?), threads),
            "--help" => {
                print!("{USAGE}");
                return Ok(());
            }
            other => return Err(format!("unknown option {other}\n\n{USAGE}").into()),
        }
    }
    let directory = match directory {
        Some(directory) => directory,
        None => random_checkpoint(depth, threads)?,
    };
    let model = Model::load(&directory, &LoadOptions::new().threads(threads))?;
    let report =
        model.quantization_report().ok_or("the checkpoint is not quantized: use one that `quantize` wrote")?.clone();
    println!("{}, {threads} threads, median of {rounds}", machine());
    figure("load", model.load_time().as_secs_f64(), "s", "warm file cache");
    let bench = Bench { directory, model, report, threads, rounds };
    let is_selected =
        |part: &str| if only.is_empty() { parts.contains(&part) } else { only.iter().any(|name| name == part) };
    if is_selected("vision") {
        bench.vision(448)?;
        bench.vision(1008)?;
    }
    if is_selected("prefill") {
        bench.prefill(512)?;
        bench.prefill(1024)?;
    }
    if is_selected("decode") {
        bench.decode(0)?;
        bench.decode(1024)?;
    }
    if is_selected("end_to_end") {
        bench.end_to_end()?;
    }
    Ok(())
}

/// The checkpoint with random weights, quantized to 4 bits; created on first use.
fn random_checkpoint(depth: Depth, threads: usize) -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench_7b");
    let name = format!("{}-{}", depth.language, depth.vision);
    let (dense, quantized) = (folder.join(format!("{name}-bf16")), folder.join(format!("{name}-int4")));
    if !quantized.join("model.safetensors").exists() {
        if !dense.join("model.safetensors").exists() {
            println!("creating {}", dense.display());
            write_random(&dense, depth)?;
        }
        println!("quantizing to {}", quantized.display());
        let start = Instant::now();
        let options = LoadOptions::new().weights(WeightFormat::Int4).threads(threads);
        quantize(&dense, &quantized, &options, &[])?;
        figure("quantize", start.elapsed().as_secs_f64(), "s", "including writing");
    }
    Ok(quantized)
}

fn figure(name: &str, value: f64, unit: &str, note: &str) {
    println!("{name:28} {value:10.3} {unit:9} {note}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}

fn noise_image(side: usize) -> Result<Image, Box<dyn Error>> {
    let pixels: Vec<u8> = noise(side as u64, side * side * 3).iter().map(|x| (x * 127.0 + 128.0) as u8).collect();
    Ok(Image::from_rgb(u32::try_from(side)?, u32::try_from(side)?, 3 * side, &pixels)?)
}

/// True for the matrices of the language model's layers.
fn is_layer(role: TensorRole) -> bool {
    matches!(role, TensorRole::Attention(_) | TensorRole::Mlp(_))
}

impl Bench {
    /// The products whose matrices satisfy a predicate.
    fn products(&self, is_part: impl Fn(TensorRole) -> bool) -> impl Iterator<Item = &QuantizedMatrix> {
        self.report.matrices.iter().filter(move |matrix| matrix.role().is_some_and(&is_part))
    }

    /// Number of weights of these products.
    fn weights(&self, is_part: impl Fn(TensorRole) -> bool) -> usize {
        self.products(is_part).map(|matrix| matrix.rows.iter().sum::<usize>() * matrix.width).sum()
    }

    /// Describes a throughput in operations per second, with its share of the peak.
    fn share(&self, operations: f64) -> String {
        match peak_int8_ops(self.threads) {
            Some(peak) => {
                format!(
                    "{:.2} TOP/s, {:.0} % of the peak of int8 products",
                    operations / 1e12,
                    100.0 * operations / peak
                )
            }
            None => format!("{:.2} TOP/s", operations / 1e12),
        }
    }

    fn vision(&self, side: usize) -> Outcome {
        let (model, cancel) = (&self.model, TaskControl::default());
        let patches = preprocess_image(&noise_image(side)?, model.preprocess_config())?;
        let small = preprocess_image(&noise_image(112)?, model.preprocess_config())?;
        model.engine().encode(&small, &cancel)?;
        let mut times = Vec::new();
        for _ in 0..self.rounds {
            let (features, time) = timed(|| model.engine().encode(&patches, &cancel));
            features?;
            times.push(time);
        }
        let (time, rows) = (median(times), patches.grid.patches() as f64);
        let vision = &model.config().vision;
        let full = vision.fullatt_block_indexes.len() as f64;
        let seen = full * rows + (vision.depth as f64 - full) * 64.0;
        let of = |component| self.weights(|role| role.component() == component) as f64;
        let products = rows * of(Component::Vision) + rows / 4.0 * of(Component::Projector);
        let operations = 2.0 * products + 4.0 * rows * seen * vision.hidden_size as f64;
        figure(&format!("image {side}²"), time, "s", &self.share(operations / time));
        Ok(())
    }

    fn prefill(&self, tokens: usize) -> Outcome {
        let (ids, positions) = self.tokens(0, tokens);
        self.sequence(4)?;
        let mut times = Vec::new();
        for _ in 0..self.rounds {
            let mut sequence = self.model.engine().sequence();
            sequence.reserve(tokens)?;
            let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
            let (logits, time) = timed(|| sequence.extend(&segment, &TaskControl::default()));
            logits?;
            times.push(time);
        }
        let (time, rows) = (median(times), tokens as f64);
        let text = &self.model.config().text;
        let attention = 2.0 * rows * rows * (text.num_hidden_layers * text.num_attention_heads * text.head_dim) as f64;
        let operations = 2.0 * rows * self.weights(is_layer) as f64 + attention;
        let note = self.share(operations / time);
        figure(&format!("prefill {tokens}"), rows / time, "tokens/s", &note);
        Ok(())
    }

    fn decode(&self, cached: usize) -> Outcome {
        let text = &self.model.config().text;
        let mut sequence = self.sequence(cached.max(1))?;
        sequence.reserve(cached + (self.rounds + 2) * (STEPS + 1) + DRAFT_STEP_TOKENS)?;
        let products = self.products(|role| is_layer(role) || role == TensorRole::Head);
        let bytes: usize = products.map(|matrix| matrix.format.bytes(matrix.rows.iter().sum(), matrix.width)).sum();
        let cache = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * cached;
        let bytes = (bytes + cache) as f64;
        let (mut times, mut shares, mut speeds) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let before = read_bandwidth(self.threads);
            let steps = (0..STEPS).map(|_| step(&mut *sequence));
            let time = median(steps.collect::<Result<_, _>>()?);
            let bandwidth = (before + read_bandwidth(self.threads)) / 2.0;
            times.push(time);
            shares.push(bytes / time / bandwidth);
            speeds.push(bandwidth);
        }
        let (time, speed) = (median(times), median(speeds));
        let note = format!(
            "{:.1} GB/s, {:.0} % of the read bandwidth of {:.1}",
            bytes / time / 1e9,
            100.0 * median(shares),
            speed / 1e9
        );
        figure(&format!("decode, {cached} cached"), 1.0 / time, "tokens/s", &note);
        let (ids, positions) = self.tokens(sequence.len(), DRAFT_STEP_TOKENS);
        let mut ratios = Vec::new();
        for _ in 0..self.rounds {
            let len = sequence.len();
            let single = step(&mut *sequence)?;
            let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
            let (logits, time) = timed(|| sequence.prefill(&segment, DRAFT_STEP_TOKENS, true, &TaskControl::default()));
            logits?;
            sequence.truncate(len);
            ratios.push(time / single);
        }
        figure(
            &format!("draft check, {cached} cached"),
            median(ratios),
            "steps",
            &format!("one step of {DRAFT_STEP_TOKENS} tokens, in single-token steps"),
        );
        figure(
            &format!("batch of {DRAFT_STEP_TOKENS}, {cached} cached"),
            self.batch(cached)?,
            "tokens/s",
            "all sequences together",
        );
        if self.threads == cores() {
            let overhead = dispatch("cpu", Overhead { bench: self, cached, sequence: &mut *sequence })?;
            figure(
                &format!("step overhead, {cached} cached"),
                100.0 * overhead,
                "%",
                "share of a decode step outside of products and attention",
            );
        }
        Ok(())
    }

    /// Tokens per second of a decode batch, each sequence with `cached` tokens.
    fn batch(&self, cached: usize) -> Result<f64, Box<dyn Error>> {
        let first = self.sequence(cached.max(1))?;
        let mut sequences: Vec<Box<dyn Sequence>> = (0..DRAFT_STEP_TOKENS).map(|_| first.fork()).collect();
        for sequence in &mut sequences {
            sequence.reserve(cached + self.rounds + 2)?;
        }
        let mut times = Vec::new();
        for _ in 0..self.rounds + 1 {
            let mut steps: Vec<Step<'_>> = sequences
                .iter_mut()
                .map(|sequence| {
                    let position = sequence.len() as u32;
                    Step { sequence: &mut **sequence, id: position % 1000, position }
                })
                .collect();
            let (logits, time) = timed(|| self.model.engine().decode_batch(&mut steps, &TaskControl::default()));
            logits?;
            times.push(time);
        }
        // The first step copies the tensors that the forks shared.
        times.remove(0);
        Ok(DRAFT_STEP_TOKENS as f64 / median(times))
    }

    /// Time from process start to the first token, and peak memory.
    fn end_to_end(&self) -> Outcome {
        let (mut times, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let mut child = Command::new(std::env::current_exe()?);
            child.args(["--threads", &self.threads.to_string(), "--first-token"]).arg(&self.directory);
            let (output, time) = timed(|| child.output());
            let output = output?;
            if !output.status.success() {
                return Err(String::from_utf8_lossy(&output.stderr).into());
            }
            times.push(time);
            peaks.push(String::from_utf8(output.stdout)?.trim().parse::<f64>()?);
        }
        figure("first token", median(times), "s", "448² image, 64 tokens of text, from process start");
        figure(
            "peak memory",
            median(peaks) / 1e9,
            "GB",
            &format!("of the same run, with a cache for {CONTEXT} tokens"),
        );
        Ok(())
    }

    fn tokens(&self, start: usize, count: usize) -> (Vec<u32>, Vec<[u32; 3]>) {
        let vocab = self.model.config().text.vocab_size;
        let at = |index: usize| (start + index) as u32;
        (
            (0..count).map(|index| ((index * 7919) % vocab) as u32).collect(),
            (0..count).map(|index| [at(index); 3]).collect(),
        )
    }

    fn sequence(&self, tokens: usize) -> Result<Box<dyn Sequence>, Box<dyn Error>> {
        let (ids, positions) = self.tokens(0, tokens);
        let mut sequence = self.model.engine().sequence();
        sequence
            .extend(&PrefillInput { ids: &ids, positions: &positions, media: Vec::new() }, &TaskControl::default())?;
        Ok(sequence)
    }
}

/// Time of one decode step, in seconds.
fn step(sequence: &mut dyn Sequence) -> Result<f64, mimo_vl_core::Error> {
    let position = sequence.len() as u32;
    let (logits, time) = timed(|| sequence.step(position % 1000, position, &TaskControl::default()));
    logits.map(|_| time)
}

/// Measures the share of a decode step outside of products and attention, by timing full steps and the same products
/// and attention alone in turn.
struct Overhead<'a> {
    bench: &'a Bench,
    cached: usize,
    sequence: &'a mut dyn Sequence,
}

impl WithBackend for Overhead<'_> {
    type Output = f64;

    fn run<B: Kernels>(self, device: B::Device) -> mimo_vl_core::Result<f64> {
        let text = &self.bench.model.config().text;
        let checkpoint = Checkpoint::open(&self.bench.directory)?;
        let source = checkpoint.source::<B>(WeightFormat::Native, &device);
        let mut products: Vec<(QuantizedWeight<B>, Tensor<B, 2>)> = Vec::new();
        for matrix in self.bench.products(|role| is_layer(role) || role == TensorRole::Head) {
            let ids = matrix.names.iter().filter_map(|name| TensorId::parse(name));
            let parts: Vec<(TensorId, usize)> = ids.zip(matrix.rows.iter().copied()).collect();
            let x = Tensor::ones([1, matrix.width], &device);
            products.extend(source.quantized(&parts, matrix.width)?.map(|quantized| (quantized, x)));
        }
        let cached = [1, text.num_key_value_heads, self.cached + 1, text.head_dim];
        let cache = || Tensor::<B, 4>::ones(cached, (&device, DType::F16));
        let caches: Vec<_> = (0..text.num_hidden_layers).map(|_| (cache(), cache())).collect();
        let q = Tensor::<B, 4>::ones([1, text.num_attention_heads, 1, text.head_dim], &device);
        let mut shares = Vec::new();
        for _ in 0..STEPS {
            let total = step(self.sequence)?;
            let ((), parts) = timed(|| {
                for (quantized, x) in &products {
                    // Only the product of gate and up has this many rows.
                    match quantized.dims()[0] == 2 * text.intermediate_size {
                        true => drop(B::gated_quantized(x.clone(), quantized, None)),
                        false => drop(B::linear_quantized(x.clone(), quantized, None)),
                    }
                }
                for (keys, values) in &caches {
                    let mask = Mask::Causal { offset: self.cached };
                    drop(<B as Kernels>::attention(q.clone(), keys.clone(), values.clone(), mask));
                }
            });
            shares.push((total - parts) / total);
        }
        Ok(median(shares))
    }
}

/// Child process of [`Bench::end_to_end`]: prints its peak memory after the first token.
fn first_token(directory: &Path, threads: usize) -> Outcome {
    let model = Model::load(directory, &LoadOptions::new().threads(threads).max_context(CONTEXT))?;
    let text = (0..60).map(|index| ["a", "is", "the", "on"][index % 4]).collect::<Vec<_>>().join(" ");
    let prompt = Prompt::user().image(noise_image(448)?).text(text).thinking(Thinking::Off);
    let mut session = model.session();
    let mut stream = session.stream(&prompt, &GenerateOptions::new().max_tokens(CONTEXT))?;
    stream.next().transpose()?;
    println!("{}", peak_memory());
    Ok(())
}

/// Peak resident memory of this process, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
