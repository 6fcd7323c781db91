//! Work off the calling thread, so that signals are noticed while the model computes.
//!
//! Python runs its signal handlers on the main thread only, and only while that thread runs Python. So long work runs on
//! a thread of its own, which never touches Python, and the caller waits for it in short sleeps without the GIL.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mimo_vl_core::{CancelToken, Error, TaskControl};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::error::{OrRaise, exception};
use crate::slot::Slot;

/// Longest time that a signal waits for its handler.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// Time between two requests to stop.
const STOPPING: Duration = Duration::from_millis(1);

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
    work: impl FnOnce(TaskControl<'_>) -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    followed(py, progress, |cancel, tell| {
        work(TaskControl::new().cancel(cancel).progress(&|done, of| tell((done, of))))
    })
}

/// Do long work on a thread of its own, which tells `each`, a Python function, what comes of it. What a signal handler or the
/// function raises stops the work.
pub(crate) fn followed<M, T>(
    py: Python<'_>,
    each: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&CancelToken, &Tell<M>) -> Result<T, Error> + Send + 'static,
) -> PyResult<T>
where
    M: for<'py> PyCallArgs<'py> + Send + 'static,
    T: Send + 'static,
{
    let cancel = CancelToken::new();
    let flag = cancel.clone();
    let mut messages = begin(py, each.is_some(), move |tell| work(&flag, tell))?;
    follow(py, each, None, &mut messages).inspect_err(|_| cancel.cancel())?.or_raise(py)
}

/// Do a part of a call of `slot` on a thread of its own, as [`followed`]; when it is stopped, its end is waited for.
pub(crate) fn interruptible<M, T>(
    py: Python<'_>,
    slot: &Slot,
    each: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Tell<M>) -> Result<T, Error> + Send + 'static,
) -> PyResult<T>
where
    M: for<'py> PyCallArgs<'py> + Send + 'static,
    T: Send + 'static,
{
    let mut messages = begin(py, each.is_some(), work)?;
    match follow(py, each, Some(slot), &mut messages) {
        Ok(result) => result.or_raise(py),
        Err(interrupt) => {
            // The core lowers the flag when a turn starts, so raising it once might come too early.
            py.detach(move || {
                let is_over = |message| matches!(message, Ok(Message::Done(_)) | Err(RecvTimeoutError::Disconnected));
                while !is_over(messages.recv_timeout(STOPPING)) {
                    slot.interrupt();
                }
            });
            Err(interrupt)
        }
    }
}

/// What a worker tells, as the arguments of a Python function.
pub(crate) type Tell<M> = Arc<dyn Fn(M) + Send + Sync>;

enum Message<M, T> {
    Told(M),
    Done(Result<T, Error>),
}

/// Do `work` on a thread of its own; what it tells goes nowhere unless `told`.
fn begin<M: Send + 'static, T: Send + 'static>(
    py: Python<'_>,
    told: bool,
    work: impl FnOnce(&Tell<M>) -> Result<T, Error> + Send + 'static,
) -> PyResult<Receiver<Message<M, T>>> {
    let (sender, received) = mpsc::channel();
    spawn(py, move || {
        // Nobody listens any more when the caller was interrupted.
        let steps = sender.clone();
        let tell: Tell<M> =
            if told { Arc::new(move |message| drop(steps.send(Message::Told(message)))) } else { Arc::new(|_| {}) };
        let result = contain(|| work(&tell)).flatten();
        drop(sender.send(Message::Done(result)));
    })?;
    Ok(received)
}

/// Tell `each` what comes, until the work is done. An error is what a signal handler or the function raised; the work goes on.
fn follow<M, T>(
    py: Python<'_>,
    each: Option<&Bound<'_, PyAny>>,
    slot: Option<&Slot>,
    messages: &mut Receiver<Message<M, T>>,
) -> PyResult<Result<T, Error>>
where
    M: for<'py> PyCallArgs<'py> + Send,
    T: Send,
{
    loop {
        match wait(py, slot, messages)? {
            Message::Told(message) => {
                // Where much is told, no wait is long enough to look for signals.
                py.check_signals()?;
                each.map(|each| each.call1(message)).transpose()?;
            }
            Message::Done(result) => return Ok(result),
        }
    }
}

/// Lock; what a mutex here guards is whole between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
