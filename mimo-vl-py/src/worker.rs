//! Long calls on threads of their own, so that signals are handled while the model computes.
//!
//! Python runs signal handlers on the main thread only, and only while that thread runs Python. A worker thread never
//! touches Python; its caller waits without the GIL and checks for signals at intervals.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use mimo_vl_core::expert::contain;
use mimo_vl_core::{CancelToken, Error};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;

use crate::error::{OrRaise, exception};

/// Interval at which a waiting caller checks for signals.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Stack size of a worker thread, in bytes: that of a main thread.
const STACK_SIZE: usize = 8 << 20;

/// Passes arguments to the Python callback of a call, on the caller's thread.
pub(crate) type Report<M> = Arc<dyn Fn(M) + Send + Sync>;

/// A message from a worker to its caller.
enum Message<M, T> {
    Report(M),
    Done(Result<T, Error>),
}

/// Runs `work` on a worker thread and passes its reports to `callback`. `cancel` is the token of the call: an exception
/// of the callback or of a signal handler cancels it, and is raised when the work has ended. A second signal is raised
/// at once.
pub(crate) fn run<M, T>(
    py: Python<'_>,
    cancel: &CancelToken,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&Report<M>) -> Result<T, Error> + Send + 'static,
) -> PyResult<T>
where
    M: for<'py> PyCallArgs<'py> + Send + 'static,
    T: Send + 'static,
{
    let (sender, mut messages) = mpsc::channel();
    let has_callback = callback.is_some();
    spawn(py, move || {
        // A caller that was interrupted twice receives nothing more.
        let reports = sender.clone();
        let report: Report<M> = match has_callback {
            true => Arc::new(move |message| drop(reports.send(Message::Report(message)))),
            false => Arc::new(|_| {}),
        };
        let result = contain(|| work(&report)).flatten();
        drop(sender.send(Message::Done(result)));
    })?;
    match receive(py, callback, &mut messages) {
        Ok(result) => result.or_raise(py),
        Err(interrupt) => {
            cancel.cancel();
            while !matches!(wait(py, &mut messages)?, Message::Done(_)) {}
            Err(interrupt)
        }
    }
}

/// Receives reports until the work is done. An error comes from the callback or from a signal handler, and the work
/// goes on.
fn receive<M, T>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    messages: &mut Receiver<Message<M, T>>,
) -> PyResult<Result<T, Error>>
where
    M: for<'py> PyCallArgs<'py> + Send,
    T: Send,
{
    loop {
        match wait(py, messages)? {
            Message::Report(message) => {
                // Frequent reports leave no wait that is long enough to check for signals.
                py.check_signals()?;
                callback.map(|callback| callback.call1(message)).transpose()?;
            }
            Message::Done(result) => return Ok(result),
        }
    }
}

/// Waits for the next message without the GIL. An error is the exception of a signal handler, such as
/// `KeyboardInterrupt`; the work goes on.
pub(crate) fn wait<T: Send>(py: Python<'_>, messages: &mut Receiver<T>) -> PyResult<T> {
    loop {
        let messages = &mut *messages;
        match py.detach(move || messages.recv_timeout(POLL_INTERVAL)) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(exception(py, &Error::Internal { reason: "a worker thread ended early".to_owned() }));
            }
        }
    }
}

/// Runs `work` on a thread of its own.
pub(crate) fn spawn(py: Python<'_>, work: impl FnOnce() + Send + 'static) -> PyResult<()> {
    match thread::Builder::new().name("mimo-vl".to_owned()).stack_size(STACK_SIZE).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(exception(py, &Error::Internal { reason: format!("cannot start a thread: {error}") })),
    }
}

/// Locks a mutex whose value is consistent between any two statements, even after a panic.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
