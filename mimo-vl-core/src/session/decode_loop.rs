//! The decode loop of an answer: sampling, drafts, constraints and stop conditions.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::answer::{Answer, Timings, TokenLogprob, timed};
use super::answer_builder::AnswerBuilder;
use super::constraint::{Constraint, overlap_with};
use super::draft::{Draft, DraftLength};
use super::media::{ConversationMessage, transforms};
use super::session::{Prefilled, Session};
use crate::answer::{Event, StopReason};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};
use crate::prompt::whole_answer;
use crate::sampling::{GenerateOptions, LoopDetector, SampledToken, Sampler, prompt_lookup};

/// Text that ends the thinking, as the model writes it.
const END_OF_THINKING: &str = "\n</think>\n\n";

/// Decode loop of one answer. It holds no reference to the session; the methods take it as an argument.
pub(super) struct DecodeLoop {
    state: State,
    /// The conversation up to the answer.
    conversation: Vec<ConversationMessage>,
    /// Tokens that were cached before the prompt.
    cached_len: usize,
    /// Difference between the position of a token of the answer and its index.
    rope_delta: i64,
    sampler: Sampler,
    /// Logits for the next token.
    logits: Vec<f32>,
    /// Draft tokens after the last token, with the logits that follow each.
    drafts: VecDeque<Draft>,
    draft_length: DraftLength,
    options: GenerateOptions,
    constraint: Option<Constraint>,
    /// Tokens that come next whatever the logits are.
    forced_tokens: VecDeque<u32>,
    loop_detector: LoopDetector,
    /// The limit for which the constraint ended the answer earlier than the model would have.
    closed_early: Option<StopReason>,
    answer: AnswerBuilder,
    /// Start of the answer from the caller, which is not part of `answer`.
    continued: String,
    /// The answer begins inside the thinking.
    starts_in_thinking: bool,
    timings: Timings,
    control: TaskControl,
}

/// State of a decode loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// More tokens follow.
    Decoding,
    /// The last token is sampled; events are pending.
    Finished(StopReason),
    /// The answer is part of the conversation.
    Committed(StopReason),
    /// An error was returned, perhaps [`Error::Cancelled`], or the answer was abandoned.
    Failed { cancelled: bool },
}

/// An answer that is not part of the conversation.
pub(super) struct Candidate {
    pub(super) answer: Answer,
    /// Mean logprob of its tokens; −∞ without tokens.
    pub(super) mean_logprob: f64,
}

impl DecodeLoop {
    /// Starts the answer to a prefilled prompt.
    pub(super) fn new(session: &Session, prefilled: Prefilled) -> Result<Self> {
        let model = session.model();
        let Prefilled {
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
        } = prefilled;
        let decoder = model.tokenizer().stream_decoder();
        let sampler = Sampler::new(&options, model.suppressed_tokens())?;
        // A loop window longer than the answer cannot be filled.
        let loop_window = Some(options.loop_window).filter(|&window| window <= options.max_tokens).unwrap_or(0);
        let transforms = transforms(&conversation);
        let mut answer =
            AnswerBuilder::new(decoder, options.stop.clone(), transforms, starts_in_thinking, options.prose_regions);
        if !continued.is_empty() && !starts_in_thinking {
            // The answer has begun.
            answer.ignore_tags();
        }
        Ok(Self {
            state: State::Decoding,
            conversation,
            cached_len,
            rope_delta,
            sampler,
            logits,
            drafts: VecDeque::new(),
            draft_length: DraftLength::new(options.draft_tokens_for(model.device())),
            constraint,
            forced_tokens: VecDeque::new(),
            loop_detector: LoopDetector::new(loop_window),
            closed_early: None,
            answer,
            continued,
            starts_in_thinking,
            options,
            timings,
            control,
        })
    }

