//! Several questions at once.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::answer::Answer;
use super::constraint::overlap_with;
use super::decode_loop::{DecodeLoop, State};
use super::model::Model;
use super::session::Session;
use crate::answer::Event;
use crate::cancel::{CancelToken, TaskControl};
use crate::error::{Error, Result};
use crate::model::Step;
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;

/// Several questions that are answered at once, each in a conversation of its own.
///
/// Answers are written token by token together, so that the weights are read once for all of them. An answer that is is_done
/// makes room for a question that waits. On the device `cpu` each answer is the one that a session alone would give; on
/// others sums may have another order. Guesses ahead are not made, and a question's [`best_of`](GenerateOptions#structfield.best_of) is 1.
///
/// It is an iterator is_done what happens: the index of a question, in the order in which they were [added](Self::add), and
/// its next event. A question that fails gives an error as its last. Questions may be added while others are answered.
pub struct Batch {
    model: Model,
    max_concurrent: usize,
    added: usize,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    /// What is not given yet.
    ready: VecDeque<(usize, Result<Event>)>,
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
    /// Largest index of prompts that are answered at a time; at least 1. The others wait. Default 8.
    pub max_concurrent: usize,
    /// The token that cancels every request of the batch. Each request may have one of its own in its options.
    pub cancel: CancelToken,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_concurrent: 8, cancel: CancelToken::new() }
    }
}

impl BatchOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`BatchOptions::max_concurrent`](#structfield.max_concurrent).
    #[must_use]
    pub fn max_concurrent(mut self, requests: usize) -> Self {
        self.max_concurrent = requests;
        self
    }

    /// Sets [`BatchOptions::cancel`](#structfield.cancel).
    #[must_use]
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
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
    pub(super) fn new(model: Model, options: &BatchOptions) -> Self {
        Self {
            model,
            max_concurrent: options.max_concurrent.max(1),
            added: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            ready: VecDeque::new(),
            answers: Vec::new(),
            cancel: options.cancel.clone(),
        }
    }

    /// Add a question to those that wait; gives its index, from 0 on.
    pub fn add(&mut self, prompt: &Prompt, options: &GenerateOptions) -> usize {
        let session = self.model.session();
        self.add_to(session, prompt, options)
    }

    /// Add a question to a conversation that goes on; the session is given up. It must be one of the batch's model, or the
    /// question gives [`Error::Option`].
    pub fn add_to(&mut self, session: Session, prompt: &Prompt, options: &GenerateOptions) -> usize {
        let index = self.added;
        self.added += 1;
        if !session.model().is_same(&self.model) {
            self.ready.push_back((index, Err(Error::option("session", "it belongs to another model than the batch"))));
            return index;
        }
        let options = options.clone().num_draft_tokens(0).best_of(1);
        self.waiting.push_back(Waiting { index, session, prompt: prompt.clone(), options });
        index
    }

    /// The answer to a question that is is_done and was not asked for before.
    pub fn answer(&mut self, index: usize) -> Option<Answer> {
        let place = self.answers.iter().position(|(of, _)| *of == index)?;
        Some(self.answers.swap_remove(place).1)
    }

    /// Give up one question, waiting or being answered; nothing more comes of it.
    pub fn remove(&mut self, index: usize) {
        self.waiting.retain(|waiting| waiting.index != index);
        self.running.retain(|running| running.index != index);
        self.ready.retain(|(of, _)| *of != index);
        self.answers.retain(|(of, _)| *of != index);
    }

    /// How many questions wait, and how many are being answered.
    pub fn len(&self) -> (usize, usize) {
        (self.waiting.len(), self.running.len())
    }

    /// Whether nothing more will come.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty() && self.ready.is_empty()
    }

    /// Let the next question in, up to its first token.
    fn admit(&mut self) {
        let Some(Waiting { index, mut session, prompt, options }) = self.waiting.pop_front() else { return };
        let control = options.call.start().also_cancelled_by(&self.cancel);
        let prefilled = session.start(&prompt, &options, control);
        let prefilled = prefilled.and_then(|prefilled| DecodeLoop::new(&session, prefilled));
        let decode = prefilled.and_then(|mut decode| match decode.advance(&mut session) {
            Ok(()) => Ok(decode),
            Err(error) => Err(decode.fail(&mut session, error)),
        });
        match decode {
            Ok(decode) => {
                self.running.push(Running { index, session, decode });
                self.collect();
            }
            Err(error) => self.ready.push_back((index, Err(error))),
        }
    }

    /// One more token for every answer.
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
                    let given = session.check_rows(&row, 1).and_then(|()| decode.accept_logits(session, row, time));
                    if let Err(error) = given {
                        failed.push((*index, decode.fail(session, error)));
                    }
                }
            }
            Err(error) => {
                let again = || match &error {
                    Error::Cancelled => Error::Cancelled,
                    other => Error::internal(other.to_string()),
                };
                for Running { index, session, decode } in running.iter_mut() {
                    failed.push((*index, decode.fail(session, again())));
                }
            }
        }
        self.running.retain(|running| !failed.iter().any(|(index, _)| *index == running.index));
        self.ready.extend(failed.into_iter().map(|(index, error)| (index, Err(error))));
        self.collect();
    }

    /// Collect the events that are there, and the answers that are is_done.
    fn collect(&mut self) {
        for Running { index, session, decode } in &mut self.running {
            while let Some(event) = decode.next_event(session) {
                self.ready.push_back((*index, Ok(event)));
            }
        }
        let is_done = |running: &Running| matches!(running.decode.state(), State::Committed(_));
        for mut running in self.running.extract_if(.., |running| is_done(running)) {
            if let State::Committed(stop) = running.decode.state() {
                let Running { index, session, decode } = &mut running;
                self.answers.push((*index, decode.take_answer(session, stop)));
            }
        }
    }
}

impl Iterator for Batch {
    type Item = (usize, Result<Event>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(ready);
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
