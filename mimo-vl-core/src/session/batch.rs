//! Several prompts answered at once by continuous batching.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::answer::Answer;
use super::constraint::overlap_with;
use super::decode_loop::{DecodeLoop, State};
use super::model::Model;
use super::session::Session;
use super::stream::check_best_of;
use crate::answer::Event;
use crate::cancel::{CancelToken, TaskControl};
use crate::error::{Error, Result};
use crate::model::Step;
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;

/// Several prompts that are answered at once, each in a conversation of its own.
///
/// Each decode step computes one token of every running answer, so that the weights are read once for all of them. A
/// finished answer makes room for the next waiting prompt. On the device `cpu` each answer is the one that a session
/// alone would give; on others the order of sums may differ. Draft tokens are not used.
///
/// A batch is an iterator over events, each with the index of its prompt in the order in which they were
/// [added](Self::add). The last event of a prompt that fails is an error. Prompts may be added while others are
/// answered.
pub struct Batch {
    model: Model,
    max_concurrent: usize,
    /// Number of prompts that were added.
    added: usize,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    /// Events that were not returned yet.
    pending_events: VecDeque<(usize, Result<Event>)>,
    /// Complete answers that were not taken.
    answers: Vec<(usize, Answer)>,
    cancel: CancelToken,
}

struct Waiting {
    index: usize,
    session: Session,
    prompt: Prompt,
    options: GenerateOptions,
}

struct Running {
    index: usize,
    session: Session,
    decode: DecodeLoop,
}

/// Options of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Maximum number of prompts that are answered at a time, at least 1; the others wait. Default 8.
    pub max_concurrent: usize,
    /// Token that cancels every prompt of the batch. Each prompt may have one of its own in its options.
    pub cancel: Option<CancelToken>,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_concurrent: 8, cancel: None }
    }
}

impl BatchOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`BatchOptions::max_concurrent`](#structfield.max_concurrent).
    #[must_use]
    pub fn max_concurrent(mut self, prompts: usize) -> Self {
        self.max_concurrent = prompts;
        self
    }

    /// Sets [`BatchOptions::cancel`](#structfield.cancel).
    #[must_use]
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }
}

impl Model {
    /// Opens a batch: several prompts that are answered at once, each in a conversation of its own.
    pub fn batch(&self, options: &BatchOptions) -> Batch {
        Batch::new(self.clone(), options)
    }
}

impl Batch {
    fn new(model: Model, options: &BatchOptions) -> Self {
        Self {
            model,
            max_concurrent: options.max_concurrent.max(1),
            added: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            pending_events: VecDeque::new(),
            answers: Vec::new(),
            cancel: options.cancel.clone().unwrap_or_default(),
        }
    }

    /// Adds a prompt in a new conversation. Returns its index, from 0.
    pub fn add(&mut self, prompt: &Prompt, options: &GenerateOptions) -> usize {
        let session = self.model.session();
        self.add_to(session, prompt, options)
    }

    /// Adds a prompt to an existing conversation, and takes over its session. Returns the prompt's index. If the
    /// session belongs to another model than the batch, or `best_of` is above 1, the prompt's only event is
    /// [`Error::Option`].
    pub fn add_to(&mut self, session: Session, prompt: &Prompt, options: &GenerateOptions) -> usize {
        let index = self.added;
        self.added += 1;
        if !session.model().is_same(&self.model) {
            let error = Error::option("session", "it belongs to another model than the batch");
            self.pending_events.push_back((index, Err(error)));
            return index;
        }
        if let Err(error) = check_best_of(options) {
            self.pending_events.push_back((index, Err(error)));
            return index;
        }
        let options = options.clone().num_draft_tokens(0);
        self.waiting.push_back(Waiting { index, session, prompt: prompt.clone(), options });
        index
    }

    /// Takes the complete answer of a prompt; `None` before its last event, and once it was taken.
    pub fn answer(&mut self, index: usize) -> Option<Answer> {
        let position = self.answers.iter().position(|(other, _)| *other == index)?;
        Some(self.answers.swap_remove(position).1)
    }

    /// Removes a prompt, waiting or running, with its pending events and its answer.
    pub fn remove(&mut self, index: usize) {
        self.waiting.retain(|waiting| waiting.index != index);
        self.running.retain(|running| running.index != index);
        self.pending_events.retain(|(other, _)| *other != index);
        self.answers.retain(|(other, _)| *other != index);
    }

