//! What becomes of an answer's tokens: events, and at the end a message of the conversation.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::answer::{Answer, Timings, TokenLogprob, mean_probability, overlap, timed};
use super::constraint::{Constraint, overlap_with};
use super::media::{ConversationMessage, transforms};
use super::session::{Prefilled, Session};
use crate::answer::{AnswerParser, Event, Region, RegionParser, StopReason};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};
use crate::media::Transform;
use crate::prompt::StreamDecoder;
use crate::sampling::{GenerateOptions, LoopDetector, SampledToken, Sampler, StopSequences, prompt_lookup};

/// What ends thinking that has gone on for long enough, in the form in which the model ends it.
const END_OF_THINKING: &str = "\n</think>\n\n";

/// An answer that is written token by token. The session that it belongs to is given to each call.
pub(super) struct DecodeLoop {
    state: State,
    /// The conversation up to the question.
    conversation: Vec<ConversationMessage>,
    /// Of every image and video of the conversation.
    transforms: Vec<Transform>,
    /// How many tokens of the cache this question did not touch.
    cached_len: usize,
    rope_delta: i64,
    sampler: Sampler,
    /// Of the token after those that the session has seen.
    logits: Vec<f32>,
    /// CachedPrefix that were guessed to follow, with the logits after each, as far as they were right.
    accepted_drafts: VecDeque<(u32, Vec<f32>)>,
    draft_length: DraftLength,
    options: GenerateOptions,
    constraint: Option<Constraint>,
    /// CachedPrefix that come next whatever the model says.
    forced_tokens: VecDeque<u32>,
    /// CachedPrefix that were written while the model thinking_tokens.
    thinking_tokens: usize,
    ids: Vec<u32>,
    decoder: StreamDecoder,
    parser: AnswerParser,
    stop_sequences: StopSequences,
    loop_detector: LoopDetector,
    region_parser: RegionParser,
    /// Events that are not given yet.
    pending_events: VecDeque<Event>,
    text: String,
    thinking: String,
    regions: Vec<Region>,
    logprobs: Vec<TokenLogprob>,
    /// Of the token that ended the answer.
    end_logprob: Option<f32>,
    /// How long `text` was after each token, and whether some of what it wrote was held back.
    text_ends: Vec<(usize, bool)>,
    timings: Timings,
    control: TaskControl,
}

/// How many tokens are guessed at a time: fewer after wrong guesses, which cost time.
#[derive(Debug, Clone, Copy)]
struct DraftLength {
    most: usize,
    next: usize,
    /// Whether some were guessed last.
    drafted_last: bool,
}

impl DraftLength {
    /// Note whether the last guesses were all right, if there were any.
    fn adapt(&mut self, right: bool) {
        if std::mem::take(&mut self.drafted_last) {
            self.next = if right { (2 * self.next).min(self.most) } else { self.next.div_ceil(2) };
        }
    }
}

/// CachedPrefix that are guessed the first time.
const FIRST_DRAFT: usize = 2;

/// How far an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// More tokens follow.
    Decoding,
    /// The last token is there; its events are not all given.
    Finished(StopReason),
    /// The message is part of the conversation.
    Committed(StopReason),
    /// An error was given.
    Failed,
}

