//! An answer while it is written.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;

use super::answer::{Answer, Timings};
use super::conversation::{Session, timed};
use super::media::Turn;
use crate::answer::{AnswerParser, Event, StopReason};
use crate::error::{Error, Result};
use crate::prompt::{Message, Role, TokenText};
use crate::sampling::{Sampler, lookup};

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
    /// How many tokens of the cache this question did not touch.
    held: usize,
    delta: i64,
    sampler: Sampler,
    /// Of the token after those that the session has seen.
    logits: Vec<f32>,
    /// Tokens that were guessed to follow, with the logits after each, as far as they were right.
    drafted: VecDeque<(u32, Vec<f32>)>,
    draft: Draft,
    max_tokens: usize,
    ids: Vec<u32>,
    decoder: TokenText,
    parser: AnswerParser,
    /// Events that are not given yet.
    ready: VecDeque<Event>,
    text: String,
    thinking: String,
    timings: Timings,
}

/// A question that the model has taken in.
pub(super) struct Begun {
    pub(super) turns: Vec<Turn>,
    pub(super) held: usize,
    pub(super) delta: i64,
    pub(super) logits: Vec<f32>,
    pub(super) sampler: Sampler,
    pub(super) max_tokens: usize,
    pub(super) draft: usize,
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
    pub(super) fn new(session: &'a mut Session, begun: Begun) -> Self {
        let decoder = session.model().tokenizer().stream();
        let Begun { turns, held, delta, logits, sampler, max_tokens, draft, timings } = begun;
        Self {
            session,
            state: State::Writing,
            turns,
            held,
            delta,
            sampler,
            logits,
            drafted: VecDeque::new(),
            draft: Draft { most: draft, next: draft, tried: false },
            max_tokens,
            ids: Vec::new(),
            decoder,
            parser: AnswerParser::new(),
            ready: VecDeque::new(),
            text: String::new(),
            thinking: String::new(),
            timings,
        }
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

    fn take_answer(&mut self, stop: StopReason) -> Answer {
        let thinking = std::mem::take(&mut self.thinking);
        Answer {
            text: std::mem::take(&mut self.text),
            thinking: (!thinking.is_empty()).then_some(thinking),
            tokens: self.ids.len(),
            ids: std::mem::take(&mut self.ids),
            prompt_tokens: self.timings.prompt_tokens,
            stop,
            transforms: self.session.transforms(),
            timings: self.timings,
        }
    }

    /// One more token, or the end.
    fn advance(&mut self) -> Result<()> {
        self.session.check()?;
        let mut decode = std::mem::take(&mut self.timings.decode);
        let id = timed(&mut decode, || self.next_token());
        self.timings.decode = decode;
        let id = id?;
        if self.session.model().stop_tokens().contains(&id) {
            self.end(StopReason::EndOfText);
            return Ok(());
        }
        self.ids.push(id);
        self.timings.tokens = self.ids.len();
        let text = self.decoder.push(id);
        let events = self.parser.push(&text);
        self.take(events);
        if self.ids.len() >= self.max_tokens {
            self.end(StopReason::MaxTokens);
        } else if self.timings.prompt_tokens + self.ids.len() >= self.session.model().max_context() {
            self.end(StopReason::ContextFull);
        }
        Ok(())
    }

    fn next_token(&mut self) -> Result<u32> {
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
        self.sampler.sample(&mut self.logits, self.session.seen())
    }

    /// Take in the last token and guesses of what follows; gives the logits after it.
    fn step(&mut self, last: u32) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("decode", token = last).entered();
        let (written, context) = (self.ids.len(), self.session.model().max_context());
        let room = (self.max_tokens - written).min(context.saturating_sub(self.timings.prompt_tokens + written));
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

    fn take(&mut self, events: Vec<Event>) {
        for event in events {
            match &event {
                Event::Text(text) => self.text.push_str(text),
                Event::Thinking(text) => self.thinking.push_str(text),
                Event::End(_) => {}
            }
            self.ready.push_back(event);
        }
    }

    fn end(&mut self, reason: StopReason) {
        let rest = self.decoder.finish();
        let mut events = self.parser.push(&rest);
        events.extend(self.parser.finish());
        events.push(Event::End(reason));
        self.take(events);
        self.state = State::Ending(reason);
    }

    /// Make the turn part of the conversation.
    fn keep(&mut self, reason: StopReason) {
        let said = Message::new(Role::Assistant).text(self.text.as_str());
        let mut turns = std::mem::take(&mut self.turns);
        turns.push(Turn { message: said, media: Vec::new() });
        self.session.commit(turns);
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
