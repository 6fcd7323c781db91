//! An answer while it is written.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Range;

use super::answer::{Answer, Timings, TokenLogprob};
use super::conversation::{Session, timed};
use super::media::{Turn, transforms};
use crate::answer::{AnswerParser, Event, Region, RegionParser, StopReason, StopTexts};
use crate::error::{Error, Result};
use crate::preprocess::Transform;
use crate::prompt::TokenText;
use crate::sampling::{Generate, Repetition, Sampled, Sampler, lookup};

/// What ends thinking that has gone on for long enough, in the form in which the model ends it.
const END_OF_THINKING: &str = "\n</think>\n\n";

/// An answer that is computed as its events are asked for.
///
/// The last event is [`Event::End`]; when it is given, the turn becomes part of the conversation. A stream that is
/// dropped before leaves the session as it was before the question. After an error nothing follows, and the
/// session is as before the question too.
pub struct Stream<'a> {
    session: &'a mut Session,
    state: State,
    /// The conversation up to the question.
    turns: Vec<Turn>,
    /// Of every image and video of the conversation.
    transforms: Vec<Transform>,
    /// How many tokens of the cache this question did not touch.
    held: usize,
    delta: i64,
    sampler: Sampler,
    /// Of the token after those that the session has seen.
    logits: Vec<f32>,
    /// Tokens that were guessed to follow, with the logits after each, as far as they were right.
    drafted: VecDeque<(u32, Vec<f32>)>,
    draft: Draft,
    options: Generate,
    /// Tokens that come next whatever the model says.
    forced: VecDeque<u32>,
    /// Tokens that were written while the model thought.
    thought: usize,
    ids: Vec<u32>,
    decoder: TokenText,
    parser: AnswerParser,
    stops: StopTexts,
    repetition: Repetition,
    region_parser: RegionParser,
    /// Events that are not given yet.
    ready: VecDeque<Event>,
    text: String,
    thinking: String,
    regions: Vec<Region>,
    logprobs: Vec<TokenLogprob>,
    /// How long `text` was after each token.
    ends: Vec<usize>,
    timings: Timings,
}

/// A question that the model has taken in.
#[derive(Clone)]
pub(super) struct Begun {
    pub(super) turns: Vec<Turn>,
    pub(super) held: usize,
    pub(super) delta: i64,
    pub(super) logits: Vec<f32>,
    pub(super) options: Generate,
    /// The prompt has opened the thinking.
    pub(super) in_thinking: bool,
    pub(super) timings: Timings,
}

/// How many tokens are guessed at a time: fewer after wrong guesses, which cost time.
#[derive(Debug, Clone, Copy)]
struct Draft {
    most: usize,
    next: usize,
    /// Whether some were guessed last.
    tried: bool,
}

impl Draft {
    /// Note whether the last guesses were all right, if there were any.
    fn judge(&mut self, right: bool) {
        if std::mem::take(&mut self.tried) {
            self.next = if right { (2 * self.next).min(self.most) } else { self.next.div_ceil(2) };
        }
    }
}

/// Tokens that are guessed the first time.
const FIRST_GUESSES: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More tokens follow.
    Writing,
    /// The last token is there; its events are not all given.
    Ending(StopReason),
    /// The turn is part of the conversation.
    Kept(StopReason),
    /// An error was given.
    Failed,
}

impl<'a> Stream<'a> {
    pub(super) fn new(session: &'a mut Session, begun: Begun) -> Result<Self> {
        let model = session.model();
        let (decoder, sampler) = (model.tokenizer().stream(), Sampler::new(&begun.options, model.never_tokens())?);
        let draft = begun.options.most_drafted(model.device());
        let Begun { turns, held, delta, logits, options, in_thinking, timings } = begun;
        let transforms = transforms(&turns);
        Ok(Self {
            session,
            state: State::Writing,
            region_parser: RegionParser::new(&transforms),
            transforms,
            turns,
            held,
            delta,
            sampler,
            logits,
            drafted: VecDeque::new(),
            draft: Draft { most: draft, next: draft.min(FIRST_GUESSES), tried: false },
            stops: StopTexts::new(options.stop.clone()),
            repetition: Repetition::new(options.loop_tokens),
            options,
            forced: VecDeque::new(),
            thought: 0,
            ids: Vec::new(),
            decoder,
            parser: if in_thinking { AnswerParser::in_thinking() } else { AnswerParser::new() },
            ready: VecDeque::new(),
            text: String::new(),
            thinking: String::new(),
            regions: Vec::new(),
            logprobs: Vec::new(),
            ends: Vec::new(),
            timings,
        })
    }

