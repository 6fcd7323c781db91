//! Generation from token ids, below the session: `generate()` of transformers.

use std::sync::Arc;

use super::model::Model;
use super::session::{check_logit_bias, position};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};
use crate::model::{Features, PrefillInput, Sequence, Step, build_input};
use crate::preprocess::Patches;
use crate::sampling::{GenerateOptions, Sampler};

/// A prompt as token ids.
#[derive(Debug, Clone)]
pub struct TokenPrompt {
    /// The tokens, with one media token for each media item.
    pub ids: Vec<u32>,
    /// Patches of the images and videos in the order of their tokens; for a video also the seconds between two steps
    /// of its grid in time.
    pub media: Vec<(Arc<Patches>, Option<f64>)>,
}

/// Continues each prompt up to a token of `eos_token_ids`, which becomes part of the answer, `max_tokens`, or the end
/// of the context. Answer `n` is sampled with seed + `n`. `on_token` gets the index of the prompt and its next token.
///
/// Prompts are decoded together. No token is suppressed, and nothing of a conversation applies: only the options of the
/// sampler, `max_tokens` and `call` have an effect; the others must be valid.
///
/// # Errors
/// [`Error::Prompt`] for a token outside of the vocabulary, or media that do not match their tokens;
/// [`Error::ContextTooLong`]; [`Error::Option`]; [`Error::Memory`]; [`Error::Cancelled`]; [`Error::Timeout`].
pub fn generate_ids(
    model: &Model,
    prompts: &[TokenPrompt],
    options: &GenerateOptions,
    eos_token_ids: &[u32],
    on_token: impl Fn(usize, u32),
) -> Result<Vec<Vec<u32>>> {
    let control = options.call.start();
    let row = |(index, prompt)| {
        let options = options.clone().seed(options.seed.wrapping_add(index as u64));
        Row::prefill(model, prompt, &options, &control)
    };
    let mut rows = prompts.iter().enumerate().map(row).collect::<Result<Vec<Row>>>()?;
    loop {
        control.check()?;
        for (index, row) in rows.iter_mut().enumerate().filter(|(_, row)| !row.is_done) {
            let id = row.sample()?;
            on_token(index, id);
            let is_full =
                row.answer().len() >= options.max_tokens || row.ids.len() >= options.context_limit(model.max_context());
            row.is_done = is_full || eos_token_ids.contains(&id);
        }
        let steps = rows.iter_mut().filter(|row| !row.is_done).map(Row::step);
        let mut steps = steps.collect::<Result<Vec<Step<'_>>>>()?;
        if steps.is_empty() {
            break;
        }
        let (expected, logits) = (steps.len(), model.engine().decode_batch(&mut steps, &control)?);
        if logits.len() != expected {
            return Err(Error::internal(format!("{} rows of logits where {expected} are expected", logits.len())));
        }
        for (row, logits) in rows.iter_mut().filter(|row| !row.is_done).zip(logits) {
            row.logits = logits;
        }
    }
    Ok(rows.into_iter().map(|row| row.answer().to_vec()).collect())
}

/// One prompt and its answer.
struct Row {
    sequence: Box<dyn Sequence>,
    sampler: Sampler,
    /// Tokens of the prompt, then of the answer.
    ids: Vec<u32>,
    prompt_len: usize,
    /// Difference between the position and the index of a token after the prompt.
    rope_delta: i64,
    /// Logits of the next token.
    logits: Vec<f32>,
    is_done: bool,
}