impl DecodeLoop {
    pub(super) fn new(session: &Session, prefilled: Prefilled) -> Result<Self> {
        let model = session.model();
        let (decoder, sampler) =
            (model.tokenizer().stream_decoder(), Sampler::new(&prefilled.options, model.suppressed_tokens())?);
        let draft = prefilled.options.draft_tokens_for(model.device());
        let Prefilled {
            conversation,
            cached_len,
            rope_delta,
            logits,
            options,
            constraint,
            starts_in_thinking,
            timings,
            control,
        } = prefilled;
        let transforms = transforms(&conversation);
        Ok(Self {
            state: State::Decoding,
            region_parser: RegionParser::new(&transforms),
            transforms,
            conversation,
            cached_len,
            rope_delta,
            sampler,
            logits,
            accepted_drafts: VecDeque::new(),
            draft_length: DraftLength { most: draft, next: draft.min(FIRST_DRAFT), drafted_last: false },
            stop_sequences: StopSequences::new(options.stop.clone()),
            // An answer that cannot be so long cannot repeat so much.
            loop_detector: LoopDetector::new(
                Some(options.loop_window).filter(|&n| n <= options.max_tokens).unwrap_or(0),
            ),
            options,
            constraint,
            forced_tokens: VecDeque::new(),
            thinking_tokens: 0,
            ids: Vec::new(),
            decoder,
            parser: if starts_in_thinking { AnswerParser::in_thinking() } else { AnswerParser::new() },
            pending_events: VecDeque::new(),
            text: String::new(),
            thinking: String::new(),
            regions: Vec::new(),
            logprobs: Vec::new(),
            end_logprob: None,
            text_ends: Vec::new(),
            timings,
            control,
        })
    }

    /// End the thinking, if the model thinks, and let the answer follow.
    pub(super) fn end_thinking(&mut self, session: &Session) -> Result<()> {
        if self.state == State::Decoding && self.parser.is_thinking() && self.forced_tokens.is_empty() {
            self.forced_tokens = session.model().tokenizer().encode(END_OF_THINKING)?.into();
        }
        Ok(())
    }

    /// End the answer here and keep the message as it is.
    pub(super) fn stop(&mut self, session: &mut Session) {
        if self.state == State::Decoding {
            self.finish(StopReason::Cancelled);
        }
        if let State::Finished(reason) = self.state {
            self.commit(session, reason);
        }
    }