    /// End the thinking, if the model thinks, and let the answer follow.
    ///
    /// # Errors
    /// [`Error::Internal`] for a defect of this library.
    pub fn end_thinking(&mut self) -> Result<()> {
        if self.state == State::Writing && self.parser.is_thinking() && self.forced.is_empty() {
            self.forced = self.session.model().tokenizer().encode(END_OF_THINKING)?.into();
        }
        Ok(())
    }

    /// End the answer here and keep the turn as it is. The events that are left can still be read; the last is
    /// [`Event::End`] with [`StopReason::Cancelled`]. After the end of the answer this does nothing.
    pub fn stop(&mut self) {
        if self.state == State::Writing {
            self.end(StopReason::Cancelled);
        }
        if let State::Ending(reason) = self.state {
            self.keep(reason);
        }
    }

    /// Run to the end, and give the whole answer; events that were read before are part of it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when the session's flag was raised, [`Error::Internal`] for a defect of this library or
    /// when the stream has given an error already.
    pub fn answer(mut self) -> Result<Answer> {
        for event in &mut self {
            event?;
        }
        match self.state {
            State::Kept(stop) => Ok(self.take_answer(stop)),
            _ => {
                self.session.check()?;
                Err(Error::internal("the answer ended with an error"))
            }
        }
    }

    /// Run to the end without making the turn part of the conversation; gives the answer and the mean logprob.
    pub(super) fn try_out(mut self) -> Result<(Answer, f64)> {
        while self.state == State::Writing {
            self.advance().map_err(|error| self.fail(error))?;
        }
        let State::Ending(stop) = self.state else { return Err(Error::internal("an answer that did not end")) };
        let sum: f64 = self.logprobs.iter().map(|token| f64::from(token.logprob)).sum();
        let mean = sum / self.logprobs.len().max(1) as f64;
        Ok((self.take_answer(stop), mean))
    }

    fn take_answer(&mut self, stop: StopReason) -> Answer {
        let thinking = std::mem::take(&mut self.thinking);
        Answer {
            text: std::mem::take(&mut self.text),
            thinking: (!thinking.is_empty()).then_some(thinking),
            complete: matches!(stop, StopReason::EndOfText | StopReason::StopText) && !self.region_parser.is_open(),
            regions: std::mem::take(&mut self.regions),
            tokens: self.ids.len(),
            ids: std::mem::take(&mut self.ids),
            logprobs: std::mem::take(&mut self.logprobs),
            prompt_tokens: self.timings.prompt_tokens,
            stop,
            transforms: std::mem::take(&mut self.transforms),
            timings: self.timings,
        }
    }

    /// One more token, or the end.
    fn advance(&mut self) -> Result<()> {
        let mut decode = std::mem::take(&mut self.timings.decode);
        let token = timed(&mut decode, || self.session.check().and_then(|()| self.next_token()));
        self.timings.decode = decode;
        let Sampled { id, logprob, top, .. } = match token {
            Err(Error::Deadline) => {
                self.end(StopReason::Deadline);
                return Ok(());
            }
            token => token?,
        };
        if self.session.model().stop_tokens().contains(&id) {
            self.end(StopReason::EndOfText);
            return Ok(());
        }
        self.ids.push(id);
        self.timings.tokens = self.ids.len();
        self.logprobs.extend(logprob.map(|logprob| TokenLogprob { id, logprob, top }));
        let text = self.decoder.push(id);
        let events = self.parser.push(&text);
        let stopped = self.take(events);
        self.ends.push(self.text.len());
        self.thought += usize::from(self.parser.is_thinking());
        if self.options.thinking_tokens.is_some_and(|most| self.thought >= most) {
            self.end_thinking()?;
        }
        let context = self.session.model().max_context();
        let reason = if stopped {
            Some(StopReason::StopText)
        } else if self.repetition.push(id) {
            Some(StopReason::Loop)
        } else if self.ids.len() >= self.options.max_tokens {
            Some(StopReason::MaxTokens)
        } else if self.timings.prompt_tokens + self.ids.len() >= context {
            Some(StopReason::ContextFull)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.end(reason);
        }
        Ok(())
    }

    fn next_token(&mut self) -> Result<Sampled> {
        if let Some(&last) = self.ids.last() {
            self.logits = match self.drafted.pop_front() {
                Some((id, logits)) if id == last => {
                    self.session.accept(id);
                    self.timings.accepted += 1;
                    logits
                }
                guess => {
                    self.draft.judge(guess.is_none());
                    self.step(last)?
                }
            };
            self.timings.steps += 1;
        }
        match self.forced.pop_front() {
            Some(id) => self.sampler.force(&mut self.logits, id),
            None => self.sampler.sample(&mut self.logits, self.session.seen(), self.ids.len()),
        }
    }

