//! Work off the calling thread, so that signals are noticed while the model computes.
//!
//! Python runs its signal handlers on the main thread only, and only while that thread runs Python. So a turn runs on
//! a thread of its own, which never touches Python, and the caller waits for it in short sleeps without the GIL.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mimo_vl_core::cancel::{Cancel, Watch};
use mimo_vl_core::error::Error;
use mimo_vl_core::session::Session;
use pyo3::call::PyCallArgs;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::exception;

/// Longest time that a signal waits for its handler.
const POLL: Duration = Duration::from_millis(50);

/// Stack of a worker: what a main thread has.
const STACK: usize = 8 << 20;

/// Run `work` on a thread of its own.
pub(crate) fn spawn(py: Python<'_>, work: impl FnOnce() + Send + 'static) -> PyResult<()> {
    match thread::Builder::new().name("mimo-vl".to_owned()).stack_size(STACK).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(exception(py, &Error::Internal { reason: format!("no thread could be started: {error}") })),
    }
}

/// Do `work`; a panic becomes an error that says what the panic said.
pub(crate) fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
        let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
        // Dropping a payload may panic in its turn.
        std::mem::forget(panic);
        Error::Internal { reason: said.unwrap_or_else(|| "a panic without a message".to_owned()) }
    })
}

/// Wait for the next message without the GIL, and see to it that a cancel of the call in `slot` is not lost.
///
/// An error is what a signal handler raised, `KeyboardInterrupt` for example; the work goes on.
pub(crate) fn wait<T: Send>(py: Python<'_>, slot: Option<&Slot>, messages: &mut Receiver<T>) -> PyResult<T> {
    loop {
        let messages = &mut *messages;
        let message = py.detach(move || {
            if let Some(slot) = slot {
                slot.repeat_cancel();
            }
            messages.recv_timeout(POLL)
        });
        match message {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(py, &Error::Internal { reason: "the worker ended early".to_owned() }));
            }
        }
    }
}

/// Do long work on a thread of its own, which tells `progress`, a Python function, how far it is. What a signal handler or the
/// function raises stops the work.
pub(crate) fn watched<T: Send + 'static>(
    py: Python<'_>,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(Watch<'_>) -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    followed(py, progress, |cancel, tell| work(Watch::new().cancel(cancel).progress(&|done, of| tell((done, of)))))
}

/// Do long work on a thread of its own, which tells `each`, a Python function, what comes of it. What a signal handler or the
/// function raises stops the work.
pub(crate) fn followed<M, T>(
    py: Python<'_>,
    each: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Cancel, &dyn Fn(M)) -> Result<T, Error> + Send + 'static,
) -> PyResult<T>
where
    M: for<'py> PyCallArgs<'py> + Send + 'static,
    T: Send + 'static,
{
    enum Step<M, T> {
        Told(M),
        Done(Result<T, Error>),
    }
    let cancel = Cancel::new();
    let (flag, told) = (cancel.clone(), each.is_some());
    let (steps, mut received) = mpsc::channel();
    spawn(py, move || {
        let tell = |message| {
            if told {
                // Nobody listens any more when the caller was interrupted.
                let _ = steps.send(Step::Told(message));
            }
        };
        let result = contain(|| work(&flag, &tell)).flatten();
        let _ = steps.send(Step::Done(result));
    })?;
    let mut follow = || {
        loop {
            match wait(py, None, &mut received)? {
                Step::Told(message) => each.map(|each| each.call1(message)).transpose()?,
                Step::Done(result) => return result.map_err(|error| exception(py, &error)),
            };
        }
    };
    follow().inspect_err(|_| cancel.cancel())
}

/// Stop the work that `slot` runs, and wait for its last message, whatever it is.
///
/// The core lowers the flag when a turn starts, so raising it once might come too early.
pub(crate) fn stop<T: Send>(py: Python<'_>, slot: &Slot, messages: &mut Receiver<T>) {
    py.detach(move || {
        loop {
            slot.cancel.cancel();
            if !matches!(messages.recv_timeout(POLL), Err(RecvTimeoutError::Timeout)) {
                break;
            }
        }
    });
}

/// What a stream's worker waits for before each step. Without it the worker ends, and the turn is rolled back.
pub(crate) type Pulls = Arc<Mutex<Option<Sender<()>>>>;

enum State {
    Free(Box<Session>),
    /// A worker has the session.
    Busy {
        /// A stream's worker ends when these are taken away.
        pulls: Option<Pulls>,
        /// Whether the caller asked for a stop.
        cancelled: bool,
    },
    /// A worker has the session, and is about to bring it back.
    Ending,
    /// A defect of the core took the session along.
    Lost,
    Closed,
}