    /// Ends the thinking, if the model thinks, and continues with the answer.
    pub(super) fn end_thinking(&mut self, session: &Session) -> Result<()> {
        let is_thinking = self.answer.parser().is_thinking();
        if self.state == State::Decoding && is_thinking && self.forced_tokens.is_empty() {
            self.forced_tokens = session.model().tokenizer().encode(END_OF_THINKING)?.into();
        }
        Ok(())
    }

    /// Ends the answer here and adds it to the conversation.
    pub(super) fn stop(&mut self, session: &mut Session) {
        if self.state == State::Decoding {
            self.finish(StopReason::Cancelled);
        }
        if let State::Finished(reason) = self.state {
            self.commit(session, reason);
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Difference between the position of a token of the answer and its index.
    pub(super) fn rope_delta(&self) -> i64 {
        self.rope_delta
    }

    /// The last token, whose forward pass must run before the next token can be sampled.
    pub(super) fn last_token(&self) -> Option<u32> {
        self.answer.ids().last().copied()
    }

    /// Returns the next pending event. The last event adds the answer to the conversation.
    pub(super) fn next_event(&mut self, session: &mut Session) -> Option<Event> {
        let event = self.answer.next_event()?;
        if let (Event::End(reason), State::Finished(_)) = (&event, self.state) {
            self.commit(session, *reason);
        }
        Some(event)
    }

    /// Decodes to the end without adding the answer to the conversation.
    pub(super) fn finish_uncommitted(mut self, session: &mut Session) -> Result<Candidate> {
        while self.state == State::Decoding {
            self.advance(session)?;
        }
        let State::Finished(stop) = self.state else { return Err(Error::internal("an answer that did not end")) };
        let mean_logprob = self.answer.mean_logprob();
        session.rewind(self.cached_len);
        Ok(Candidate { answer: self.take_answer(session, stop), mean_logprob })
    }

    /// Takes the complete answer; nothing of it remains here.
    pub(super) fn take_answer(&mut self, session: &Session, stop: StopReason) -> Answer {
        let answer = self.answer.take_answer(stop, self.timings, session.memory());
        Answer { closed_early: self.closed_early.is_some(), ..answer }
    }

    /// Samples one more token, or ends the answer.
    pub(super) fn advance(&mut self, session: &mut Session) -> Result<()> {
        let mut decode = std::mem::take(&mut self.timings.decode);
        let ready = timed(&mut decode, || self.control.check().and_then(|()| self.feed(session)));
        self.timings.decode = decode;
        self.sample_next(session, ready)
    }

    /// Sets the logits after the last token, from a decode batch that took `time`, and samples the next token.
    pub(super) fn accept_logits(&mut self, session: &mut Session, logits: Vec<f32>, time: Duration) -> Result<()> {
        self.logits = logits;
        self.timings.steps += 1;
        self.timings.decode += time;
        let ready = self.control.check();
        self.sample_next(session, ready)
    }

    /// Samples the next token if the logits are `ready`, and checks the stop conditions.
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
            self.answer.set_eos_logprob(logprob);
            self.finish(StopReason::EndOfText);
            return Ok(());
        }
        if self.constraint.as_ref().is_some_and(Constraint::is_answering) && !forced {
            self.answer.ignore_tags();
        }
        let logprob = logprob.map(|logprob| TokenLogprob { id, range: 0..0, logprob, top });
        let stopped = self.answer.push(id, logprob);
        self.timings.tokens = self.answer.ids().len();
        if let Some(constraint) = self.constraint.as_mut().filter(|_| !forced) {
            constraint.push(id, session.model().tokenizer().token_bytes(id), self.answer.parser())?;
        }
        let remaining = self.remaining(session);
        let must_end_thinking =
            self.constraint.as_ref().is_some_and(|constraint| constraint.must_end_thinking(remaining));
        let thinking_tokens = self.answer.thinking_tokens();
        if must_end_thinking || self.options.thinking_budget.is_some_and(|budget| thinking_tokens >= budget) {
            self.end_thinking(session)?;
        }
        let tokens = self.answer.ids().len();
        let reason = if stopped {
            Some(StopReason::StopSequence)
        } else if self.constraint.as_ref().is_some_and(Constraint::is_complete) {
            Some(StopReason::EndOfText)
        } else if self.loop_detector.push(id) {
            Some(StopReason::Loop)
        } else if tokens >= self.options.max_tokens {
            Some(StopReason::MaxTokens)
        } else if self.timings.prompt_tokens + tokens >= self.context_limit(session) {
            Some(StopReason::ContextFull)
        } else {
            None
        };
        if let Some(reason) = reason {
            self.finish(reason);
        }
        Ok(())
    }

