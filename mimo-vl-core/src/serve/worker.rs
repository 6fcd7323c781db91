//! The thread that answers questions, all of them in one batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::metrics::Metrics;
use crate::answer::Event;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::prompt::Prompt;
use crate::sampling::GenerateOptions;
use crate::session::{Answer, Batch, BatchOptions, Model};

/// How long it may take to notice that the server is to end.
const PAUSE: Duration = Duration::from_millis(100);

/// A question, and who hears of its answer. It ends when nobody listens any more.
pub(super) struct Job {
    pub(super) prompt: Prompt,
    pub(super) generate: GenerateOptions,
    pub(super) listener: UnboundedSender<Told>,
}

/// What is told of an answer.
pub(super) enum Told {
    Event(Event),
    Over(Box<Answer>),
    Failed(Error),
}

/// The thread.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    cancel: CancelToken,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start(model: Model, together: usize, metrics: Arc<Metrics>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let cancel = CancelToken::new();
        let stop = cancel.clone();
        let work = move || {
            // A panic ends the questions of its batch; those that come later get a new one.
            while !stop.is_cancelled() {
                let batch = model.batch(&BatchOptions::new().max_concurrent(together).cancel(&stop));
                let mut desk = Desk { batch, listeners: Vec::new(), metrics: &metrics };
                if catch_unwind(AssertUnwindSafe(|| desk.work(&queue, &stop))).is_ok() {
                    return;
                }
                for (_, listener) in desk.listeners {
                    let _ = listener.send(Told::Failed(Error::internal("a question answered beside it failed")));
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("mimo-vl-serve".into())
            .spawn(work)
            .map_err(|error| Error::internal(format!("no thread for the server: {error}")))?;
        Ok(Self { jobs, cancel, thread })
    }

    pub(super) fn jobs(&self) -> mpsc::Sender<Job> {
        self.jobs.clone()
    }

    /// End what is being answered, and the thread.
    pub(super) fn stop(self) {
        let Self { jobs, cancel, thread } = self;
        cancel.cancel();
        drop(jobs);
        // It caught its panics.
        let _ = thread.join();
    }
}

/// A batch, and who listens to which of its questions.
struct Desk<'a> {
    batch: Batch,
    listeners: Vec<(usize, UnboundedSender<Told>)>,
    metrics: &'a Metrics,
}

impl Desk<'_> {
    /// Answer what comes, until nobody can send any more or `stop` is raised.
    fn work(&mut self, queue: &mpsc::Receiver<Job>, stop: &CancelToken) {
        loop {
            // Only with nothing to do is there time to wait.
            if self.batch.is_empty() {
                match queue.recv_timeout(PAUSE) {
                    Ok(job) => self.add(job),
                    Err(mpsc::RecvTimeoutError::Timeout) if !stop.is_cancelled() => continue,
                    Err(_) => return,
                }
            }
            self.take_all(queue);
            self.forget_the_gone();
            if let Some((number, event)) = self.batch.next() {
                self.tell(number, event);
            }
            let (waiting, running) = self.batch.len();
            self.metrics.waiting.store(waiting, Ordering::Relaxed);
            self.metrics.running.store(running, Ordering::Relaxed);
        }
    }

    fn take_all(&mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(job) = queue.try_recv() {
            self.add(job);
        }
    }

    fn add(&mut self, Job { prompt, generate, listener }: Job) {
        let number = self.batch.add(&prompt, &generate);
        self.listeners.push((number, listener));
    }

    fn forget_the_gone(&mut self) {
        let Self { batch, listeners, .. } = self;
        listeners.retain(|(number, listener)| {
            let gone = listener.is_closed();
            if gone {
                batch.remove(*number);
            }
            !gone
        });
    }

    fn tell(&mut self, number: usize, event: Result<Event>) {
        let Some(place) = self.listeners.iter().position(|(of, _)| *of == number) else { return };
        // Whoever is gone hears nothing.
        let last = match event {
            Ok(Event::End(_)) => match self.batch.answer(number) {
                Some(answer) => {
                    self.metrics.answered(&answer);
                    Told::Over(Box::new(answer))
                }
                None => Told::Failed(Error::internal("an answer that is over is not there")),
            },
            Ok(event) => {
                let _ = self.listeners[place].1.send(Told::Event(event));
                return;
            }
            Err(error) => Told::Failed(error),
        };
        let (_, listener) = self.listeners.swap_remove(place);
        let _ = listener.send(last);
    }
}