    /// Returns an error if the call was cancelled or timed out.
    pub(super) fn check(&self) -> Result<()> {
        self.control.check()
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// The next event that is there already; the end of the answer makes the message part of the conversation.
    pub(super) fn next_event(&mut self, session: &mut Session) -> Option<Event> {
        let event = self.pending_events.pop_front()?;
        if let (Event::End(reason), State::Finished(_)) = (&event, self.state) {
            self.commit(session, *reason);
        }
        Some(event)
    }

    /// Write to the end; gives the answer and the mean logprob, and does not make the message part of the conversation.
    pub(super) fn finish_uncommitted(mut self, session: &mut Session) -> Result<(Answer, f64)> {
        while self.state == State::Decoding {
            self.advance(session)?;
        }
        let State::Finished(stop) = self.state else { return Err(Error::internal("an answer that did not end")) };
        let logprobs = self.logprobs.iter().map(|token| token.logprob).chain(self.end_logprob);
        let (count, sum) = logprobs.fold((0.0, 0.0), |(count, sum), logprob| (count + 1.0, sum + f64::from(logprob)));
        // An answer that was cut before its first token is no answer.
        let mean = if count > 0.0 { sum / count } else { f64::NEG_INFINITY };
        session.rewind(self.cached_len);
        Ok((self.take_answer(session, stop), mean))
    }

    /// The whole answer; nothing is left of it here.
    pub(super) fn take_answer(&mut self, session: &Session, stop: StopReason) -> Answer {
        let thinking = std::mem::take(&mut self.thinking);
        let ranges = self.ranges();
        for (token, range) in self.logprobs.iter_mut().zip(ranges) {
            token.range = range;
        }
        Answer {
            text: std::mem::take(&mut self.text),
            thinking: (!thinking.is_empty()).then_some(thinking),
            complete: matches!(stop, StopReason::EndOfText | StopReason::StopSequence) && !self.region_parser.is_open(),
            regions: std::mem::take(&mut self.regions),
            tokens: self.ids.len(),
            ids: std::mem::take(&mut self.ids),
            logprobs: std::mem::take(&mut self.logprobs),
            prompt_tokens: self.timings.prompt_tokens,
            stop,
            transforms: std::mem::take(&mut self.transforms),
            timings: self.timings,
            memory: session.memory(),
        }
    }

    /// One more token, or the end.
    pub(super) fn advance(&mut self, session: &mut Session) -> Result<()> {
        let mut decode = std::mem::take(&mut self.timings.decode);
        let logits = timed(&mut decode, || self.control.check().and_then(|()| self.feed(session)));
        self.timings.decode = decode;
        self.sample_next(session, logits)
    }

    /// The token that the model has to take in before the next one can be chosen.
    pub(super) fn last_token(&self) -> Option<u32> {
        self.ids.last().copied()
    }

    /// Take the logits after the last token, which the model took in together with others.
    pub(super) fn accept_logits(&mut self, session: &mut Session, logits: Vec<f32>, time: Duration) -> Result<()> {
        self.logits = logits;
        self.timings.steps += 1;
        self.timings.decode += time;
        let ready = self.control.check();
        self.sample_next(session, ready)
    }

    /// Choose the next token once the logits are there, and see what follows from it.
    fn sample_next(&mut self, session: &mut Session, ready: Result<()>) -> Result<()> {
        let mut sampling = std::mem::take(&mut self.timings.sampling);
        let token = ready.and_then(|()| timed(&mut sampling, || self.sample(session)));
        self.timings.sampling = sampling;
        let SampledToken { id, logprob, top, forced, .. } = match token {
            Err(Error::Timeout) => {
                self.finish(StopReason::Timeout);
                return Ok(());
            }
            token => token?,
        };
        if session.model().eos_token_ids().contains(&id) {
            self.end_logprob = logprob;
            self.finish(StopReason::EndOfText);
            return Ok(());
        }
        self.ids.push(id);
        self.timings.tokens = self.ids.len();
        self.logprobs.extend(logprob.map(|logprob| TokenLogprob { id, range: 0..0, logprob, top }));
        if self.constraint.as_ref().is_some_and(Constraint::is_answering) && !forced {
            self.parser.ignore_tags();
        }
        let text = self.decoder.push(id);
        let events = self.parser.push(&text);
        let stopped = self.handle_events(events);
        let held = self.decoder.has_pending() || self.parser.has_pending() || self.stop_sequences.has_pending();
        // What ends the thinking is no part of the answer.
        self.text_ends.push((self.text.len(), held && !self.parser.is_thinking()));
        self.thinking_tokens += usize::from(self.parser.is_thinking());
        if let Some(constraint) = self.constraint.as_mut().filter(|_| !forced) {
            constraint.push(id, session.model().tokenizer().token_bytes(id), &self.parser)?;
        }
        let remaining = self.remaining(session);
        let must_end_thinking =
            self.constraint.as_ref().is_some_and(|constraint| constraint.must_end_thinking(remaining));
        if must_end_thinking || self.options.thinking_budget.is_some_and(|most| self.thinking_tokens >= most) {
            self.end_thinking(session)?;
        }
        let context = session.model().max_context();
        let reason = if stopped {
            Some(StopReason::StopSequence)
        } else if self.constraint.as_ref().is_some_and(Constraint::is_complete) {
            Some(StopReason::EndOfText)
        } else if self.loop_detector.push(id) {
            Some(StopReason::Loop)
        } else if self.ids.len() >= self.options.max_tokens {
            Some(StopReason::MaxTokens)
        } else if self.timings.prompt_tokens + self.ids.len() >= context {
            Some(StopReason::ContextFull)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.finish(reason);
        }
        Ok(())
    }

    /// Let the model take in the last token, unless it did so as a guess.
    fn feed(&mut self, session: &mut Session) -> Result<()> {
        let Some(&last) = self.ids.last() else { return Ok(()) };
        self.logits = match self.accepted_drafts.pop_front() {
            Some((id, logits)) if id == last => {
                session.commit_token(id);
                self.timings.accepted += 1;
                logits
            }
            guess => {
                self.draft_length.adapt(guess.is_none());
                self.step(session, last)?
            }
        };
        self.timings.steps += 1;
        Ok(())
    }

    fn sample(&mut self, session: &Session) -> Result<SampledToken> {
        if let Some(id) = self.forced_tokens.pop_front() {
            return self.sampler.force(&mut self.logits, id);
        }
        let remaining = self.remaining(session);
        // What another token than the chosen one may be judged by.
        let judged = self.options.logprobs.is_some();
        let may_change =
            |constraint: &Constraint| constraint.must_close_soon(remaining) || judged && constraint.is_thinking();
        let unbound = self.constraint.as_ref().is_some_and(may_change).then(|| self.logits.clone());
        let (constraint, parser) = (&mut self.constraint, &self.parser);
        let tokenizer = session.model().tokenizer();
        let keep = |logits: &mut [f32]| match constraint {
            Some(constraint) => constraint.apply(logits, remaining, parser, |id| tokenizer.token_bytes(id)),
            None => Ok(()),
        };
        let sampled = self.sampler.sample(&mut self.logits, session.cached_ids(), self.ids.len(), keep)?;
        let ends = session.model().eos_token_ids();
        if self.constraint.as_ref().is_some_and(Constraint::is_thinking) && ends.contains(&sampled.id) {
            // The model would end without the answer that is asked of it.
            self.end_thinking(session)?;
            let mut logits = unbound.unwrap_or_else(|| std::mem::take(&mut self.logits));
            return self.sampler.force(&mut logits, self.forced_tokens.pop_front().unwrap_or(sampled.id));
        }
        let instead =
            self.constraint.as_ref().and_then(|constraint| constraint.closing_token(sampled.id, remaining, ends));
        match instead.zip(unbound) {
            Some((id, mut logits)) => Ok(SampledToken { forced: false, ..self.sampler.force(&mut logits, id)? }),
            None => Ok(sampled),
        }
    }

    /// How many tokens the answer may still have.
    fn remaining(&self, session: &Session) -> usize {
        let (written, context) = (self.ids.len(), session.model().max_context());
        let room = context.saturating_sub(self.timings.prompt_tokens + written);
        self.options.max_tokens.saturating_sub(written).min(room)
    }

    /// Take in the last token and guesses of what follows; gives the logits after it.
    fn step(&mut self, session: &mut Session, last: u32) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("decode", token = last).entered();
        let most = self.draft_length.next.min(self.remaining(session).saturating_sub(1));
        let mut ids = vec![last];
        if most > 0 {
            let forced = self.constraint.as_mut().map(Constraint::forced).unwrap_or_default();
            ids.extend(forced.iter().take(most));
        }
        if most > 0 && ids.len() == 1 {
            let tokens = [session.cached_ids(), &[last]].concat();
            let never = session.model().suppressed_tokens();
            ids.extend(prompt_lookup(&tokens, most).iter().take_while(|id| !never.contains(id)));
        }
        let (rope_delta, control) = (self.rope_delta, self.control.clone());
        let logits = overlap_with(self.unprepared_constraint().into_iter().collect(), || {
            session.step(&ids, rope_delta, &control)
        })?;
        self.timings.drafted += ids.len() - 1;
        self.draft_length.drafted_last = ids.len() > 1;
        let mut rows = logits.chunks_exact(logits.len() / ids.len()).map(<[f32]>::to_vec);
        let first = rows.next().unwrap_or_default();
        self.accepted_drafts = ids[1..].iter().copied().zip(rows).collect();
        Ok(first)
    }