    /// Computes the logits after the last token, unless an accepted draft has them.
    fn feed(&mut self, session: &mut Session) -> Result<()> {
        let Some(last) = self.last_token() else { return Ok(()) };
        self.logits = match self.drafts.pop_front() {
            Some(Draft { id, logits }) if id == last => {
                session.commit_token(id);
                self.timings.accepted += 1;
                logits
            }
            rejected => {
                self.draft_length.adapt(rejected.is_none());
                self.step(session, last)?
            }
        };
        self.timings.steps += 1;
        Ok(())
    }

    /// Samples a token from the logits, within the constraint.
    fn sample(&mut self, session: &Session) -> Result<SampledToken> {
        if let Some(id) = self.forced_tokens.pop_front() {
            return self.sampler.force(&mut self.logits, id);
        }
        let remaining = self.remaining(session);
        // A token that replaces the sampled one gets its logprob from the unmasked logits.
        let wants_logprobs = self.options.logprobs.is_some();
        let may_replace = |constraint: &Constraint| {
            constraint.must_close_soon(remaining) || wants_logprobs && constraint.is_thinking()
        };
        let unmasked = self.constraint.as_ref().is_some_and(may_replace).then(|| self.logits.clone());
        let (constraint, parser) = (&mut self.constraint, self.answer.parser());
        let tokenizer = session.model().tokenizer();
        let mask = |logits: &mut [f32]| match constraint {
            Some(constraint) => constraint.apply(logits, remaining, parser, |id| tokenizer.token_bytes(id)),
            None => Ok(()),
        };
        let sampled = self.sampler.sample(&mut self.logits, session.cached_ids(), self.answer.ids().len(), mask)?;
        let eos = session.model().eos_token_ids();
        if self.constraint.as_ref().is_some_and(Constraint::is_thinking) && eos.contains(&sampled.id) {
            // The model would end without the answer that the grammar requires.
            self.end_thinking(session)?;
            let mut logits = unmasked.unwrap_or_else(|| std::mem::take(&mut self.logits));
            return self.sampler.force(&mut logits, self.forced_tokens.pop_front().unwrap_or(sampled.id));
        }
        let closing =
            self.constraint.as_ref().and_then(|constraint| constraint.closing_token(sampled.id, remaining, eos));
        match closing.zip(unmasked) {
            Some((id, mut logits)) => {
                if id != sampled.id {
                    self.closed_early.get_or_insert(self.nearer_limit(session));
                }
                Ok(SampledToken { forced: false, ..self.sampler.force(&mut logits, id)? })
            }
            None => Ok(sampled),
        }
    }

    /// Tokens that the answer may still have.
    fn remaining(&self, session: &Session) -> usize {
        let (max_tokens, room) = self.limits(session);
        max_tokens.min(room)
    }

    /// Tokens that the answer may still have by `max_tokens`, and by the context.
    fn limits(&self, session: &Session) -> (usize, usize) {
        let (tokens, context) = (self.answer.ids().len(), self.context_limit(session));
        let room = context.saturating_sub(self.timings.prompt_tokens + tokens);
        (self.options.max_tokens.saturating_sub(tokens), room)
    }

    /// Maximum number of tokens of the conversation with the answer.
    fn context_limit(&self, session: &Session) -> usize {
        self.options.context_limit(session.model().max_context())
    }

