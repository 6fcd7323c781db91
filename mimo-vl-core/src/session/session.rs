//! One conversation: its messages, its cache, and the prefill of an answer.

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
use crate::prompt::{
    Message, Part, Prompt, ResolvedPrompt, Role, Thinking, ToolCall, available_tools, ends_in_thinking,
};
use crate::sampling::{GenerateOptions, Grammar, GrammarMatcher};

/// A conversation with a model.
///
/// Each [`ask`](Self::ask) or [`stream`](Self::stream) adds a prompt and its answer. A call that fails, is cancelled,
/// or whose stream is dropped before its end adds nothing: the conversation stays as it was. The session keeps its
/// images and videos with their features, and the cached keys and values of its tokens, which later prompts reuse.
pub struct Session {
    model: Model,
    sequence: Box<dyn Sequence>,
    /// The tokens in `sequence`.
    cached: CachedPrefix,
    conversation: Vec<ConversationMessage>,
    /// An internal error occurred, so the state on the device is unknown.
    poisoned: bool,
}

/// Tokens per forward pass when the logits of all tokens are computed.
const LOGITS_CHUNK: usize = 128;

/// Contexts that the images and videos of a plan may fill.
const MAX_PLANNED_CONTEXTS: usize = 16;

/// A conversation as the model's input, with the start of the answer.
struct EncodedConversation {
    tokens: CachedPrefix,
    positions: Vec<[u32; 3]>,
    rope_delta: i64,
    /// The answer begins inside the thinking.
    starts_in_thinking: bool,
}

/// A conversation with one more prompt applied, tokenised but without features.
pub(super) struct PlannedConversation {
    /// Messages of the prompt.
    pub(super) messages: Vec<Message>,
    /// Media of the prompt, in order.
    pub(super) media: Vec<Arc<MediaItem>>,
    /// Media of the entire conversation that must be encoded.
    pub(super) missing: Vec<Arc<MediaItem>>,
    /// Tokens of the entire conversation.
    pub(super) tokens: usize,
    /// Tokens of those that are cached.
    pub(super) cached: usize,
}

/// A prompt after its prefill, from which an answer is decoded.
#[derive(Clone)]
pub(super) struct Prefilled {
    /// The conversation with the prompt.
    pub(super) conversation: Vec<ConversationMessage>,
    /// Tokens that were cached before the prompt.
    pub(super) cached_len: usize,
    /// Difference between the position of a token of the answer and its index.
    pub(super) rope_delta: i64,
    /// Logits of the answer's first token.
    pub(super) logits: Vec<f32>,
    pub(super) options: GenerateOptions,
    pub(super) constraint: Option<Constraint>,
    /// Start of the answer from the caller; may be empty.
    pub(super) continued: String,
    /// The prompt ends inside the thinking.
    pub(super) starts_in_thinking: bool,
    pub(super) timings: Timings,
    pub(super) control: TaskControl,
}

impl Model {
    /// Opens a new conversation.
    pub fn session(&self) -> Session {
        Session::with_conversation(self.clone(), Vec::new())
    }
}

impl Session {
    /// A session that continues a conversation. Nothing is cached.
    pub(super) fn with_conversation(model: Model, conversation: Vec<ConversationMessage>) -> Self {
        let sequence = model.engine().sequence();
        Self { model, sequence, cached: CachedPrefix::default(), conversation, poisoned: false }
    }

    pub(super) fn conversation(&self) -> &[ConversationMessage] {
        &self.conversation
    }

    /// Returns an error if an internal error occurred before.
    pub(super) fn ensure_not_poisoned(&self) -> Result<()> {
        if self.poisoned {
            return Err(Error::internal("this session met an internal error before; open a new one"));
        }
        Ok(())
    }

    /// Poisons the session if `error` is an internal one. Returns the error.
    pub(super) fn poison_on_internal(&mut self, error: Error) -> Error {
        self.poisoned |= matches!(error, Error::Internal { .. });
        error
    }

