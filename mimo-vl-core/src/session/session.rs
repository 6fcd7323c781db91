//! One conversation: its messages, what the cache holds of them, and the start of an answer.

use std::fmt;
use std::sync::Arc;

use super::answer::{MemoryUse, Timings, timed};
use super::constraint::Constraint;
use super::media::{self, ConversationMessage, MediaItem};
use super::model::Model;
use super::prefix::{CachedPrefix, MediaSpan};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};
use crate::model::{Features, PlaceholderRange, PrefillInput, Sequence, Step, build_input};
use crate::preprocess::Grid;
use crate::prompt::{Message, Part, Prompt, Role, Thinking, ToolCall, available_tools};
use crate::sampling::{GenerateOptions, Grammar, GrammarMatcher};

/// A conversation with a model.
///
/// Each [`ask`](Self::ask) or [`stream`](Self::stream) adds a message. A call that fails, is cancelled, or whose stream is
/// dropped before its end adds nothing: the conversation is as it was. The session keeps its pictures and videos
/// with their features, and what earlier conversation computed of the beginning that the next one shares with them.
pub struct Session {
    model: Model,
    sequence: Box<dyn Sequence>,
    /// What `sequence` holds.
    cached: CachedPrefix,
    conversation: Vec<ConversationMessage>,
    /// An internal error was met: the state on the device is not known any more.
    poisoned: bool,
}

/// CachedPrefix whose logits are computed at once when those of all tokens are wanted.
const LOGITS_CHUNK: usize = 128;

/// Contexts that the pictures and videos of a plan may fill.
const MAX_PLANNED_CONTEXTS: usize = 16;

/// A conversation, encoded: what the model is to see before it answers.
struct EncodedConversation {
    tokens: CachedPrefix,
    positions: Vec<[u32; 3]>,
    rope_delta: i64,
}

/// What a question makes of a conversation.
pub(super) struct PlannedConversation {
    /// The new messages.
    pub(super) messages: Vec<Message>,
    /// Their media, in order.
    pub(super) media: Vec<Arc<MediaItem>>,
    /// The media of the whole conversation that must be encoded.
    pub(super) missing: Vec<Arc<MediaItem>>,
    /// CachedPrefix of the whole conversation.
    pub(super) tokens: usize,
    /// How many of them are cached_len.
    pub(super) cached: usize,
}

/// A question that the model has taken in.
#[derive(Clone)]
pub(super) struct Prefilled {
    pub(super) conversation: Vec<ConversationMessage>,
    pub(super) cached_len: usize,
    pub(super) rope_delta: i64,
    pub(super) logits: Vec<f32>,
    pub(super) options: GenerateOptions,
    pub(super) constraint: Option<Constraint>,
    /// The prompt has opened the thinking.
    pub(super) starts_in_thinking: bool,
    pub(super) timings: Timings,
    pub(super) control: TaskControl,
}

impl Session {
    pub(super) fn new(model: Model) -> Self {
        Self::with_conversation(model, Vec::new())
    }

    /// A conversation that has been going on.
    pub(super) fn with_conversation(model: Model, conversation: Vec<ConversationMessage>) -> Self {
        let sequence = model.engine().sequence();
        Self { model, sequence, cached: CachedPrefix::default(), conversation, poisoned: false }
    }

    pub(super) fn conversation(&self) -> &[ConversationMessage] {
        &self.conversation
    }

    /// Pass unless an internal error was met.
    pub(super) fn ensure_not_poisoned(&self) -> Result<()> {
        if self.poisoned {
            return Err(Error::internal("this session met an internal error before; open a new one"));
        }
        Ok(())
    }

    /// Adds a prompt and prefills it, up to the logits of the answer's first token.
    pub(super) fn start(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        control: TaskControl,
    ) -> Result<Prefilled> {
        self.ensure_not_poisoned()?;
        self.begin(prompt, options, control).map_err(|error| self.poison_on_internal(error))
    }

    /// A second session that goes on from here on its own. The two share their pictures and features, and what the cache
    /// holds until either goes on.
    pub fn fork(&self) -> Self {
        Self {
            model: self.model.clone(),
            sequence: self.sequence.fork(),
            cached: self.cached.clone(),
            conversation: self.conversation.clone(),
            poisoned: self.poisoned,
        }
    }

    /// Forget the conversation, and its pictures and videos.
    pub fn reset(&mut self) {
        self.rewind(0);
        self.conversation.clear();
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The conversation so far, answers included; their thinking only where it was to be kept.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.conversation.iter().map(|message| &message.message)
    }