    /// Take in the last token and guesses of what follows; gives the logits after it.
    fn step(&mut self, last: u32) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("decode", token = last).entered();
        let (written, context) = (self.ids.len(), self.session.model().max_context());
        let room = (self.options.max_tokens - written).min(context.saturating_sub(self.timings.prompt_tokens + written));
        let most = self.draft.next.min(room.saturating_sub(1));
        let mut ids = vec![last];
        if most > 0 {
            let tokens = [self.session.seen(), &[last]].concat();
            let never = self.session.model().never_tokens();
            ids.extend(lookup(&tokens, most).iter().take_while(|id| !never.contains(id)));
        }
        let logits = self.session.step(&ids, self.delta)?;
        self.timings.drafted += ids.len() - 1;
        self.draft.tried = ids.len() > 1;
        let mut rows = logits.chunks_exact(logits.len() / ids.len()).map(<[f32]>::to_vec);
        let first = rows.next().unwrap_or_default();
        self.drafted = ids[1..].iter().copied().zip(rows).collect();
        Ok(first)
    }

    /// Take in what the parser tells; gives whether a text that ends the answer appeared.
    fn take(&mut self, events: Vec<Event>) -> bool {
        for event in events {
            match event {
                Event::Text(text) => {
                    let (text, stopped) = self.stops.push(&text);
                    self.write(text);
                    if stopped {
                        return true;
                    }
                }
                Event::Thinking(text) => {
                    let held = self.stops.finish();
                    self.write(held);
                    self.thinking.push_str(&text);
                    self.ready.push_back(Event::Thinking(text));
                }
                other => self.ready.push_back(other),
            }
        }
        false
    }

    /// Add to the answer, and find the boxes and points that this completes.
    fn write(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(&text);
        let found = self.region_parser.push(&text);
        self.ready.push_back(Event::Text(text));
        for (mut region, range) in found {
            region.confidence = self.confidence(&range);
            self.regions.push(region.clone());
            self.ready.push_back(Event::Region(region));
        }
    }

    /// The geometric mean of the probabilities of the tokens that wrote a part of the answer, the newest one included.
    fn confidence(&self, range: &Range<usize>) -> Option<f32> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let ends = self.ends.iter().copied().chain(std::iter::once(self.text.len()));
        let written = starts.zip(ends).zip(&self.logprobs);
        let within = written.filter(|((start, end), _)| start < end && *start < range.end && *end > range.start);
        let logprobs: Vec<f32> = within.map(|(_, token)| token.logprob).collect();
        (!logprobs.is_empty()).then(|| (logprobs.iter().sum::<f32>() / logprobs.len() as f32).exp())
    }

    fn end(&mut self, reason: StopReason) {
        if reason != StopReason::StopText {
            let rest = self.decoder.finish();
            let mut events = self.parser.push(&rest);
            events.extend(self.parser.finish());
            self.take(events);
            let held = self.stops.finish();
            self.write(held);
        }
        self.ready.push_back(Event::End(reason));
        self.state = State::Ending(reason);
    }

    /// Make the turn part of the conversation.
    fn keep(&mut self, reason: StopReason) {
        let turns = std::mem::take(&mut self.turns);
        let thinking = self.options.keep_thinking.then_some(self.thinking.as_str());
        self.session.commit(turns, thinking, &self.text);
        self.state = State::Kept(reason);
        let Timings { prompt_tokens, cached_tokens, tokens, prefill, decode, .. } = self.timings;
        tracing::debug!(prompt_tokens, cached_tokens, tokens, ?prefill, ?decode, ?reason, "answered");
    }

    fn fail(&mut self, error: Error) -> Error {
        self.state = State::Failed;
        self.ready.clear();
        self.session.rewind(self.held);
        self.session.note(error)
    }
}

impl Iterator for Stream<'_> {
    type Item = Result<Event>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                if let (Event::End(reason), State::Ending(_)) = (&event, self.state) {
                    self.keep(*reason);
                }
                return Some(Ok(event));
            }
            if self.state != State::Writing {
                return None;
            }
            if let Err(error) = self.advance() {
                return Some(Err(self.fail(error)));
            }
        }
    }
}

impl FusedIterator for Stream<'_> {}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if matches!(self.state, State::Writing | State::Ending(_)) {
            self.session.rewind(self.held);
        }
    }
}

impl fmt::Debug for Stream<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("state", &self.state).field("tokens", &self.ids.len()).finish_non_exhaustive()
    }
}