    /// Returns a second session that continues from here independently. Both share their images and features, and the
    /// cache until one of them continues.
    pub fn fork(&self) -> Self {
        Self {
            model: self.model.clone(),
            sequence: self.sequence.fork(),
            cached: self.cached.clone(),
            conversation: self.conversation.clone(),
            poisoned: self.poisoned,
        }
    }

    /// Clears the conversation, with its images and videos, and the cache.
    pub fn reset(&mut self) {
        self.rewind(0);
        self.conversation.clear();
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Messages of the conversation, answers included. Thinking is included only where
    /// [`GenerateOptions::keep_thinking`](GenerateOptions#structfield.keep_thinking) was set.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = &Message> {
        self.conversation.iter().map(|message| &*message.message)
    }

    /// Number of tokens in the cache.
    pub fn cached_tokens(&self) -> usize {
        self.cached.ids.len()
    }

    /// The tokens in the cache.
    pub(super) fn cached_ids(&self) -> &[u32] {
        &self.cached.ids
    }

    /// Bytes that a cache of `tokens` tokens needs beside the allocated ones.
    pub(super) fn growth(&self, tokens: usize) -> u64 {
        self.sequence.growth(tokens)
    }

    /// Memory of the session and its model.
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

    /// Applies a prompt and prefills it, up to the logits of the answer's first token.
    pub(super) fn prefill_prompt(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        control: TaskControl,
    ) -> Result<Prefilled> {
        self.ensure_not_poisoned()?;
        self.try_prefill_prompt(prompt, options, control).map_err(|error| self.poison_on_internal(error))
    }

    fn try_prefill_prompt(
        &mut self,
        prompt: &Prompt,
        options: &GenerateOptions,
        control: TaskControl,
    ) -> Result<Prefilled> {
        options.validate()?;
        check_logit_bias(options, self.model.config().text.vocab_size)?;
        let mut timings = Timings { load: self.model.load_time(), ..Timings::default() };
        let ResolvedPrompt { messages, answer_prefix, continued } = prompt.resolve(self.model.thinking_style())?;
        let conversation =
            timed(&mut timings.preprocess, || self.append_messages(messages, self.max_media_tokens(), &control))?;
        timings.media = media::decode_time(&conversation, &self.conversation);
        let encoded = self.encode(&conversation, answer_prefix, &continued)?;
        self.check_context(encoded.tokens.ids.len() + 1, options)?;
        let grammar = options.grammar.as_ref().map(|grammar| self.matcher(grammar, &conversation)).transpose()?;
        let cached_len = self.cached.common_prefix_len(&encoded.tokens, Arc::ptr_eq);
        timings.prompt_tokens = encoded.tokens.ids.len();
        timings.cached_tokens = cached_len;
        self.encode_media(&encoded.tokens.spans, cached_len, &mut timings, &control)?;
        let rope_delta = encoded.rope_delta;
        let starts_in_thinking = encoded.starts_in_thinking;
        let logits = timed(&mut timings.prefill, || self.prefill(encoded, cached_len, options, &control))?;
        let may_think = prompt.thinking_mode() != Thinking::Off && continued.is_empty();
        let constraint = grammar.map(|matcher| Constraint::new(matcher, may_think, starts_in_thinking));
        let options = options.clone();
        Ok(Prefilled {
            conversation,
            cached_len,
            rope_delta,
            logits,
            options,
            constraint,
            continued,
            starts_in_thinking,
            timings,
            control,
        })
    }

    /// Returns an error if `tokens` tokens exceed the context.
    fn check_context(&self, tokens: usize, options: &GenerateOptions) -> Result<()> {
        let limit = options.context_limit(self.model.max_context());
        if tokens > limit {
            return Err(Error::ContextTooLong { tokens, limit });
        }
        Ok(())
    }

