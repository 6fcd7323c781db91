//! Several questions at once.

use std::collections::VecDeque;
use std::fmt;
use std::time::Instant;

use super::answer::Answer;
use super::constraint::meanwhile;
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
/// Answers are written token by token together, so that the weights are read once for all of them. An answer that is over
/// makes room for a question that waits. On the device `cpu` each answer is the one that a session alone would give; on
/// others sums may have another order. Guesses ahead are not made, and a question's [`best_of`](GenerateOptions#structfield.best_of) is 1.
///
/// It is an iterator over what happens: the number of a question, in the order in which they were [added](Self::add), and
/// its next event. A question that fails gives an error as its last. Questions may be added while others are answered.
pub struct Batch {
    model: Model,
    most: usize,
    added: usize,
    waiting: VecDeque<Waiting>,
    running: Vec<Running>,
    /// What is not given yet.
    ready: VecDeque<(usize, Result<Event>)>,
    answers: Vec<(usize, Answer)>,
    cancel: CancelToken,
}

struct Waiting {
    number: usize,
    session: Session,
    prompt: Prompt,
    generate: GenerateOptions,
}

struct Running {
    number: usize,
    session: Session,
    writer: DecodeLoop,
}

/// Options of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchOptions {
    /// Largest number of prompts that are answered at a time; at least 1. The others wait. Default 8.
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
            most: options.max_concurrent.max(1),
            added: 0,
            waiting: VecDeque::new(),
            running: Vec::new(),
            ready: VecDeque::new(),
            answers: Vec::new(),
            cancel: options.cancel.clone(),
        }
    }

    /// Add a question to those that wait; gives its number, from 0 on.
    pub fn add(&mut self, prompt: &Prompt, generate: &GenerateOptions) -> usize {
        let session = self.model.session();
        self.add_to(session, prompt, generate)
    }

    /// Add a question to a conversation that goes on; the session is given up. It must be one of the batch's model, or the
    /// question gives [`Error::Option`].
    pub fn add_to(&mut self, session: Session, prompt: &Prompt, generate: &GenerateOptions) -> usize {
        let number = self.added;
        self.added += 1;
        if !session.model().is(&self.model) {
            self.ready.push_back((number, Err(Error::option("session", "it belongs to another model than the batch"))));
            return number;
        }
        let generate = generate.clone().num_draft_tokens(0).best_of(1);
        self.waiting.push_back(Waiting { number, session, prompt: prompt.clone(), generate });
        number
    }

    /// The answer to a question that is over and was not asked for before.
    pub fn answer(&mut self, number: usize) -> Option<Answer> {
        let place = self.answers.iter().position(|(of, _)| *of == number)?;
        Some(self.answers.swap_remove(place).1)
    }

    /// Give up one question, waiting or being answered; nothing more comes of it.
    pub fn remove(&mut self, number: usize) {
        self.waiting.retain(|waiting| waiting.number != number);
        self.running.retain(|running| running.number != number);
        self.ready.retain(|(of, _)| *of != number);
        self.answers.retain(|(of, _)| *of != number);
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
    fn let_in(&mut self) {
        let Some(Waiting { number, mut session, prompt, generate }) = self.waiting.pop_front() else { return };
        let control = generate.call.start().also_cancelled_by(&self.cancel);
        let begun = session.start(&prompt, &generate, control);
        let begun = begun.and_then(|begun| DecodeLoop::new(&session, begun));
        let writer = begun.and_then(|mut writer| match writer.advance(&mut session) {
            Ok(()) => Ok(writer),
            Err(error) => Err(writer.fail(&mut session, error)),
        });
        match writer {
            Ok(writer) => {
                self.running.push(Running { number, session, writer });
                self.collect();
            }
            Err(error) => self.ready.push_back((number, Err(error))),
        }
    }

    /// One more token for every answer.
    fn step(&mut self) {
        let start = Instant::now();
        let Self { model, running, cancel, .. } = self;
        let control = TaskControl::with_cancel(cancel);
        let mut steps: Vec<Result<Step<'_>>> = Vec::new();
        let mut constraints = Vec::new();
        for Running { session, writer, .. } in running.iter_mut() {
            let id = writer.pending().ok_or_else(|| Error::internal("an answer without a token"));
            steps.push(id.and_then(|id| session.next_step(id, writer.rope_delta())));
            constraints.extend(writer.unprepared());
        }
        let steps: Result<Vec<Step<'_>>> = steps.into_iter().collect();
        let logits =
            steps.and_then(|mut steps| meanwhile(constraints, || model.engine().decode_batch(&mut steps, &control)));
        let time = start.elapsed();
        let mut failed = Vec::new();
        match logits {
            Ok(rows) if rows.len() != running.len() => {
                let reason = format!("{} rows of logits for {} answers", rows.len(), running.len());
                for Running { number, session, writer } in running.iter_mut() {
                    failed.push((*number, writer.fail(session, Error::internal(reason.clone()))));
                }
            }
            Ok(rows) => {
                for (Running { number, session, writer }, row) in running.iter_mut().zip(rows) {
                    session.accept(writer.pending().unwrap_or_default());
                    let given = session.check_rows(&row, 1).and_then(|()| writer.given(session, row, time));
                    if let Err(error) = given {
                        failed.push((*number, writer.fail(session, error)));
                    }
                }
            }
            Err(error) => {
                let again = || match &error {
                    Error::Cancelled => Error::Cancelled,
                    other => Error::internal(other.to_string()),
                };
                for Running { number, session, writer } in running.iter_mut() {
                    failed.push((*number, writer.fail(session, again())));
                }
            }
        }
        self.running.retain(|running| !failed.iter().any(|(number, _)| *number == running.number));
        self.ready.extend(failed.into_iter().map(|(number, error)| (number, Err(error))));
        self.collect();
    }

    /// Collect the events that are there, and the answers that are over.
    fn collect(&mut self) {
        for Running { number, session, writer } in &mut self.running {
            while let Some(event) = writer.event(session) {
                self.ready.push_back((*number, Ok(event)));
            }
        }
        let over = |running: &Running| matches!(running.writer.state(), State::Committed(_));
        for mut running in self.running.extract_if(.., |running| over(running)) {
            if let State::Committed(stop) = running.writer.state() {
                let Running { number, session, writer } = &mut running;
                self.answers.push((*number, writer.take_answer(session, stop)));
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
            if self.running.len() < self.most && !self.waiting.is_empty() {
                self.let_in();
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
