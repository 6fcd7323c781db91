//! One conversation: its messages, what the cache holds of them, and the start of an answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, Timings};
use super::load::Model;
use super::media::{self, Medium, Turn};
use super::plan::{Span, Tokens};
use super::stream::{Begun, Stream};
use crate::cancel::Cancel;
use crate::encode::{Slot, encode};
use crate::error::{Error, Result};
use crate::model::{Segment, Sequence};
use crate::preprocess::{Grid, Transform};
use crate::prompt::{Message, Prompt, Role};
use crate::sampling::{Generate, Sampler};

/// A conversation with a model.
///
/// Each [`ask`](Self::ask) or [`stream`](Self::stream) adds a turn. A call that fails, is cancelled, or whose stream is
/// dropped before its end adds nothing: the conversation is as it was. The session keeps its pictures and videos
/// with their features, and what earlier turns computed of the beginning that the next one shares with them.
pub struct Session {
    model: Model,
    sequence: Box<dyn Sequence>,
    /// What `sequence` holds.
    held: Tokens,
    turns: Vec<Turn>,
    cancel: Cancel,
    /// An internal error was met: the state on the device is not known any more.
    poisoned: bool,
}

/// Tokens whose logits are computed at once when those of all tokens are wanted.
const LOGITS_CHUNK: usize = 128;

/// A conversation, encoded: what the model is to see before it answers.
struct Plan {
    tokens: Tokens,
    positions: Vec<[u32; 3]>,
    delta: i64,
}

impl Session {
    pub(super) fn new(model: Model) -> Self {
        let sequence = model.engine().sequence();
        Self { model, sequence, held: Tokens::default(), turns: Vec::new(), cancel: Cancel::new(), poisoned: false }
    }

    /// Ask, and wait for the whole answer.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), and [`Error::Cancelled`] or [`Error::Internal`] while the answer is written.
    pub fn ask(&mut self, prompt: &Prompt, generate: &Generate) -> Result<Answer> {
        self.stream(prompt, generate)?.answer()
    }