    /// The matcher of a grammar at the start of an answer.
    fn matcher(&self, grammar: &Grammar, conversation: &[ConversationMessage]) -> Result<GrammarMatcher> {
        let image_size = media::transforms(conversation).last().map(|transform| transform.resized);
        if image_size.is_none() && grammar.needs_image() {
            return Err(Error::option("grammar", "boxes, points and actions need an image in the conversation"));
        }
        GrammarMatcher::new(grammar, self.model.vocabulary()?, image_size.unwrap_or_default())
    }

    fn max_media_tokens(&self) -> usize {
        self.model.preprocess_config().max_tokens
    }

    /// The conversation with the messages of a prompt. A system message at the start replaces the conversation's.
    ///
    /// [`Error::ContextTooLong`] when all media together have more than `max_media_tokens` tokens.
    fn append_messages(
        &self,
        messages: Vec<Message>,
        max_media_tokens: usize,
        control: &TaskControl,
    ) -> Result<Vec<ConversationMessage>> {
        if messages.is_empty() && !self.conversation.is_empty() {
            return Err(Error::prompt("a prompt without template needs an empty conversation"));
        }
        let mut conversation = self.conversation.clone();
        let is_system = |message: &Message| message.role == Role::System;
        let replaces_system = messages.first().is_some_and(is_system)
            && conversation.first().is_some_and(|message| is_system(&message.message));
        if replaces_system {
            conversation.remove(0);
        }
        for (index, message) in messages.into_iter().enumerate() {
            let goes_first = index == 0 && is_system(&message);
            let message = ConversationMessage::new(
                message,
                &conversation,
                self.model.preprocess_config(),
                max_media_tokens,
                control,
            )?;
            conversation.insert(if goes_first { 0 } else { conversation.len() }, message);
        }
        Ok(conversation)
    }

    /// Applies a prompt to the conversation without computing features.
    pub(super) fn plan_conversation(&self, prompt: &Prompt) -> Result<PlannedConversation> {
        let ResolvedPrompt { messages, answer_prefix, continued } = prompt.resolve(self.model.thinking_style())?;
        let max_media_tokens = self.max_media_tokens().saturating_mul(MAX_PLANNED_CONTEXTS);
        let conversation = self.append_messages(messages.clone(), max_media_tokens, &TaskControl::default())?;
        let encoded = self.encode(&conversation, answer_prefix, &continued)?;
        let cached = self.cached.common_prefix_len(&encoded.tokens, Arc::ptr_eq);
        let media = |messages: &[ConversationMessage]| {
            messages.iter().flat_map(|message| &message.media).cloned().collect::<Vec<_>>()
        };
        // A system message was inserted at the start, the others at the end.
        let system = usize::from(messages.first().is_some_and(|message| message.role == Role::System));
        let last = conversation.len() + system - messages.len();
        let prompt_media = [media(&conversation[..system]), media(&conversation[last..])].concat();
        let uncached = encoded.tokens.spans.iter().filter(|span| span.start >= cached).map(|span| &span.item);
        let mut missing: Vec<Arc<MediaItem>> = Vec::new();
        for item in uncached.filter(|item| item.features().is_err()) {
            if !missing.iter().any(|other| Arc::ptr_eq(other, item)) {
                missing.push(Arc::clone(item));
            }
        }
        let tokens = encoded.tokens.ids.len();
        Ok(PlannedConversation { messages, media: prompt_media, missing, tokens, cached })
    }

