//! Token ids and patches to token ids, below the session: what `generate()` of transformers does.
//!
//! Nothing of a conversation is here. Any token may be written, those that stand for media included, and the token that ends
//! an answer is part of it.

use std::sync::Arc;

use mimo_vl_core::expert::{Features, Patches, PrefillInput, Sampler, Sequence, Step, build_input};
use mimo_vl_core::{CancelToken, Error, GenerateOptions, Model, Result};

/// What is to be continued.
pub(crate) struct Prompt {
    /// One token for each picture or video.
    pub(crate) ids: Vec<u32>,
    /// The pictures and videos in order, and for each video the seconds between two steps in time.
    pub(crate) media: Vec<(Arc<Patches>, Option<f64>)>,
}

/// One of several answers that are written together.
struct Row {
    sequence: Box<dyn Sequence>,
    sampler: Sampler,
    /// The prompt's tokens, `prompt` many, and the answer's.
    ids: Vec<u32>,
    prompt: usize,
    /// The position of the token at `index` is `index` and this.
    rope_delta: i64,
    /// Of the next token.
    logits: Vec<f32>,
    is_open: bool,
}

impl Row {
    /// Let the model take in a prompt.
    fn new(model: &Model, prompt: &Prompt, options: &GenerateOptions, cancel: &CancelToken) -> Result<Self> {
        let (engine, config) = (model.engine(), model.config());
        let vocabulary = config.text.vocab_size;
        if let Some(id) = prompt.ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(Error::Prompt { reason: format!("token {id} is not one of the model's {vocabulary}") });
        }
        let sampler = Sampler::new(options, &[])?;
        let grids: Vec<_> = prompt.media.iter().map(|(patches, seconds)| (patches.grid, *seconds)).collect();
        let encoded = build_input(&prompt.ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let (tokens, limit) = (encoded.ids.len(), model.max_context());
        if tokens >= limit {
            return Err(Error::ContextTooLong { tokens: tokens + 1, limit });
        }
        let patches: Vec<&Patches> = prompt.media.iter().map(|(patches, _)| &**patches).collect();
        let features: Vec<Features> = engine.encode_all(&patches, cancel)?;
        let media = encoded.placeholders.iter().cloned().zip(&features).collect();
        let mut sequence = engine.sequence();
        sequence.reserve(tokens.saturating_add(options.max_tokens).min(limit))?;
        let logits =
            sequence.extend(&PrefillInput { ids: &encoded.ids, positions: &encoded.positions, media }, cancel)?;
        Ok(Self {
            sequence,
            sampler,
            prompt: tokens,
            ids: encoded.ids,
            rope_delta: encoded.rope_delta,
            logits,
            is_open: true,
        })
    }

    /// Write the next token.
    fn write(&mut self) -> Result<u32> {
        let written = self.ids.len() - self.prompt;
        let id = self.sampler.sample(&mut self.logits, &self.ids, written, |_| Ok(()))?.id;
        self.ids.push(id);
        Ok(id)
    }

    /// The last token, for the model to take in.
    fn step(&mut self) -> Result<Step<'_>> {
        let internal = |reason: &str| Error::Internal { reason: reason.to_owned() };
        let position = u32::try_from(self.sequence.len() as i64 + self.rope_delta);
        let position = position.map_err(|_| internal("a position out of its range"))?;
        let id = *self.ids.last().ok_or_else(|| internal("an answer without a token"))?;
        Ok(Step { sequence: &mut *self.sequence, id, position })
    }
}

/// Continue each prompt up to a token in `ends`, which is part of the answer, `max_tokens` or the end of the context; answer n
/// is drawn with the seed + n. `each` gets the number of an answer and its next token.
///
/// # Errors
/// Those of [`encode`] and of the engine; [`Error::Prompt`] for a token that the model does not have;
/// [`Error::ContextTooLong`]; [`Error::Option`]; [`Error::Cancelled`].
pub(crate) fn write(
    model: &Model,
    prompts: &[Prompt],
    options: &GenerateOptions,
    ends: &[u32],
    cancel: &CancelToken,
    each: &dyn Fn((usize, u32)),
) -> Result<Vec<Vec<u32>>> {
    let row = |(number, prompt)| {
        let options = options.clone().seed(options.seed.wrapping_add(number as u64));
        Row::new(model, prompt, &options, cancel)
    };
    let mut rows = prompts.iter().enumerate().map(row).collect::<Result<Vec<Row>>>()?;
    loop {
        for (number, row) in rows.iter_mut().enumerate().filter(|(_, row)| row.is_open) {
            let id = row.write()?;
            each((number, id));
            let is_full = row.ids.len() - row.prompt >= options.max_tokens || row.ids.len() >= model.max_context();
            row.is_open = !is_full && !ends.contains(&id);
        }
        let steps = rows.iter_mut().filter(|row| row.is_open).map(Row::step);
        let mut steps = steps.collect::<Result<Vec<Step<'_>>>>()?;
        if steps.is_empty() {
            break;
        }
        cancel.check()?;
        let logits = model.engine().decode_batch(&mut steps, cancel)?;
        for (row, logits) in rows.iter_mut().filter(|row| row.is_open).zip(logits) {
            row.logits = logits;
        }
    }
    Ok(rows.into_iter().map(|mut row| row.ids.split_off(row.prompt)).collect())
}