/// The place of a core session, which is either here or with the one worker that uses it.
pub(crate) struct Slot {
    state: Mutex<State>,
    changed: Condvar,
    cancel: Cancel,
}

impl Slot {
    pub(crate) fn new(session: Session) -> Self {
        let cancel = session.cancel();
        Self { state: Mutex::new(State::Free(Box::new(session))), changed: Condvar::new(), cancel }
    }

    /// Ask the worker, if there is one, to stop.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        if let State::Busy { cancelled, .. } = &mut *state {
            *cancelled = true;
        }
        self.cancel.cancel();
    }

    /// Raise the core's flag again if the call that is under way is cancelled.
    ///
    /// The core lowers the flag when a turn starts, and so loses a cancel that comes after the call and before that.
    pub(crate) fn repeat_cancel(&self) {
        let state = self.lock();
        if matches!(&*state, State::Busy { cancelled: true, .. }) {
            self.cancel.cancel();
        }
    }

    /// Run `work` with the session on a thread of its own, then put the session back, then send the result; a panic is
    /// a result too, and takes the session along.
    ///
    /// `work` repeats a cancel once the core has started the turn.
    pub(crate) fn run<T: Send + 'static>(
        self: &Arc<Self>,
        py: Python<'_>,
        pulls: Option<Pulls>,
        results: Sender<Result<T, Error>>,
        work: impl FnOnce(&mut Session, &Self) -> Result<T, Error> + Send + 'static,
    ) -> PyResult<()> {
        let mut session = py.detach(|| self.take(pulls)).map_err(PyRuntimeError::new_err)?;
        let slot = Arc::clone(self);
        spawn(py, move || {
            let result = match contain(|| work(&mut session, &slot)) {
                Ok(result) => {
                    slot.set(State::Free(session));
                    result
                }
                Err(defect) => {
                    slot.set(State::Lost);
                    Err(defect)
                }
            };
            // Nobody listens any more when the caller dropped the stream.
            let _ = results.send(result);
        })
        .inspect_err(|_| self.set(State::Lost))
    }

    /// Do `work` with the session on this thread; no signal is noticed meanwhile. A panic takes the session along.
    pub(crate) fn with<T>(&self, py: Python<'_>, work: impl FnOnce(&mut Session) -> T + Send) -> PyResult<T>
    where
        T: Send,
    {
        py.detach(|| {
            let mut session = self.take(None)?;
            let result = contain(|| work(&mut session));
            self.set(if result.is_ok() { State::Free(session) } else { State::Lost });
            Ok(result)
        })
        .map_err(|reason: &str| PyRuntimeError::new_err(reason))?
        .map_err(|defect| exception(py, &defect))
    }

    /// Take the session out; a stream that is just ending is waited for.
    fn take(&self, pulls: Option<Pulls>) -> Result<Box<Session>, &'static str> {
        let mut state = self.lock();
        loop {
            match &*state {
                State::Free(_) => break,
                State::Ending => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                State::Busy { pulls: None, .. } => return Err("the session is busy: another thread is asking it"),
                State::Busy { pulls: Some(_), .. } => {
                    return Err("the session is busy: exhaust or close() its stream before the next call");
                }
                State::Lost => return Err("the session met an internal error and is gone; open another one"),
                State::Closed => return Err("the session is closed"),
            }
        }
        match std::mem::replace(&mut *state, State::Busy { pulls, cancelled: false }) {
            State::Free(session) => Ok(session),
            _ => Err("the session is busy"),
        }
    }

    /// Let the worker of an open stream roll the turn back and end.
    pub(crate) fn end_stream(&self, pulls: &Pulls) {
        let mut state = self.lock();
        // The stream may have ended long ago, and the session be busy with another call.
        if matches!(&*state, State::Busy { pulls: Some(current), .. } if Arc::ptr_eq(current, pulls)) {
            *state = State::Ending;
        }
        *lock(pulls) = None;
    }

    /// Stop what runs, wait for it, and give the session's memory back. Needs no GIL.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        loop {
            if let State::Busy { pulls, .. } = &*state {
                self.cancel.cancel();
                if let Some(pulls) = pulls {
                    *lock(pulls) = None;
                }
            }
            if !matches!(&*state, State::Busy { .. } | State::Ending) {
                break;
            }
            state = self.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
        *state = State::Closed;
    }

    fn set(&self, state: State) {
        *self.lock() = state;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Lock; what a mutex here guards is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
