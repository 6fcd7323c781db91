//! Rounding a checkpoint once, for all later loads.

use std::cell::RefCell;
use std::path::Path;

use super::load::{LoadOptions, Model};
use crate::cancel::Watch;
use crate::checkpoint::{Checkpoint, Receipt, RoundedWriter, Weights};
use crate::error::{Error, Result};
use crate::prompt::{Part, Prompt};
use crate::quant::Agreement;

/// Round the checkpoint in `from` as [`LoadOptions::weights`](LoadOptions#structfield.weights) says, and write it to
/// the folder `to`, from where it is loaded through the memory map, without rounding anything again.
///
/// The receipt has the error of every matrix and, for each of `prompts`, how far the predictions of the rounded model
/// are from those of the model as stored, which is loaded beside it for that. It is in the file, too:
/// [`Model::receipt`] gives it. What an interrupted call has written is never taken for a checkpoint, and the next
/// call writes it anew.
///
/// # Errors
/// [`Error::Option`] when the weights are neither [`Weights::Int8`] nor [`Weights::Int4`], the checkpoint is rounded
/// already, or `to` holds one; [`Error::Io`] when a file cannot be written; and those of [`Model::load_watched`] and
/// [`Session::stream`](super::Session::stream).
pub fn quantize(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &LoadOptions,
    prompts: &[Prompt],
    watch: Watch<'_>,
) -> Result<Receipt> {
    let from = from.as_ref();
    if !matches!(options.weights, Weights::Int8 | Weights::Int4) {
        let reason = format!("{} is not rounded; choose int8 or int4", options.weights.name());
        return Err(Error::option("weights", reason));
    }
    let checkpoint = Checkpoint::open(from)?;
    if let Some(receipt) = checkpoint.receipt() {
        let reason = format!("{} is rounded to {} already", from.display(), receipt.weights.name());
        return Err(Error::option("weights", reason));
    }
    let writer = RefCell::new(RoundedWriter::create(to, &checkpoint, options.weights)?);
    let rounded = Model::load_written(from, options, watch, Some(&writer))?;
    let mut agreement = Vec::with_capacity(prompts.len());
    if !prompts.is_empty() {
        let whole = Model::load(from, &options.clone().weights(Weights::Native))?;
        let vocab = whole.config().text.vocab_size;
        for prompt in prompts {
            watch.step(checkpoint.bytes(), checkpoint.bytes())?;
            let (rounded, whole) = (rounded.session().logits(prompt)?, whole.session().logits(prompt)?);
            agreement.push(Agreement::new(text(prompt)?, &rounded, &whole, vocab));
        }
    }
    writer.into_inner().finish(&checkpoint, agreement)
}

fn text(prompt: &Prompt) -> Result<String> {
    let messages = prompt.turn()?;
    let texts = messages.iter().flat_map(|message| &message.parts).filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Image(_) | Part::Video(_) => None,
    });
    Ok(texts.collect::<Vec<_>>().join("\n"))
}