    /// Number of prompts that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Number of prompts that are being answered.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// True if no more events follow.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.pending_events.is_empty()
    }

    /// Prefills the next waiting prompt and samples its first token.
    fn admit(&mut self) {
        let Some(Waiting { index, mut session, prompt, options }) = self.waiting.pop_front() else { return };
        let control = options.call.start().also_cancelled_by(&self.cancel);
        let prefilled = session.prefill_prompt(&prompt, &options, control);
        let decode = prefilled.and_then(|prefilled| DecodeLoop::new(&session, prefilled));
        let decode = decode.and_then(|mut decode| match decode.advance(&mut session) {
            Ok(()) => Ok(decode),
            Err(error) => Err(decode.fail(&mut session, error)),
        });
        match decode {
            Ok(decode) => {
                self.running.push(Running { index, session, decode });
                self.collect_events();
            }
            Err(error) => self.pending_events.push_back((index, Err(error))),
        }
    }

    /// Decodes one more token of every running answer.
    fn step(&mut self) {
        let start = Instant::now();
        let Self { model, running, cancel, .. } = self;
        let control = TaskControl::with_cancel(cancel);
        let mut steps: Vec<Result<Step<'_>>> = Vec::new();
        let mut constraints = Vec::new();
        for Running { session, decode, .. } in running.iter_mut() {
            let id = decode.last_token().ok_or_else(|| Error::internal("an answer without a token"));
            steps.push(id.and_then(|id| session.decode_step(id, decode.rope_delta())));
            constraints.extend(decode.unprepared_constraint());
        }
        let steps: Result<Vec<Step<'_>>> = steps.into_iter().collect();
        let logits =
            steps.and_then(|mut steps| overlap_with(constraints, || model.engine().decode_batch(&mut steps, &control)));
        let time = start.elapsed();
        let mut failed = Vec::new();
        match logits {
            Ok(rows) if rows.len() != running.len() => {
                let reason = format!("{} rows of logits for {} answers", rows.len(), running.len());
                for Running { index, session, decode } in running.iter_mut() {
                    failed.push((*index, decode.fail(session, Error::internal(reason.clone()))));
                }
            }
            Ok(rows) => {
                for (Running { index, session, decode }, row) in running.iter_mut().zip(rows) {
                    session.commit_token(decode.last_token().unwrap_or_default());
                    let accepted = session.check_rows(&row, 1).and_then(|()| decode.accept_logits(session, row, time));
                    if let Err(error) = accepted {
                        failed.push((*index, decode.fail(session, error)));
                    }
                }
            }
            Err(error) => {
                // Each answer fails with an error of its own.
                let copy = || match &error {
                    Error::Cancelled => Error::Cancelled,
                    other => Error::internal(other.to_string()),
                };
                for Running { index, session, decode } in running.iter_mut() {
                    failed.push((*index, decode.fail(session, copy())));
                }
            }
        }
        self.running.retain(|running| !failed.iter().any(|(index, _)| *index == running.index));
        self.pending_events.extend(failed.into_iter().map(|(index, error)| (index, Err(error))));
        self.collect_events();
    }

    /// Collects the pending events and the complete answers.
    fn collect_events(&mut self) {
        for Running { index, session, decode } in &mut self.running {
            while let Some(event) = decode.next_event(session) {
                self.pending_events.push_back((*index, Ok(event)));
            }
        }
        let is_committed = |running: &mut Running| matches!(running.decode.state(), State::Committed(_));
        for Running { index, session, mut decode } in self.running.extract_if(.., is_committed) {
            if let State::Committed(stop) = decode.state() {
                self.answers.push((index, decode.take_answer(&session, stop)));
            }
        }
    }
}

impl Iterator for Batch {
    type Item = (usize, Result<Event>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(event) = self.pending_events.pop_front() {
                return Some(event);
            }
            if self.running.len() < self.max_concurrent && !self.waiting.is_empty() {
                self.admit();
            } else if !self.running.is_empty() {
                self.step();
            } else {
                return None;
            }
        }
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("waiting", &self.waiting.len())
            .field("running", &self.running.len())
            .finish_non_exhaustive()
    }
}