impl Row {
    fn prefill(model: &Model, prompt: &TokenPrompt, options: &GenerateOptions, control: &TaskControl) -> Result<Self> {
        let (engine, config) = (model.engine(), model.config());
        let vocabulary = config.text.vocab_size;
        if let Some(id) = prompt.ids.iter().find(|&&id| id as usize >= vocabulary) {
            return Err(Error::prompt(format!("token {id} is not one of the model's {vocabulary}")));
        }
        check_logit_bias(options, vocabulary)?;
        let sampler = Sampler::new(options, &[])?;
        let grids: Vec<_> = prompt.media.iter().map(|(patches, seconds)| (patches.grid, *seconds)).collect();
        let input = build_input(&prompt.ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let (prompt_len, limit) = (input.ids.len(), options.context_limit(model.max_context()));
        if prompt_len >= limit {
            return Err(Error::ContextTooLong { tokens: prompt_len + 1, limit });
        }
        let patches: Vec<&Patches> = prompt.media.iter().map(|(patches, _)| &**patches).collect();
        let features: Vec<Features> = engine.encode_all(&patches, control)?;
        let media = input.placeholders.iter().cloned().zip(&features).collect();
        let mut sequence = engine.sequence();
        sequence.reserve(prompt_len.saturating_add(options.max_tokens).min(limit))?;
        let logits = sequence.extend(&PrefillInput { ids: &input.ids, positions: &input.positions, media }, control)?;
        let (ids, rope_delta) = (input.ids, input.rope_delta);
        Ok(Self { sequence, sampler, ids, prompt_len, rope_delta, logits, is_done: false })
    }

    fn answer(&self) -> &[u32] {
        &self.ids[self.prompt_len..]
    }

    fn sample(&mut self) -> Result<u32> {
        let generated = self.ids.len() - self.prompt_len;
        let id = self.sampler.sample(&mut self.logits, &self.ids, generated, |_| Ok(()))?.id;
        self.ids.push(id);
        Ok(id)
    }

    /// The step that feeds the last token.
    fn step(&mut self) -> Result<Step<'_>> {
        let position = position(self.sequence.len(), self.rope_delta)?;
        let id = *self.ids.last().ok_or_else(|| Error::internal("an answer without a token"))?;
        Ok(Step { sequence: &mut *self.sequence, id, position })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::load_options::LoadOptions;
    use super::*;
    use crate::cancel::CancelToken;

    fn model() -> Model {
        Model::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny"), &LoadOptions::new()).unwrap()
    }

    fn prompt(ids: &[u32]) -> TokenPrompt {
        TokenPrompt { ids: ids.to_vec(), media: Vec::new() }
    }

    #[test]
    fn prompts_get_the_same_tokens_together_and_alone() {
        let (model, options) = (model(), GenerateOptions::new().max_tokens(12));
        let prompts = [prompt(&[1, 2, 3]), prompt(&[40, 41])];
        let reported = std::cell::RefCell::new(vec![Vec::new(); 2]);
        let on_token = |index: usize, id| reported.borrow_mut()[index].push(id);
        let together = generate_ids(&model, &prompts, &options, &[], on_token).unwrap();
        assert_eq!(together, reported.into_inner());
        for (prompt, answer) in prompts.iter().zip(&together) {
            let alone = generate_ids(&model, std::slice::from_ref(prompt), &options, &[], |_, _| {}).unwrap();
            assert_eq!((alone[0].len(), &alone[0]), (12, answer));
        }
        let eos = together[0][5];
        let ended = generate_ids(&model, &prompts[..1], &options, &[eos], |_, _| {}).unwrap();
        let first = together[0].iter().position(|&id| id == eos).unwrap();
        assert_eq!(ended[0], together[0][..=first], "the EOS token is part of the answer");
    }

    #[test]
    fn invalid_prompts_and_cancelled_calls_are_errors() {
        let (model, options) = (model(), GenerateOptions::new());
        let call = |ids: &[u32], options: &GenerateOptions| {
            generate_ids(&model, &[prompt(ids)], options, &[], |_, _| {}).unwrap_err()
        };
        assert!(matches!(call(&[1 << 30], &options), Error::Prompt { .. }));
        assert!(matches!(call(&[], &options), Error::Prompt { .. }));
        assert!(matches!(call(&vec![1; model.max_context()], &options), Error::ContextTooLong { .. }));
        let token = CancelToken::new();
        token.cancel();
        assert!(matches!(call(&[1], &options.cancel(&token)), Error::Cancelled));
    }
}