    /// The grammar, if its next mask is to be worked out while the model is at work.
    pub(super) fn unprepared_constraint(&mut self) -> Option<&mut Constraint> {
        self.constraint.as_mut().filter(|constraint| constraint.is_unprepared())
    }

    /// Take in what the parser tells; gives whether a text that ends the answer appeared.
    fn handle_events(&mut self, events: Vec<Event>) -> bool {
        for event in events {
            match event {
                Event::Text(text) => {
                    let (text, stopped) = self.stop_sequences.push(&text);
                    self.push_text(text);
                    if stopped {
                        return true;
                    }
                }
                Event::Thinking(text) => {
                    let held = self.stop_sequences.finish();
                    self.push_text(held);
                    self.thinking.push_str(&text);
                    self.pending_events.push_back(Event::Thinking(text));
                }
                other => self.pending_events.push_back(other),
            }
        }
        false
    }

    /// Add to the answer, and find the boxes and points that this completes.
    fn push_text(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(&text);
        let found = self.region_parser.push(&text);
        self.pending_events.push_back(Event::Text(text));
        for (mut region, range) in found {
            region.confidence = self.confidence(&range);
            self.regions.push(region.clone());
            self.pending_events.push_back(Event::Region(region));
        }
    }

    /// The geometric mean of the probabilities of the tokens that wrote a part of the answer, the newest one included.
    fn confidence(&self, range: &Range<usize>) -> Option<f32> {
        if self.logprobs.is_empty() {
            return None;
        }
        let ranges = self.ranges();
        let within = ranges.iter().zip(&self.logprobs).filter(|(written, _)| overlap(written, range));
        mean_probability(within.map(|(_, token)| token.logprob))
    }