    /// Renders and tokenises a conversation, with the start of the answer.
    fn encode(
        &self,
        conversation: &[ConversationMessage],
        answer_prefix: &str,
        continued: &str,
    ) -> Result<EncodedConversation> {
        let (model, config) = (&self.model, self.model.config());
        let messages = conversation.iter().map(|message| &*message.message);
        let mut ids = match conversation.is_empty() {
            true => Vec::new(),
            false => model.template().encode_refs(model.tokenizer(), messages, true)?,
        };
        ids.extend(model.tokenizer().encode(answer_prefix)?);
        let starts_in_thinking = !ids.is_empty() && ends_in_thinking(&ids, continued, model.tokenizer());
        ids.extend(model.tokenizer().encode_text(continued)?);
        let rows = config.text.vocab_size;
        if let Some(id) = ids.iter().find(|&&id| id as usize >= rows) {
            let reason = format!("it gives token {id}, and vocab_size of config.json is {rows}");
            return Err(Error::checkpoint(model.directory().join("tokenizer.json"), reason));
        }
        let media: Vec<&Arc<MediaItem>> = conversation.iter().flat_map(|message| &message.media).collect();
        let grids: Vec<(Grid, Option<f64>)> =
            media.iter().map(|item| (item.layout().grid, item.layout().second_per_grid)).collect();
        let input = build_input(&ids, &grids, &config.tokens, config.vision.tokens_per_second)?;
        let spans = input.placeholders.iter().zip(media);
        let spans = spans.map(|(range, item)| MediaSpan { start: range.start, len: range.len, item: Arc::clone(item) });
        Ok(EncodedConversation {
            tokens: CachedPrefix { ids: input.ids, spans: spans.collect() },
            positions: input.positions,
            rope_delta: input.rope_delta,
            starts_in_thinking,
        })
    }

    /// Computes the missing features of the media after the first `cached_len` tokens.
    fn encode_media(
        &self,
        spans: &[MediaSpan],
        cached_len: usize,
        timings: &mut Timings,
        control: &TaskControl,
    ) -> Result<()> {
        let media = spans.iter().filter(|span| span.start >= cached_len).map(|span| &span.item);
        media::encode(media, &self.model, control, timings)
    }

    /// Returns the logits after every token of a prompt in an empty conversation, `[tokens, vocabulary]`, row by row.
    /// The conversation is empty afterwards.
    pub(super) fn logits(&mut self, prompt: &Prompt, control: &TaskControl) -> Result<Vec<f32>> {
        self.reset();
        let ResolvedPrompt { messages, answer_prefix, continued } = prompt.resolve(self.model.thinking_style())?;
        let conversation = self.append_messages(messages, self.max_media_tokens(), control)?;
        let EncodedConversation { tokens, positions, .. } = self.encode(&conversation, answer_prefix, &continued)?;
        self.check_context(tokens.ids.len(), &GenerateOptions::new())?;
        control.check()?;
        self.encode_media(&tokens.spans, 0, &mut Timings::default(), control)?;
        let logits = self.sequence.prefill(&uncached_input(&tokens, &positions, 0)?, LOGITS_CHUNK, true, control);
        self.sequence.truncate(0);
        logits
    }

    /// Truncates the cache to its first `cached_len` tokens and prefills the rest of `encoded`. Returns the logits of
    /// the last token.
    fn prefill(
        &mut self,
        encoded: EncodedConversation,
        cached_len: usize,
        options: &GenerateOptions,
        control: &TaskControl,
    ) -> Result<Vec<f32>> {
        let EncodedConversation { tokens, positions, .. } = encoded;
        let _span = tracing::debug_span!("prefill", tokens = tokens.ids.len(), cached = cached_len).entered();
        self.rewind(cached_len);
        let limit = options.context_limit(self.model.max_context());
        let capacity = tokens.ids.len().saturating_add(options.max_tokens).min(limit);
        self.sequence.reserve(capacity)?;
        let logits = self.sequence.extend(&uncached_input(&tokens, &positions, cached_len)?, control)?;
        self.check_rows(&logits, 1)?;
        self.cached = tokens;
        Ok(logits)
    }

