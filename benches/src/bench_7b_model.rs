//! The whole model at the 7B's size, stage by stage: what `bench_7b` prints.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use burn::tensor::{DType, Tensor};
use mimo_vl_core::expert::{
    Checkpoint, Component, Kernels, MAX_DRAFT_TOKENS, Mask, PrefillInput, QuantizedMatrix, QuantizedWeight, Sequence,
    Step, TensorId, TensorRole, TensorSource, WithBackend, cores, dispatch, preprocess_image,
};
use mimo_vl_core::{
    CancelToken, GenerateOptions, Image, LoadOptions, Model, Prompt, QuantizationReport, TaskControl, Thinking,
    WeightFormat, quantize,
};

use crate::checkpoint::{Depth, make};
use crate::roofline::{byte_products, read_bandwidth};
use crate::{machine, noise};

/// Steps of decoding that one figure is the median of.
const STEPS: usize = 24;
/// Tokens that are checked together when as many as possible are guessed ahead.
const GUESSES: usize = MAX_DRAFT_TOKENS + 1;
/// Tokens of the context whose memory is measured.
const CONTEXT: usize = 2048;

/// Parts of the table.
pub const PARTS: [&str; 4] = ["vision", "prefill", "decode", "end_to_end"];

const USAGE: &str = "usage: bench_7b [OPTION]...

Measure a checkpoint of MiMo-VL-7B's shapes with weights of four bits.

  --model DIR            a checkpoint that `quantize` wrote (default: one with random weights, made once)
  --layers N             layers of the language model of the one that is made (default: 36)
  --vision-layers N      blocks of its vision tower (default: 32)
  --only PART            vision, prefill, decode or end_to_end; may be repeated (default: all)
  --rounds N             measurements that each figure is the median of (default: 5)
  --threads N            threads (default: one for each core)
  --help                 write this text
";

struct Bench {
    directory: PathBuf,
    model: Model,
    receipt: QuantizationReport,
    threads: usize,
    rounds: usize,
}

type Outcome = Result<(), Box<dyn Error>>;

/// Do what the words of a command line ask for; `parts` are measured unless they name others.
///
/// # Errors
/// For words that are not understood, and whatever the library cannot do.
pub fn run(words: impl Iterator<Item = String>, parts: &[&str]) -> Outcome {
    let mut depth = Depth { language: 36, vision: 32 };
    let (mut directory, mut rounds, mut threads) = (None, 5, cores());
    let mut only: Vec<String> = Vec::new();
    // `cargo bench` adds a word of its own.
    let mut words = words.filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
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
        None => made(depth, threads)?,
    };
    let model = Model::load(&directory, &LoadOptions::new().threads(threads))?;
    let receipt =
        model.quantization_report().ok_or("the checkpoint is not rounded: give one that `quantize` wrote")?.clone();
    println!("{}, {threads} threads, median of {rounds}", machine());
    figure("load", model.load_time().as_secs_f64(), "s", "warm file cache");
    let bench = Bench { directory, model, receipt, threads, rounds };
    let wanted =
        |part: &str| if only.is_empty() { parts.contains(&part) } else { only.iter().any(|name| name == part) };
    if wanted("vision") {
        bench.vision(448)?;
        bench.vision(1008)?;
    }
    if wanted("prefill") {
        bench.prefill(512)?;
        bench.prefill(1024)?;
    }
    if wanted("decode") {
        bench.decode(0)?;
        bench.decode(1024)?;
    }
    if wanted("end_to_end") {
        bench.end_to_end()?;
    }
    Ok(())
}

/// The checkpoint with random weights, rounded to four bits; made once.
fn made(depth: Depth, threads: usize) -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench_7b");
    let name = format!("{}-{}", depth.language, depth.vision);
    let (whole, rounded) = (folder.join(format!("{name}-bf16")), folder.join(format!("{name}-int4")));
    if !rounded.join("model.safetensors").exists() {
        if !whole.join("model.safetensors").exists() {
            println!("making {}", whole.display());
            make(&whole, depth)?;
        }
        println!("rounding to {}", rounded.display());
        let start = Instant::now();
        let options = LoadOptions::new().weights(WeightFormat::Int4).threads(threads);
        quantize(&whole, &rounded, &options, &[], TaskControl::new())?;
        figure("quantize", start.elapsed().as_secs_f64(), "s", "with writing");
    }
    Ok(rounded)
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