    /// How many tokens the cache holds.
    pub fn cached_tokens(&self) -> usize {
        self.cached.ids.len()
    }

    /// Bytes that a cache of `tokens` tokens needs beside those that are allocated.
    pub(super) fn growth(&self, tokens: usize) -> u64 {
        self.sequence.growth(tokens)
    }

    /// What the session takes.
    pub(super) fn memory(&self) -> MemoryUse {
        let mut media: Vec<&Arc<MediaItem>> = Vec::new();
        for item in self.conversation.iter().flat_map(|message| &message.media) {
            if !media.iter().any(|other| Arc::ptr_eq(other, item)) {
                media.push(item);
            }
        }
        MemoryUse {
            weights: self.model.engine().weight_bytes(),
            cache: self.sequence.bytes(),
            pixels: media.iter().flat_map(|item| item.frames()).map(|frame| frame.pixels().len() as u64).sum(),
            features: media.iter().filter_map(|item| item.features().ok()).map(Features::bytes).sum(),
        }
    }

    /// Everything up to the first logits of the answer.
    fn begin(&mut self, prompt: &Prompt, options: &GenerateOptions, control: TaskControl) -> Result<Prefilled> {
        options.validate()?;
        let vocabulary = self.model.config().text.vocab_size;
        if let Some((id, _)) = options.logit_bias.iter().find(|(id, _)| *id as usize >= vocabulary) {
            return Err(Error::option("logit_bias", format!("token {id} is not one of the model's {vocabulary}")));
        }
        let mut timings = Timings { load: self.model.load_time(), ..Timings::default() };
        let (messages, answer_prefix) = prompt.resolve(self.model.thinking_style())?;
        let conversation =
            timed(&mut timings.preprocess, || self.append_messages(messages, self.max_media_tokens(), &control))?;
        timings.media = media::decoding(&conversation, &self.conversation);
        let encoded = self.encode(&conversation, answer_prefix)?;
        let (needed, limit) = (encoded.tokens.ids.len() + 1, self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        let grammar = options.grammar.as_ref().map(|grammar| self.matcher(grammar, &conversation)).transpose()?;
        let cached_len = self.cached.common_prefix_len(&encoded.tokens, Arc::ptr_eq);
        timings.prompt_tokens = encoded.tokens.ids.len();
        timings.cached_tokens = cached_len;
        self.encode_media(&encoded.tokens.spans, cached_len, &mut timings, &control)?;
        let rope_delta = encoded.rope_delta;
        let logits = timed(&mut timings.prefill, || self.prefill(encoded, cached_len, options.max_tokens, &control))?;
        let starts_in_thinking = answer_prefix.starts_with("<think>") && !answer_prefix.contains("</think>");
        let may_think = prompt.thinking_mode() != Thinking::Off;
        let constraint = grammar.map(|matcher| Constraint::new(matcher, may_think, starts_in_thinking));
        let options = options.clone();
        Ok(Prefilled {
            conversation,
            cached_len,
            rope_delta,
            logits,
            options,
            constraint,
            starts_in_thinking,
            timings,
            control,
        })
    }

    /// A grammar at the start of an answer.
    fn matcher(&self, grammar: &Grammar, conversation: &[ConversationMessage]) -> Result<GrammarMatcher> {
        let picture = media::transforms(conversation).last().map(|transform| transform.resized);
        if picture.is_none() && grammar.needs_image() {
            return Err(Error::option("grammar", "boxes, points and actions need a picture that they lie in"));
        }
        GrammarMatcher::new(grammar, self.model.vocabulary()?, picture.unwrap_or_default())
    }

    fn max_media_tokens(&self) -> usize {
        self.model.preprocess_config().max_tokens
    }

    /// The conversation with the messages of a prompt, with at most so many tokens of media.
    fn append_messages(
        &self,
        messages: Vec<Message>,
        max_media_tokens: usize,
        control: &TaskControl,
    ) -> Result<Vec<ConversationMessage>> {
        let mut conversation = self.conversation.clone();
        let system = |message: &Message| message.role == Role::System;
        if messages.first().is_some_and(system) && conversation.first().is_some_and(|message| system(&message.message))
        {
            conversation.remove(0);
        }
        for (index, message) in messages.into_iter().enumerate() {
            let first = index == 0 && system(&message);
            let message = ConversationMessage::new(
                message,
                &conversation,
                self.model.preprocess_config(),
                max_media_tokens,
                control,
            )?;
            conversation.insert(if first { 0 } else { conversation.len() }, message);
        }
        Ok(conversation)
    }

    /// What a question makes of the conversation, without its features.
    pub(super) fn plan_conversation(&self, prompt: &Prompt) -> Result<PlannedConversation> {
        let (messages, answer_prefix) = prompt.resolve(self.model.thinking_style())?;
        let most = self.max_media_tokens().saturating_mul(MAX_PLANNED_CONTEXTS);
        let conversation = self.append_messages(messages.clone(), most, &TaskControl::default())?;
        let encoded = self.encode(&conversation, answer_prefix)?;
        let cached = self.cached.common_prefix_len(&encoded.tokens, Arc::ptr_eq);
        let media = |conversation: &[ConversationMessage]| {
            conversation.iter().flat_map(|message| &message.media).cloned().collect::<Vec<_>>()
        };
        // A system message stands at the start, the others at the end.
        let first = usize::from(messages.first().is_some_and(|message| message.role == Role::System));
        let new = [media(&conversation[..first]), media(&conversation[conversation.len() + first - messages.len()..])]
            .concat();
        let unseen = encoded.tokens.spans.iter().filter(|span| span.start >= cached).map(|span| &span.item);
        let mut missing: Vec<Arc<MediaItem>> = Vec::new();
        for item in unseen.filter(|item| item.features().is_err()) {
            if !missing.iter().any(|other| Arc::ptr_eq(other, item)) {
                missing.push(Arc::clone(item));
            }
        }
        Ok(PlannedConversation { messages, media: new, missing, tokens: encoded.tokens.ids.len(), cached })
    }

    /// Render and encode a conversation, with the beginning of the answer.
    fn encode(&self, conversation: &[ConversationMessage], answer_prefix: &str) -> Result<EncodedConversation> {
        let (model, config) = (&self.model, self.model.config());
        let messages: Vec<Message> = conversation.iter().map(|message| message.message.clone()).collect();
        let mut ids = model.template().encode(model.tokenizer(), &messages, true)?;
        ids.extend(model.tokenizer().encode(answer_prefix)?);
        let rows = config.text.vocab_size;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let reason = format!("it gives token {id}, and vocab_size of config.json is {rows}");
            return Err(Error::checkpoint(model.directory().join("tokenizer.json"), reason));
        }
        let media: Vec<&Arc<MediaItem>> = conversation.iter().flat_map(|message| &message.media).collect();
        let grids: Vec<(Grid, Option<f64>)> =
            media.iter().map(|item| (item.layout().grid, item.layout().second_per_grid)).collect();
        let encoded = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let spans = encoded.placeholders.iter().zip(media);
        let spans = spans.map(|(slot, item)| MediaSpan { start: slot.start, len: slot.len, item: Arc::clone(item) });
        Ok(EncodedConversation {
            tokens: CachedPrefix { ids: encoded.ids, spans: spans.collect() },
            positions: encoded.positions,
            rope_delta: encoded.rope_delta,
        })
    }