    /// What each token wrote of the text, as far as it is there. Those that text was held back of, such as the first bytes
    /// of a character, share it with the one that it came with.
    fn ranges(&self) -> Vec<Range<usize>> {
        let mut end = self.text.len();
        let mut ranges: Vec<_> = (0..self.ids.len())
            .rev()
            .map(|index| {
                end = self.text_ends.get(index).filter(|(_, held)| !held).map_or(end, |(end, _)| *end);
                let start = index.checked_sub(1).map_or(0, |before| self.text_ends[before].0);
                start..end
            })
            .collect();
        ranges.reverse();
        ranges
    }

    fn finish(&mut self, mut reason: StopReason) {
        if reason != StopReason::StopSequence {
            let rest = self.decoder.finish();
            let mut events = self.parser.push(&rest);
            events.extend(self.parser.finish());
            if self.handle_events(events) {
                reason = StopReason::StopSequence;
            } else {
                let held = self.stop_sequences.finish();
                self.push_text(held);
            }
        }
        self.pending_events.push_back(Event::End(reason));
        self.state = State::Finished(reason);
    }

    /// Make the message part of the conversation.
    fn commit(&mut self, session: &mut Session, reason: StopReason) {
        let conversation = std::mem::take(&mut self.conversation);
        session.commit(conversation, &self.options, &self.thinking, &self.text);
        self.state = State::Committed(reason);
        let Timings { prompt_tokens, cached_tokens, tokens, prefill, decode, .. } = self.timings;
        tracing::debug!(prompt_tokens, cached_tokens, tokens, ?prefill, ?decode, ?reason, "answered");
    }

    /// Give up what is not part of the conversation yet.
    pub(super) fn abandon(&mut self, session: &mut Session) {
        if matches!(self.state, State::Decoding | State::Finished(_)) {
            self.state = State::Failed;
            session.rewind(self.cached_len);
        }
    }

    /// The position of the token at `index` of the session is `index` and this.
    pub(super) fn rope_delta(&self) -> i64 {
        self.rope_delta
    }

    /// Take note of an error: the session is as before the question.
    pub(super) fn fail(&mut self, session: &mut Session, error: Error) -> Error {
        self.state = State::Failed;
        self.pending_events.clear();
        session.rewind(self.cached_len);
        session.poison_on_internal(error)
    }
}

impl fmt::Debug for DecodeLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeLoop")
            .field("state", &self.state)
            .field("tokens", &self.ids.len())
            .finish_non_exhaustive()
    }
}