fn picture(side: usize) -> Result<Image, Box<dyn Error>> {
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
        self.receipt.matrices.iter().filter(move |matrix| matrix.role().is_some_and(&is_part))
    }

    /// Number of weights of these products.
    fn weights(&self, is_part: impl Fn(TensorRole) -> bool) -> usize {
        self.products(is_part).map(|matrix| matrix.rows.iter().sum::<usize>() * matrix.width).sum()
    }

    /// What share of the peak of byte products so many operations in a second are.
    fn share(&self, operations: f64) -> String {
        match byte_products(self.threads) {
            Some(peak) => {
                format!("{:.2} TOP/s, {:.0} % of the byte products' peak", operations / 1e12, 100.0 * operations / peak)
            }
            None => format!("{:.2} TOP/s", operations / 1e12),
        }
    }

    fn vision(&self, side: usize) -> Outcome {
        let (model, cancel) = (&self.model, CancelToken::new());
        let patches = preprocess_image(&picture(side)?, model.preprocess_config())?;
        let small = preprocess_image(&picture(112)?, model.preprocess_config())?;
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
            let (logits, time) = timed(|| sequence.extend(&segment, &CancelToken::new()));
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

    fn decode(&self, held: usize) -> Outcome {
        let text = &self.model.config().text;
        let mut sequence = self.sequence(held.max(1))?;
        sequence.reserve(held + (self.rounds + 2) * (STEPS + 1) + GUESSES)?;
        let products = self.products(|role| is_layer(role) || role == TensorRole::Head);
        let bytes: usize = products.map(|matrix| matrix.format.bytes(matrix.rows.iter().sum(), matrix.width)).sum();
        let cache = 2 * 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * held;
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
        figure(&format!("decode, {held} in the cache"), 1.0 / time, "tokens/s", &note);
        let (ids, positions) = self.tokens(sequence.len(), GUESSES);
        let mut together = Vec::new();
        for _ in 0..self.rounds {
            let len = sequence.len();
            let single = step(&mut *sequence)?;
            let segment = PrefillInput { ids: &ids, positions: &positions, media: Vec::new() };
            let (logits, time) = timed(|| sequence.prefill(&segment, GUESSES, true, &CancelToken::new()));
            logits?;
            sequence.truncate(len);
            together.push(time / single);
        }
        figure(
            &format!("{GUESSES} tokens at once, {held}"),
            median(together),
            "steps",
            "what checking bench_7b_model guesses takes",
        );
        figure(&format!("{GUESSES} answers at once, {held}"), self.batch(held)?, "tokens/s", "all of them together");
        if self.threads == cores() {
            let rest = dispatch("cpu", Rest { bench: self, held, sequence: &mut *sequence })?;
            figure(
                &format!("beside its products, {held}"),
                100.0 * rest,
                "%",
                "of a step, all that is neither product nor attention",
            );
        }
        Ok(())
    }

    /// Tokens of a second when several answers are written at once, each with so many tokens in its cache.
    fn batch(&self, held: usize) -> Result<f64, Box<dyn Error>> {
        let first = self.sequence(held.max(1))?;
        let mut sequences: Vec<Box<dyn Sequence>> = (0..GUESSES).map(|_| first.fork()).collect();
        for sequence in &mut sequences {
            sequence.reserve(held + self.rounds + 2)?;
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
            let (logits, time) = timed(|| self.model.engine().decode_batch(&mut steps, &CancelToken::new()));
            logits?;
            times.push(time);
        }
        // The first copies what the forks shared.
        times.remove(0);
        Ok(GUESSES as f64 / median(times))
    }

    /// From the start of a process to its first token, and its peak of memory.
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
        figure("first token", median(times), "s", "448² image, 64 tokens of text, from the start of the process");
        figure("peak memory", median(peaks) / 1e9, "GB", &format!("the same, with a cache for {CONTEXT} tokens"));
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
        sequence.extend(&PrefillInput { ids: &ids, positions: &positions, media: Vec::new() }, &CancelToken::new())?;
        Ok(sequence)
    }
}

/// The time of one step of decoding.
fn step(sequence: &mut dyn Sequence) -> Result<f64, mimo_vl_core::Error> {
    let position = sequence.len() as u32;
    let (logits, time) = timed(|| sequence.step(position % 1000, position, &CancelToken::new()));
    logits.map(|_| time)
}

/// The share of a step of decoding that is neither product nor attention: steps and the same products and attentions
/// without what lies between them are timed in turn.
struct Rest<'a> {
    bench: &'a Bench,
    held: usize,
    sequence: &'a mut dyn Sequence,
}

impl WithBackend for Rest<'_> {
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
        let cached = [1, text.num_key_value_heads, self.held + 1, text.head_dim];
        let cache = || Tensor::<B, 4>::ones(cached, (&device, DType::F16));
        let caches: Vec<_> = (0..text.num_hidden_layers).map(|_| (cache(), cache())).collect();
        let q = Tensor::<B, 4>::ones([1, text.num_attention_heads, 1, text.head_dim], &device);
        let mut rest = Vec::new();
        for _ in 0..STEPS {
            let whole = step(self.sequence)?;
            let ((), parts) = timed(|| {
                for (quantized, x) in &products {
                    // Gate and up are the only product of two matrices.
                    match quantized.dims()[0] == 2 * text.intermediate_size {
                        true => drop(B::gated_quantized(x.clone(), quantized, None)),
                        false => drop(B::linear_quantized(x.clone(), quantized, None)),
                    }
                }
                for (keys, values) in &caches {
                    let mask = Mask::Causal { offset: self.held };
                    drop(<B as Kernels>::attention(q.clone(), keys.clone(), values.clone(), mask));
                }
            });
            rest.push((whole - parts) / whole);
        }
        Ok(median(rest))
    }
}

/// What the child process of [`Bench::end_to_end`] does: write its peak of memory after the first token.
fn first_token(directory: &Path, threads: usize) -> Outcome {
    let model = Model::load(directory, &LoadOptions::new().threads(threads).max_context(CONTEXT))?;
    let text = (0..60).map(|index| ["a", "is", "the", "on"][index % 4]).collect::<Vec<_>>().join(" ");
    let prompt = Prompt::user().image(picture(448)?).text(text).thinking(Thinking::Off);
    let mut session = model.session();
    let mut stream = session.stream(&prompt, &GenerateOptions::new().max_tokens(CONTEXT))?;
    stream.next().transpose()?;
    println!("{}", peak_memory());
    Ok(())
}

/// Bytes that this process has had in memory at most.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