    /// Make sure that every item that the cache lacks has its features.
    fn encode_media(
        &self,
        spans: &[MediaSpan],
        cached_len: usize,
        timings: &mut Timings,
        control: &TaskControl,
    ) -> Result<()> {
        let media = spans.iter().filter(|span| span.start >= cached_len).map(|span| &span.item);
        media::encode(media, &self.model, control, [&mut timings.preprocess, &mut timings.encode])
    }

    /// The logits after every token of a prompt, as the start of a conversation, row by row; the conversation is empty
    /// after it.
    pub(super) fn logits(&mut self, prompt: &Prompt, control: &TaskControl) -> Result<Vec<f32>> {
        self.reset();
        let (messages, answer_prefix) = prompt.resolve(self.model.thinking_style())?;
        let conversation = self.append_messages(messages, self.max_media_tokens(), control)?;
        let EncodedConversation { tokens, positions, .. } = self.encode(&conversation, answer_prefix)?;
        let (needed, limit) = (tokens.ids.len(), self.model.max_context());
        if needed > limit {
            return Err(Error::ContextTooLong { tokens: needed, limit });
        }
        control.check()?;
        self.encode_media(&tokens.spans, 0, &mut Timings::default(), control)?;
        let logits = self.sequence.prefill(&segment(&tokens, &positions, 0)?, LOGITS_CHUNK, true, control);
        self.sequence.truncate(0);
        logits
    }