    /// Runs a forward pass over the answer's last token and draft tokens after it. Returns the logits after each, row
    /// by row. Only the first token counts as cached; [`commit_token`](Self::commit_token) adds the drafts that are
    /// accepted.
    pub(super) fn step(&mut self, ids: &[u32], rope_delta: i64, control: &TaskControl) -> Result<Vec<f32>> {
        let cached_len = self.cached.ids.len();
        // Drop rejected drafts of the previous step.
        self.sequence.truncate(cached_len);
        let positions: Vec<[u32; 3]> = (cached_len..cached_len + ids.len())
            .map(|index| Ok([position(index, rope_delta)?; 3]))
            .collect::<Result<_>>()?;
        let input = PrefillInput { ids, positions: &positions, media: Vec::new() };
        let logits = self.sequence.prefill(&input, ids.len(), true, control)?;
        self.check_rows(&logits, ids.len())?;
        self.cached.ids.extend(ids.first());
        Ok(logits)
    }

    /// The step of the answer's last token in a decode batch. After it, [`commit_token`](Self::commit_token) must be
    /// called.
    pub(super) fn decode_step(&mut self, id: u32, rope_delta: i64) -> Result<Step<'_>> {
        let position = position(self.cached.ids.len(), rope_delta)?;
        Ok(Step { sequence: &mut *self.sequence, id, position })
    }

    /// Counts the next token of the sequence as cached.
    pub(super) fn commit_token(&mut self, id: u32) {
        self.cached.ids.push(id);
    }

    /// Returns an error unless there are logits for `rows` tokens.
    pub(super) fn check_rows(&self, logits: &[f32], rows: usize) -> Result<()> {
        let expected = rows * self.model.config().text.vocab_size;
        if logits.len() == expected {
            return Ok(());
        }
        Err(Error::internal(format!("{} logits where {expected} are expected", logits.len())))
    }

    /// Removes the tokens from index `len` on from the cache.
    pub(super) fn rewind(&mut self, len: usize) {
        self.sequence.truncate(len);
        self.cached.truncate(len);
    }

    /// Replaces the conversation by `conversation` and the answer to it.
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
        let (content, calls) = match available_tools(conversation.iter().map(|message| &*message.message)) {
            Ok(Some(_)) => ToolCall::split(text),
            _ => (text.into(), Vec::new()),
        };
        let mut message = message.text(content);
        message.parts.extend(calls.into_iter().map(Part::ToolCall));
        conversation.push(ConversationMessage { message: Arc::new(message), media: Vec::new() });
        self.conversation = conversation;
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

/// Checks that the biases are for tokens of the vocabulary.
pub(super) fn check_logit_bias(options: &GenerateOptions, vocabulary: usize) -> Result<()> {
    match options.logit_bias.iter().find(|(id, _)| *id as usize >= vocabulary) {
        Some((id, _)) => Err(Error::option("logit_bias", format!("token {id} is not one of the model's {vocabulary}"))),
        None => Ok(()),
    }
}

/// Position of the answer's token at `index` of the sequence.
pub(super) fn position(index: usize, rope_delta: i64) -> Result<u32> {
    let position = index as i64 + rope_delta;
    u32::try_from(position).map_err(|_| Error::internal(format!("position {position}")))
}

/// The part to prefill: tokens, positions and media after the first `cached_len` tokens.
fn uncached_input<'a>(
    tokens: &'a CachedPrefix,
    positions: &'a [[u32; 3]],
    cached_len: usize,
) -> Result<PrefillInput<'a>> {
    let uncached = tokens.spans.iter().enumerate().filter(|(_, span)| span.start >= cached_len);
    let media = uncached.map(|(media, span)| {
        let range = PlaceholderRange { media, start: span.start - cached_len, len: span.len };
        Ok((range, span.item.features()?))
    });
    Ok(PrefillInput {
        ids: tokens.ids.get(cached_len..).unwrap_or_default(),
        positions: positions.get(cached_len..).unwrap_or_default(),
        media: media.collect::<Result<_>>()?,
    })
}
