//! The thread that decodes all requests in one batch.

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

/// Interval at which an idle worker checks for the end of the server.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// A request for the worker. It ends when the receiver of `events` is closed.
pub(super) struct Job {
    pub(super) prompt: Prompt,
    pub(super) options: GenerateOptions,
    /// Index of the answer among those of the request.
    pub(super) choice: usize,
    pub(super) events: UnboundedSender<(usize, WorkerEvent)>,
}

/// An event of one request. [`Done`](Self::Done) and [`Failed`](Self::Failed) are the last.
pub(super) enum WorkerEvent {
    Event(Event),
    Done(Box<Answer>),
    Failed(Error),
}

/// Handle of the worker thread.
pub(super) struct Worker {
    jobs: mpsc::Sender<Job>,
    cancel: CancelToken,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start(model: Model, max_concurrent: usize, metrics: Arc<Metrics>) -> Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let cancel = CancelToken::new();
        let stop = cancel.clone();
        let work = move || {
            // A panic ends the requests of its batch; later ones get a new batch.
            while !stop.is_cancelled() {
                let batch = model.batch(&BatchOptions::new().max_concurrent(max_concurrent).cancel(&stop));
                let mut scheduler = Scheduler { batch, listeners: Vec::new(), metrics: &metrics };
                if catch_unwind(AssertUnwindSafe(|| scheduler.run(&queue, &stop))).is_ok() {
                    return;
                }
                for listener in scheduler.listeners {
                    let error = Error::internal("another request of the same batch failed");
                    listener.send(WorkerEvent::Failed(error));
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

    /// Cancels all requests, and joins the thread.
    pub(super) fn stop(self) {
        let Self { jobs, cancel, thread } = self;
        cancel.cancel();
        drop(jobs);
        // The thread catches its panics.
        let _ = thread.join();
    }
}

/// The connection that waits for an answer.
struct Listener {
    /// Id of the answer in the batch.
    id: usize,
    choice: usize,
    events: UnboundedSender<(usize, WorkerEvent)>,
}

impl Listener {
    /// Sends an event. An error means that the client is gone.
    fn send(&self, event: WorkerEvent) {
        let _ = self.events.send((self.choice, event));
    }
}

/// The batch, and the listener of each of its answers.
struct Scheduler<'a> {
    batch: Batch,
    listeners: Vec<Listener>,
    metrics: &'a Metrics,
}

impl Scheduler<'_> {
    /// Decodes the requests of `queue` until all its senders are dropped or `stop` is cancelled.
    fn run(&mut self, queue: &mpsc::Receiver<Job>, stop: &CancelToken) {
        loop {
            // The queue may block only while the batch is idle.
            if self.batch.is_empty() {
                match queue.recv_timeout(POLL_INTERVAL) {
                    Ok(job) => self.add(job),
                    Err(mpsc::RecvTimeoutError::Timeout) if !stop.is_cancelled() => continue,
                    Err(_) => return,
                }
            }
            self.add_queued(queue);
            self.drop_disconnected();
            if let Some((id, event)) = self.batch.next() {
                self.dispatch(id, event);
            }
            self.metrics.waiting.store(self.batch.waiting(), Ordering::Relaxed);
            self.metrics.running.store(self.batch.running(), Ordering::Relaxed);
        }
    }

    fn add_queued(&mut self, queue: &mpsc::Receiver<Job>) {
        while let Ok(job) = queue.try_recv() {
            self.add(job);
        }
    }

    fn add(&mut self, Job { prompt, options, choice, events }: Job) {
        let id = self.batch.add(&prompt, &options);
        self.listeners.push(Listener { id, choice, events });
    }

    /// Removes the requests whose client is gone.
    fn drop_disconnected(&mut self) {
        let Self { batch, listeners, .. } = self;
        listeners.retain(|Listener { id, events, .. }| {
            let disconnected = events.is_closed();
            if disconnected {
                batch.remove(*id);
            }
            !disconnected
        });
    }

    /// Sends an event of answer `id` to its connection.
    fn dispatch(&mut self, id: usize, event: Result<Event>) {
        let Some(index) = self.listeners.iter().position(|listener| listener.id == id) else { return };
        let last = match event {
            Ok(Event::End(_)) => match self.batch.answer(id) {
                Some(answer) => {
                    self.metrics.count_answer(&answer);
                    WorkerEvent::Done(Box::new(answer))
                }
                None => WorkerEvent::Failed(Error::internal("the batch has no answer for a finished request")),
            },
            Ok(event) => {
                self.listeners[index].send(WorkerEvent::Event(event));
                return;
            }
            Err(error) => WorkerEvent::Failed(error),
        };
        self.listeners.swap_remove(index).send(last);
    }
}
