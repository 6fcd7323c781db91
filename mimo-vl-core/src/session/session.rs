//! One conversation: its messages, what the cache holds of them, and the start of an answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, MemoryUse, Timings};
use super::constraint::Constraint;
use super::decode_loop::{DecodeLoop, Prefilled};
use super::media::{self, Medium, Turn};
use super::model::Model;
use super::prefix::{CachedPrefix, MediaSpan};
use super::stream::Stream;
use crate::answer::StopReason;
use crate::cancel::{CancelToken, Stage};
use crate::error::{Error, Result};
use crate::model::{Features, PlaceholderRange, PrefillInput, Sequence, Step, build_input};
use crate::preprocess::Grid;
use crate::prompt::{Message, Part, Prompt, Role, Thinking, ToolCall, available_tools};
use crate::sampling::{GenerateOptions, Grammar, GrammarMatcher};

/// A conversation with a model.
///
/// Each [`ask`](Self::ask) or [`stream`](Self::stream) adds a turn. A call that fails, is cancelled, or whose stream is
/// dropped before its end adds nothing: the conversation is as it was. The session keeps its pictures and videos
/// with their features, and what earlier turns computed of the beginning that the next one shares with them.
pub struct Session {
    model: Model,
    sequence: Box<dyn Sequence>,
    /// What `sequence` holds.
    held: CachedPrefix,
    turns: Vec<Turn>,
    cancel: CancelToken,
    /// An internal error was met: the state on the device is not known any more.
    poisoned: bool,
}

/// CachedPrefix whose logits are computed at once when those of all tokens are wanted.
const LOGITS_CHUNK: usize = 128;

/// Contexts that the pictures and videos of a plan may fill.
const MOST_PLANNED: usize = 16;

/// A conversation, encoded: what the model is to see before it answers.
struct EncodedConversation {
    tokens: CachedPrefix,
    positions: Vec<[u32; 3]>,
    rope_delta: i64,
}

/// What a question makes of a conversation.
pub(super) struct Planned {
    /// The new messages.
    pub(super) messages: Vec<Message>,
    /// Their media, in order.
    pub(super) media: Vec<Arc<Medium>>,
    /// The media of the whole conversation that must be encoded.
    pub(super) missing: Vec<Arc<Medium>>,
    /// CachedPrefix of the whole conversation.
    pub(super) tokens: usize,
    /// How many of them are held.
    pub(super) cached: usize,
}

impl Session {
    pub(super) fn new(model: Model) -> Self {
        Self::with_turns(model, Vec::new())
    }

    /// A conversation that has been going on.
    pub(super) fn with_turns(model: Model, turns: Vec<Turn>) -> Self {
        let sequence = model.engine().sequence();
        Self { model, sequence, held: CachedPrefix::default(), turns, cancel: CancelToken::new(), poisoned: false }
    }

    pub(super) fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Pass unless an internal error was met.
    pub(super) fn check_whole(&self) -> Result<()> {
        if self.poisoned {
            return Err(Error::internal("this session met an internal error before; open a new one"));
        }
        Ok(())
    }