    /// The limit that the answer reaches first.
    fn nearer_limit(&self, session: &Session) -> StopReason {
        let (max_tokens, room) = self.limits(session);
        if room < max_tokens { StopReason::ContextFull } else { StopReason::MaxTokens }
    }

    /// Runs a forward pass over the last token and drafts of what follows. Returns the logits after the last token.
    fn step(&mut self, session: &mut Session, last: u32) -> Result<Vec<f32>> {
        let _span = tracing::trace_span!("decode", token = last).entered();
        let max_drafts = self.draft_length.limit().min(self.remaining(session).saturating_sub(1));
        let mut ids = vec![last];
        if max_drafts > 0 {
            let forced = self.constraint.as_mut().map(Constraint::forced_tokens).unwrap_or_default();
            ids.extend(forced.iter().take(max_drafts));
        }
        if max_drafts > 0 && ids.len() == 1 {
            let tokens = [session.cached_ids(), &[last]].concat();
            let suppressed = session.model().suppressed_tokens();
            ids.extend(prompt_lookup(&tokens, max_drafts).iter().take_while(|id| !suppressed.contains(id)));
        }
        let (rope_delta, control) = (self.rope_delta, self.control.clone());
        let logits = overlap_with(self.unprepared_constraint().into_iter().collect(), || {
            session.step(&ids, rope_delta, &control)
        })?;
        self.timings.drafted += ids.len() - 1;
        self.draft_length.record_step(ids.len() > 1);
        let mut rows = logits.chunks_exact(logits.len() / ids.len()).map(<[f32]>::to_vec);
        let first = rows.next().unwrap_or_default();
        self.drafts = ids[1..].iter().zip(rows).map(|(&id, logits)| Draft { id, logits }).collect();
        Ok(first)
    }

    /// The constraint, if its next mask must be computed.
    pub(super) fn unprepared_constraint(&mut self) -> Option<&mut Constraint> {
        self.constraint.as_mut().filter(|constraint| constraint.is_unprepared())
    }

    fn finish(&mut self, reason: StopReason) {
        let reason = match (reason, self.closed_early) {
            (StopReason::EndOfText | StopReason::StopSequence, Some(limit)) => limit,
            // The limit came before the grammar was closed.
            _ => {
                self.closed_early = None;
                reason
            }
        };
        self.state = State::Finished(self.answer.finish(reason));
    }

    /// Adds the answer to the conversation.
    fn commit(&mut self, session: &mut Session, reason: StopReason) {
        let conversation = std::mem::take(&mut self.conversation);
        let (answer, continued) = (&self.answer, &self.continued);
        let (thinking, text) = whole_answer(continued, self.starts_in_thinking, answer.thinking(), answer.text());
        session.commit(conversation, &self.options, &thinking, &text);
        self.state = State::Committed(reason);
        let Timings { prompt_tokens, cached_tokens, tokens, prefill, decode, .. } = self.timings;
        tracing::debug!(prompt_tokens, cached_tokens, tokens, ?prefill, ?decode, ?reason, "answered");
    }

    /// Discards an answer that is not part of the conversation.
    pub(super) fn abandon(&mut self, session: &mut Session) {
        if matches!(self.state, State::Decoding | State::Finished(_)) {
            self.state = State::Failed { cancelled: false };
            session.rewind(self.cached_len);
        }
    }

    /// Rolls the session back to its state before the prompt. Returns the error.
    pub(super) fn fail(&mut self, session: &mut Session, error: Error) -> Error {
        self.state = State::Failed { cancelled: matches!(error, Error::Cancelled) };
        self.answer.clear_events();
        session.rewind(self.cached_len);
        session.poison_on_internal(error)
    }
}

impl fmt::Debug for DecodeLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeLoop")
            .field("state", &self.state)
            .field("tokens", &self.answer.ids().len())
            .finish_non_exhaustive()
    }
}