    /// Bring the cache from its first `cached_len` tokens to the whole of `encoded`; gives the logits of the last token.
    fn prefill(
        &mut self,
        encoded: EncodedConversation,
        cached_len: usize,
        max_tokens: usize,
        control: &TaskControl,
    ) -> Result<Vec<f32>> {
        let EncodedConversation { tokens, positions, .. } = encoded;
        let _span = tracing::debug_span!("prefill", tokens = tokens.ids.len(), cached = cached_len).entered();
        self.rewind(cached_len);
        let room = tokens.ids.len().saturating_add(max_tokens).min(self.model.max_context());
        self.sequence.reserve(room)?;
        let logits = self.sequence.extend(&segment(&tokens, &positions, cached_len)?, control)?;
        self.check_rows(&logits, 1)?;
        self.cached = tokens;
        Ok(logits)
    }

    /// Take in one token of the answer, and guesses of those after it, which [`accept`](Self::accept) makes part of it;
    /// gives the logits after each, row by row.
    pub(super) fn step(&mut self, ids: &[u32], rope_delta: i64, control: &TaskControl) -> Result<Vec<f32>> {
        let cached_len = self.cached.ids.len();
        // What was guessed before and not accepted.
        self.sequence.truncate(cached_len);
        let position = |index: usize| {
            let position = (cached_len + index) as i64 + rope_delta;
            u32::try_from(position).map_err(|_| Error::internal(format!("position {position}")))
        };
        let positions: Vec<[u32; 3]> = (0..ids.len()).map(|index| Ok([position(index)?; 3])).collect::<Result<_>>()?;
        let segment = PrefillInput { ids, positions: &positions, media: Vec::new() };
        let logits = self.sequence.prefill(&segment, ids.len(), true, control)?;
        self.check_rows(&logits, ids.len())?;
        self.cached.ids.extend(ids.first());
        Ok(logits)
    }

    /// The step that takes in the next token of the answer; [`accept`](Self::accept) makes it part of the answer.
    pub(super) fn decode_step(&mut self, id: u32, rope_delta: i64) -> Result<Step<'_>> {
        let position = self.cached.ids.len() as i64 + rope_delta;
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
    pub(super) fn commit_token(&mut self, id: u32) {
        self.cached.ids.push(id);
    }

    /// The tokens that the model has seen.
    pub(super) fn cached_ids(&self) -> &[u32] {
        &self.cached.ids
    }

    /// Forget what the cache holds from token `len` on.
    pub(super) fn rewind(&mut self, len: usize) {
        self.sequence.truncate(len);
        self.cached.truncate(len);
    }

    /// Make `conversation` and the answer to them the conversation.
    pub(super) fn commit(
        &mut self,
        mut conversation: Vec<ConversationMessage>,
        options: &GenerateOptions,
        thinking: &str,
        text: &str,
    ) {
        let mut message = Message::new(Role::Assistant);
        if options.keep_thinking && !thinking.is_empty() {
            message.parts.push(Part::Thinking(thinking.to_owned()));
        }
        let (said, calls) = match available_tools(conversation.iter().map(|message| &message.message)) {
            Ok(Some(_)) => ToolCall::split(text),
            _ => (text, Vec::new()),
        };
        let mut message = message.text(said);
        message.parts.extend(calls.into_iter().map(Part::ToolCall));
        conversation.push(ConversationMessage { message, media: Vec::new() });
        self.conversation = conversation;
    }

    /// Remember it if `error` is an internal one; gives it back.
    pub(super) fn poison_on_internal(&mut self, error: Error) -> Error {
        self.poisoned |= matches!(error, Error::Internal { .. });
        error
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("model", &self.model)
            .field("messages", &self.conversation.len())
            .field("cached_tokens", &self.cached.ids.len())
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// What of a conversation comes after its first `cached_len` tokens.
fn segment<'a>(tokens: &'a CachedPrefix, positions: &'a [[u32; 3]], cached_len: usize) -> Result<PrefillInput<'a>> {
    let new = tokens.spans.iter().enumerate().filter(|(_, span)| span.start >= cached_len);
    let media = new.map(|(media, span)| {
        let slot = PlaceholderRange { media, start: span.start - cached_len, len: span.len };
        Ok((slot, span.item.features()?))
    });
    Ok(PrefillInput {
        ids: tokens.ids.get(cached_len..).unwrap_or_default(),
        positions: positions.get(cached_len..).unwrap_or_default(),
        media: media.collect::<Result<_>>()?,
    })
}

impl Model {
    /// Opens a new conversation.
    pub fn session(&self) -> Session {
        Session::new(self.clone())
    }
}