    /// Ask, and wait for the whole answer.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), and [`Error::Cancelled`] or [`Error::Internal`] while the answer is written.
    pub fn ask(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> Result<Answer> {
        if generate.best_of < 2 {
            return self.stream(prompt, generate)?.answer();
        }
        let begun = self.start(prompt, generate)?;
        let held = begun.held;
        let best = self.best(begun);
        if best.is_err() {
            self.rewind(held);
        }
        best.map_err(|error| self.note(error))
    }

    /// The best of several answers to a question that the model has taken in.
    fn best(&mut self, begun: Prefilled) -> Result<Answer> {
        let Prefilled { turns, options, timings, .. } = &begun;
        let mut best: Option<(Answer, f64)> = None;
        for index in 0..options.best_of {
            let seeded = options.clone().seed(options.seed.wrapping_add(index as u64));
            let options = seeded.logprobs(options.logprobs.unwrap_or(0));
            // What the model has seen of the conversation is kept for the next.
            let again = Prefilled { options, held: timings.prompt_tokens, ..begun.clone() };
            let tried = DecodeLoop::new(self, again)?.try_out(self)?;
            let late = tried.0.stop == StopReason::Timeout;
            // One that the deadline cut is not better than a whole one.
            if best.as_ref().is_none_or(|best| !late && tried.1 > best.1) {
                best = Some(tried);
            }
            if late {
                break;
            }
        }
        let Some((mut answer, _)) = best else { return Err(Error::internal("no answer")) };
        if options.logprobs.is_none() {
            answer.logprobs.clear();
            answer.regions.iter_mut().for_each(|region| region.confidence = None);
        }
        self.commit(turns.clone(), options, answer.thinking.as_deref().unwrap_or_default(), &answer.text);
        answer.memory = self.memory();
        Ok(answer)
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
    /// - [`Error::Timeout`] when the time that `generate` allows was over meanwhile
    /// - [`Error::Internal`] for a defect of this library; the session refuses to go on after it
    pub fn stream(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> Result<Stream<&mut Self>> {
        Stream::start(self, prompt, generate)
    }

    /// Take in a question; what stopped an earlier one does not stop it.
    pub(super) fn start(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> Result<Prefilled> {
        self.cancel.lower();
        self.start_unless_cancelled(prompt, generate)
    }

    /// Take in a question, unless a stop was asked for already.
    pub(super) fn start_unless_cancelled(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> Result<Prefilled> {
        self.check_whole()?;
        self.cancel.set_deadline(generate.timeout.and_then(|time| Instant::now().checked_add(time)));
        self.begin(prompt, generate).map_err(|error| self.note(error))
    }

    /// A handle with which any thread stops the call that is under way; it ends with [`Error::Cancelled`]. Every call
    /// of [`ask`](Self::ask) and [`stream`](Self::stream) lowers the flag first.
    pub fn cancel(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// A second session that goes on from here on its own. The two share their pictures and features, and what the cache
    /// holds until either goes on.
    pub fn fork(&self) -> Self {
        Self {
            model: self.model.clone(),
            sequence: self.sequence.fork(),
            held: self.held.clone(),
            turns: self.turns.clone(),
            cancel: CancelToken::new(),
            poisoned: self.poisoned,
        }
    }

    /// Be told how far a question is before its answer begins: the stage, what is done of it and what there is to do. It is
    /// called on the thread of the call, between blocks and chunks, and should be quick.
    pub fn on_progress(&mut self, progress: impl Fn(Stage, usize, usize) + Send + Sync + 'static) {
        self.cancel.set_progress(Some(Arc::new(progress)));
    }

    /// Let another flag stop the work of this session, too. Handles that were given out before do not any more.
    pub(super) fn stopped_by(&mut self, cancel: &CancelToken) {
        let child = cancel.child();
        child.set_progress(self.cancel.progress());
        self.cancel = child;
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

    /// The conversation so far, answers included; their thinking only where it was to be kept.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.turns.iter().map(|turn| &turn.message)
    }

    /// How many tokens the cache holds.
    pub fn cached_tokens(&self) -> usize {
        self.held.ids.len()
    }

    /// Bytes that a cache of `tokens` tokens needs beside those that are allocated.
    pub(super) fn growth(&self, tokens: usize) -> u64 {
        self.sequence.growth(tokens)
    }

    /// What the session takes.
    pub(super) fn memory(&self) -> MemoryUse {
        let mut media: Vec<&Arc<Medium>> = Vec::new();
        for medium in self.turns.iter().flat_map(|turn| &turn.media) {
            if !media.iter().any(|other| Arc::ptr_eq(other, medium)) {
                media.push(medium);
            }
        }
        MemoryUse {
            weights: self.model.engine().weight_bytes(),
            cache: self.sequence.bytes(),
            pixels: media.iter().flat_map(|medium| medium.frames()).map(|frame| frame.pixels().len() as u64).sum(),
            features: media.iter().filter_map(|medium| medium.features().ok()).map(Features::bytes).sum(),
        }
    }

    /// Everything up to the first logits of the answer.
    fn begin(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> Result<Prefilled> {
        generate.validate()?;
        let vocabulary = self.model.config().text.vocab_size;
        if let Some((id, _)) = generate.logit_bias.iter().find(|(id, _)| *id as usize >= vocabulary) {
            return Err(Error::option("logit_bias", format!("token {id} is not one of the model's {vocabulary}")));
        }
        let mut timings = Timings { load: self.model.load_time(), ..Timings::default() };
        let (messages, begun) = prompt.resolve(self.model.thinking_style())?;
        let turns = timed(&mut timings.preprocess, || self.with(messages, self.most_media(), &self.cancel))?;
        timings.media = media::decoding(&turns, &self.turns);
        let encoded = self.encode(&turns, begun)?;
        let (needed, limit) = (encoded.tokens.ids.len() + 1, self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        let grammar = generate.grammar.as_ref().map(|grammar| self.matcher(grammar, &turns)).transpose()?;
        let held = self.held.common(&encoded.tokens, Arc::ptr_eq);
        timings.prompt_tokens = encoded.tokens.ids.len();
        timings.cached_tokens = held;
        self.encode_media(&encoded.tokens.spans, held, &mut timings, &self.cancel)?;
        let rope_delta = encoded.rope_delta;
        let logits = timed(&mut timings.prefill, || self.prefill(encoded, held, generate.max_tokens))?;
        let in_thinking = begun.starts_with("<think>") && !begun.contains("</think>");
        let may_think = prompt.thinking_mode() != Thinking::Off;
        let constraint = grammar.map(|matcher| Constraint::new(matcher, may_think, in_thinking));
        Ok(Prefilled { turns, held, rope_delta, logits, options: generate.clone(), constraint, in_thinking, timings })
    }

    /// A grammar at the start of an answer.
    fn matcher(&self, grammar: &Grammar, turns: &[Turn]) -> Result<GrammarMatcher> {
        let picture = media::transforms(turns).last().map(|transform| transform.resized);
        if picture.is_none() && grammar.needs_image() {
            return Err(Error::option("grammar", "boxes, points and actions need a picture that they lie in"));
        }
        GrammarMatcher::new(grammar, self.model.vocabulary()?, picture.unwrap_or_default())
    }

    fn most_media(&self) -> usize {
        self.model.preprocess_config().max_tokens
    }

    /// The conversation with the messages of a prompt, with at most so many tokens of media.
    fn with(&self, messages: Vec<Message>, most: usize, cancel: &CancelToken) -> Result<Vec<Turn>> {
        let mut turns = self.turns.clone();
        let system = |message: &Message| message.role == Role::System;
        if messages.first().is_some_and(system) && turns.first().is_some_and(|turn| system(&turn.message)) {
            turns.remove(0);
        }
        for (index, message) in messages.into_iter().enumerate() {
            let first = index == 0 && system(&message);
            let turn = Turn::new(message, &turns, self.model.preprocess_config(), most, cancel)?;
            turns.insert(if first { 0 } else { turns.len() }, turn);
        }
        Ok(turns)
    }

    /// What a question makes of the conversation, without its features.
    pub(super) fn planned(&self, prompt: &Prompt) -> Result<Planned> {
        let (messages, begun) = prompt.resolve(self.model.thinking_style())?;
        // A plan is made at once; what stopped an earlier call is of no concern.
        let most = self.most_media().saturating_mul(MOST_PLANNED);
        let turns = self.with(messages.clone(), most, &CancelToken::new())?;
        let encoded = self.encode(&turns, begun)?;
        let cached = self.held.common(&encoded.tokens, Arc::ptr_eq);
        let media = |turns: &[Turn]| turns.iter().flat_map(|turn| &turn.media).cloned().collect::<Vec<_>>();
        // A system message stands at the start, the others at the end.
        let first = usize::from(messages.first().is_some_and(|message| message.role == Role::System));
        let new = [media(&turns[..first]), media(&turns[turns.len() + first - messages.len()..])].concat();
        let unseen = encoded.tokens.spans.iter().filter(|span| span.start >= cached).map(|span| &span.medium);
        let mut missing: Vec<Arc<Medium>> = Vec::new();
        for medium in unseen.filter(|medium| medium.features().is_err()) {
            if !missing.iter().any(|other| Arc::ptr_eq(other, medium)) {
                missing.push(Arc::clone(medium));
            }
        }
        Ok(Planned { messages, media: new, missing, tokens: encoded.tokens.ids.len(), cached })
    }

    /// Render and encode a conversation, with the beginning of the answer.
    fn encode(&self, turns: &[Turn], begun: &str) -> Result<EncodedConversation> {
        let (model, config) = (&self.model, self.model.config());
        let messages: Vec<Message> = turns.iter().map(|turn| turn.message.clone()).collect();
        let mut ids = model.template().encode(model.tokenizer(), &messages, true)?;
        ids.extend(model.tokenizer().encode(begun)?);
        let rows = config.text.vocab_size;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let reason = format!("it gives token {id}, and vocab_size of config.json is {rows}");
            return Err(Error::checkpoint(model.directory().join("tokenizer.json"), reason));
        }
        let media: Vec<&Arc<Medium>> = turns.iter().flat_map(|turn| &turn.media).collect();
        let grids: Vec<(Grid, Option<f64>)> =
            media.iter().map(|medium| (medium.layout().grid, medium.layout().second_per_grid)).collect();
        let encoded = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let spans = encoded.slots.iter().zip(media);
        let spans =
            spans.map(|(slot, medium)| MediaSpan { start: slot.start, len: slot.len, medium: Arc::clone(medium) });
        Ok(EncodedConversation {
            tokens: CachedPrefix { ids: encoded.ids, spans: spans.collect() },
            positions: encoded.positions,
            rope_delta: encoded.rope_delta,
        })
    }

    /// Make sure that every medium that the cache lacks has its features.
    fn encode_media(
        &self,
        spans: &[MediaSpan],
        held: usize,
        timings: &mut Timings,
        cancel: &CancelToken,
    ) -> Result<()> {
        let media = spans.iter().filter(|span| span.start >= held).map(|span| &span.medium);
        media::encode(media, &self.model, cancel, [&mut timings.preprocess, &mut timings.encode])
    }

    /// The logits after every token of a prompt, as the start of a conversation, row by row; the conversation is empty
    /// after it.
    pub(super) fn logits(&mut self, prompt: &Prompt, cancel: &CancelToken) -> Result<Vec<f32>> {
        self.reset();
        let (messages, begun) = prompt.resolve(self.model.thinking_style())?;
        let turns = self.with(messages, self.most_media(), cancel)?;
        let EncodedConversation { tokens, positions, .. } = self.encode(&turns, begun)?;
        let (needed, limit) = (tokens.ids.len(), self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        cancel.check()?;
        self.encode_media(&tokens.spans, 0, &mut Timings::default(), cancel)?;
        let logits = self.sequence.prefill(&segment(&tokens, &positions, 0)?, LOGITS_CHUNK, true, cancel);
        self.sequence.truncate(0);
        logits
    }

    /// Bring the cache from its first `held` tokens to the whole of `encoded`; gives the logits of the last token.
    fn prefill(&mut self, encoded: EncodedConversation, held: usize, max_tokens: usize) -> Result<Vec<f32>> {
        let EncodedConversation { tokens, positions, .. } = encoded;
        let _span = tracing::debug_span!("prefill", tokens = tokens.ids.len(), cached = held).entered();
        self.rewind(held);
        let room = tokens.ids.len().saturating_add(max_tokens).min(self.model.max_context());
        self.sequence.reserve(room)?;
        let logits = self.sequence.extend(&segment(&tokens, &positions, held)?, &self.cancel)?;
        self.check_rows(&logits, 1)?;
        self.held = tokens;
        Ok(logits)
    }

    /// Take in one token of the answer, and guesses of those after it, which [`accept`](Self::accept) makes part of it;
    /// gives the logits after each, row by row.
    pub(super) fn step(&mut self, ids: &[u32], rope_delta: i64) -> Result<Vec<f32>> {
        let held = self.held.ids.len();
        // What was guessed before and not accepted.
        self.sequence.truncate(held);
        let position = |index: usize| {
            let position = (held + index) as i64 + rope_delta;
            u32::try_from(position).map_err(|_| Error::internal(format!("position {position}")))
        };
        let positions: Vec<[u32; 3]> = (0..ids.len()).map(|index| Ok([position(index)?; 3])).collect::<Result<_>>()?;
        let segment = PrefillInput { ids, positions: &positions, media: Vec::new() };
        let logits = self.sequence.prefill(&segment, ids.len(), true, &self.cancel)?;
        self.check_rows(&logits, ids.len())?;
        self.held.ids.extend(ids.first());
        Ok(logits)
    }

    /// The step that takes in the next token of the answer; [`accept`](Self::accept) makes it part of the answer.
    pub(super) fn next_step(&mut self, id: u32, rope_delta: i64) -> Result<Step<'_>> {
        let position = self.held.ids.len() as i64 + rope_delta;
        let position = u32::try_from(position).map_err(|_| Error::internal(format!("position {position}")))?;
        Ok(Step { sequence: &mut *self.sequence, id, position })
    }

    /// Pass when there are logits for so many tokens.
    pub(super) fn check_rows(&self, logits: &[f32], rows: usize) -> Result<()> {
        let expected = rows * self.model.config().text.vocab_size;
        if logits.len() == expected {
            return Ok(());
        }
        Err(Error::internal(format!("{} logits where {expected} are expected", logits.len())))
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

    /// Make `turns` and the answer to them the conversation.
    pub(super) fn commit(&mut self, mut turns: Vec<Turn>, options: &GenerateOptions, thinking: &str, text: &str) {
        let mut message = Message::new(Role::Assistant);
        if options.keep_thinking && !thinking.is_empty() {
            message.parts.push(Part::Thinking(thinking.to_owned()));
        }
        let (said, calls) = match available_tools(turns.iter().map(|turn| &turn.message)) {
            Ok(Some(_)) => ToolCall::split(text),
            _ => (text, Vec::new()),
        };
        let mut message = message.text(said);
        message.parts.extend(calls.into_iter().map(Part::ToolCall));
        turns.push(Turn { message, media: Vec::new() });
        self.turns = turns;
        self.cancel.set_deadline(None);
    }

    /// Remember it if `error` is an internal one; gives it back.
    pub(super) fn note(&mut self, error: Error) -> Error {
        self.poisoned |= matches!(error, Error::Internal { .. });
        self.cancel.set_deadline(None);
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
fn segment<'a>(tokens: &'a CachedPrefix, positions: &'a [[u32; 3]], held: usize) -> Result<PrefillInput<'a>> {
    let new = tokens.spans.iter().enumerate().filter(|(_, span)| span.start >= held);
    let media = new.map(|(media, span)| {
        let slot = PlaceholderRange { media, start: span.start - held, len: span.len };
        Ok((slot, span.medium.features()?))
    });
    Ok(PrefillInput {
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