    /// Ask, and read the answer while it is written.
    ///
    /// The call returns when the model has taken in the conversation; every event is computed when it is asked for.
    /// A system message at the start of `prompt` takes the place of the conversation's.
    ///
    /// # Errors
    /// - [`Error::Option`] when an option of `generate` is out of its range
    /// - [`Error::Prompt`] when the prompt is empty, does not end with the user's message, or the chat template
    ///   refuses it
    /// - [`Error::Image`] when a picture cannot be used
    /// - [`Error::ContextTooLong`] when the conversation leaves no room for an answer
    /// - [`Error::Memory`] when the conversation with its answer does not fit into memory
    /// - [`Error::Cancelled`] when [`cancel`](Self::cancel)'s flag was raised meanwhile
    /// - [`Error::Internal`] for a defect of this library; the session refuses to go on after it
    pub fn stream(&mut self, prompt: &Prompt, generate: &Generate) -> Result<Stream<'_>> {
        if self.poisoned {
            return Err(Error::internal("this session met an internal error before; open a new one"));
        }
        self.cancel.clear();
        let begun = self.begin(prompt, generate).map_err(|error| self.note(error))?;
        Ok(Stream::new(self, begun))
    }

    /// A handle with which any thread stops the call that is under way; it ends with [`Error::Cancelled`]. Every call
    /// of [`ask`](Self::ask) and [`stream`](Self::stream) lowers the flag first.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Forget the conversation, and its pictures and videos.
    pub fn reset(&mut self) {
        self.rewind(0);
        self.turns.clear();
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The conversation so far, answers included (without their thinking).
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.turns.iter().map(|turn| &turn.message)
    }

    /// How many tokens the cache holds.
    pub fn cached_tokens(&self) -> usize {
        self.held.ids.len()
    }

    /// Everything up to the first logits of the answer.
    fn begin(&mut self, prompt: &Prompt, generate: &Generate) -> Result<Begun> {
        let sampler = Sampler::new(generate, self.model.never_tokens())?;
        let mut timings = Timings { load: self.model.load_time(), ..Timings::default() };
        let turns = timed(&mut timings.preprocess, || self.with(prompt.turn()?))?;
        let plan = self.plan(&turns)?;
        let (needed, limit) = (plan.tokens.ids.len() + 1, self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        let held = self.held.common(&plan.tokens, Arc::ptr_eq);
        timings.prompt_tokens = plan.tokens.ids.len();
        timings.cached_tokens = held;
        timed(&mut timings.encode, || self.encode_media(&plan.tokens.spans, held))?;
        let delta = plan.delta;
        let logits = timed(&mut timings.prefill, || self.prefill(plan, held, generate.max_tokens))?;
        let (max_tokens, draft) = (generate.max_tokens, generate.most_drafted(self.model.device()));
        Ok(Begun { turns, held, delta, logits, sampler, max_tokens, draft, timings })
    }

    /// The conversation with the messages of a prompt, all media preprocessed.
    fn with(&self, messages: Vec<Message>) -> Result<Vec<Turn>> {
        let _span = tracing::debug_span!("preprocess").entered();
        let mut turns = self.turns.clone();
        let system = |message: &Message| message.role == Role::System;
        if messages.first().is_some_and(system) && turns.first().is_some_and(|turn| system(&turn.message)) {
            turns.remove(0);
        }
        for (index, message) in messages.into_iter().enumerate() {
            let first = index == 0 && system(&message);
            let turn = Turn::new(message, &turns, self.model.preprocess_config(), &self.cancel)?;
            turns.insert(if first { 0 } else { turns.len() }, turn);
        }
        Ok(turns)
    }

    /// Render and encode a conversation.
    fn plan(&self, turns: &[Turn]) -> Result<Plan> {
        let (model, config) = (&self.model, self.model.config());
        let messages: Vec<Message> = turns.iter().map(|turn| turn.message.clone()).collect();
        let ids = model.template().encode(model.tokenizer(), &messages, true)?;
        let rows = config.text.vocab_size;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let reason = format!("it gives token {id}, and vocab_size of config.json is {rows}");
            return Err(Error::checkpoint(model.directory().join("tokenizer.json"), reason));
        }
        let media: Vec<&Arc<Medium>> = turns.iter().flat_map(|turn| &turn.media).collect();
        let grids: Vec<(Grid, Option<f64>)> =
            media.iter().map(|medium| (medium.patches().grid, medium.patches().second_per_grid)).collect();
        let encoded = encode(&ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let spans = encoded.slots.iter().zip(media);
        let spans = spans.map(|(slot, medium)| Span { start: slot.start, len: slot.len, medium: Arc::clone(medium) });
        Ok(Plan {
            tokens: Tokens { ids: encoded.ids, spans: spans.collect() },
            positions: encoded.positions,
            delta: encoded.delta,
        })
    }

    /// Make sure that every medium that the cache lacks has its features.
    fn encode_media(&self, spans: &[Span], held: usize) -> Result<()> {
        let _span = tracing::debug_span!("encode").entered();
        let media = spans.iter().filter(|span| span.start >= held).map(|span| &span.medium);
        media::encode(media, self.model.engine(), &self.cancel)
    }

    /// The logits after every token of a prompt, as the start of a conversation, row by row; the conversation is empty
    /// after it.
    pub(super) fn logits(&mut self, prompt: &Prompt, cancel: &Cancel) -> Result<Vec<f32>> {
        self.reset();
        let turns = self.with(prompt.turn()?)?;
        let Plan { tokens, positions, .. } = self.plan(&turns)?;
        let (needed, limit) = (tokens.ids.len(), self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        cancel.check()?;
        self.encode_media(&tokens.spans, 0)?;
        let logits = self.sequence.prefill(&segment(&tokens, &positions, 0)?, LOGITS_CHUNK, true, cancel);
        self.sequence.truncate(0);
        logits
    }

    /// Bring the cache from its first `held` tokens to the whole of `plan`; gives the logits of the last token.
    fn prefill(&mut self, plan: Plan, held: usize, max_tokens: usize) -> Result<Vec<f32>> {
        let Plan { tokens, positions, .. } = plan;
        let _span = tracing::debug_span!("prefill", tokens = tokens.ids.len(), cached = held).entered();
        self.rewind(held);
        let room = tokens.ids.len().saturating_add(max_tokens).min(self.model.max_context());
        self.sequence.reserve(room)?;
        let logits = self.sequence.extend(&segment(&tokens, &positions, held)?, &self.cancel)?;
        self.held = tokens;
        Ok(logits)
    }

    /// Take in one token of the answer, and guesses of those after it, which [`accept`](Self::accept) makes part of it;
    /// gives the logits after each, row by row.
    pub(super) fn step(&mut self, ids: &[u32], delta: i64) -> Result<Vec<f32>> {
        let held = self.held.ids.len();
        // What was guessed before and not accepted.
        self.sequence.truncate(held);
        let position = |index: usize| {
            let position = (held + index) as i64 + delta;
            u32::try_from(position).map_err(|_| Error::internal(format!("position {position}")))
        };
        let positions: Vec<[u32; 3]> = (0..ids.len()).map(|index| Ok([position(index)?; 3])).collect::<Result<_>>()?;
        let segment = Segment { ids, positions: &positions, media: Vec::new() };
        let logits = self.sequence.prefill(&segment, ids.len(), true, &self.cancel)?;
        self.held.ids.extend(ids.first());
        Ok(logits)
    }

    /// Make a guessed token, the next one that the cache holds, part of the answer.
    pub(super) fn accept(&mut self, id: u32) {
        self.held.ids.push(id);
    }

    /// The tokens that the model has seen.
    pub(super) fn seen(&self) -> &[u32] {
        &self.held.ids
    }

    /// Pass unless a stop was asked for.
    pub(super) fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Forget what the cache holds from token `len` on.
    pub(super) fn rewind(&mut self, len: usize) {
        self.sequence.truncate(len);
        self.held.truncate(len);
    }

    /// Of every image and video of the conversation, in order.
    pub(super) fn transforms(&self) -> Vec<Transform> {
        self.turns.iter().flat_map(|turn| &turn.media).map(|medium| medium.patches().transform).collect()
    }

    /// Make `turns` the conversation.
    pub(super) fn commit(&mut self, turns: Vec<Turn>) {
        self.turns = turns;
    }

    /// Remember it if `error` is an internal one; gives it back.
    pub(super) fn note(&mut self, error: Error) -> Error {
        self.poisoned |= matches!(error, Error::Internal { .. });
        error
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("model", &self.model)
            .field("messages", &self.turns.len())
            .field("cached_tokens", &self.held.ids.len())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// What of a conversation comes after its first `held` tokens.
fn segment<'a>(tokens: &'a Tokens, positions: &'a [[u32; 3]], held: usize) -> Result<Segment<'a>> {
    let new = tokens.spans.iter().enumerate().filter(|(_, span)| span.start >= held);
    let media = new.map(|(media, span)| {
        let slot = Slot { media, start: span.start - held, len: span.len };
        Ok((slot, span.medium.features()?))
    });
    Ok(Segment {
        ids: tokens.ids.get(held..).unwrap_or_default(),
        positions: positions.get(held..).unwrap_or_default(),
        media: media.collect::<Result<_>>()?,
    })
}

/// Do `work`, and add the time that it took to `total`.
pub(super) fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}
