//! Quantization of a checkpoint to a file that later loads map into memory.

use std::cell::RefCell;
use std::path::Path;

use super::load_options::LoadOptions;
use super::model::Model;
use crate::checkpoint::{Checkpoint, QuantizationReport, QuantizedWriter, WeightFormat, check_memory};
use crate::error::{Error, Result};
use crate::model::KvCacheDtype;
use crate::prompt::{Part, Prompt, ThinkingStyle};
use crate::quant::Divergence;

/// Quantizes the checkpoint in `from` to the format [`LoadOptions::weights`](LoadOptions#structfield.weights), and
/// writes it to the folder `to`. Loading that folder maps the weights into memory and quantizes nothing.
///
/// The report has the error of every matrix and, for each of `prompts`, the divergence of the quantized model's
/// predictions from those of the unquantized one, which is loaded beside it. All logits of a prompt are in memory at
/// once: 0.6 MB for each token and model of the 7B. The report is stored in the file, and
/// [`Model::quantization_report`] returns it. If the call fails or is cancelled, its files are removed.
///
/// # Errors
/// [`Error::Option`] when the weights are neither [`WeightFormat::Int8`] nor [`WeightFormat::Int4`], the checkpoint is
/// already quantized, or `to` contains a checkpoint; [`Error::Io`] when a file cannot be written; and those of
/// [`Model::load`] and [`Session::stream`](super::Session::stream).
pub fn quantize(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &LoadOptions,
    prompts: &[Prompt],
) -> Result<QuantizationReport> {
    let (from, control) = (from.as_ref(), options.call.start());
    if !matches!(options.weights, WeightFormat::Int8 | WeightFormat::Int4) {
        let reason = format!("{} is not quantized; choose int8 or int4", options.weights.name());
        return Err(Error::option("weights", reason));
    }
    let checkpoint = Checkpoint::open(from)?;
    if let Some(report) = checkpoint.quantization_report() {
        let reason = format!("{} is already quantized to {}", from.display(), report.weights.name());
        return Err(Error::option("weights", reason));
    }
    let texts = prompts.iter().map(text_of).collect::<Result<Vec<String>>>()?;
    if !prompts.is_empty() {
        let both = [options.weights, WeightFormat::Native].map(|weights| checkpoint.bytes_in_memory(weights, true));
        check_memory("comparing the quantized model with the unquantized one", both.iter().sum())?;
    }
    let prompt_bytes = texts.iter().map(String::len).sum();
    let writer = RefCell::new(QuantizedWriter::create(to, &checkpoint, options.weights, prompt_bytes)?);
    // The report is about the weights: everything else is the same in both models.
    let options = options.clone().kv_cache_dtype(options.kv_cache_dtype.unwrap_or(KvCacheDtype::F32));
    let quantized = Model::load_writing(from, &options, &control, Some(&writer))?;
    let mut divergence = Vec::with_capacity(prompts.len());
    if !prompts.is_empty() {
        let control = control.without_progress();
        let native = options.clone().weights(WeightFormat::Native);
        let reference = Model::load_writing(from, &native, &control, None)?;
        let vocab = reference.config().text.vocab_size;
        for (prompt, text) in prompts.iter().zip(texts) {
            let logits = |model: &Model| model.session().logits(prompt, &control);
            divergence.push(Divergence::new(text, &logits(&quantized)?, &logits(&reference)?, vocab));
        }
    }
    writer.into_inner().finish(&checkpoint, divergence)
}

/// Text of a prompt without its media, for the report.
fn text_of(prompt: &Prompt) -> Result<String> {
    let messages = prompt.resolve(ThinkingStyle::default())?.messages;
    let texts = messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        _ => None,
    });
    Ok(texts.collect::<Vec<_>>().join("\n"))
}
