//! A session as Python objects share it: the session and its stream.

use std::sync::{Arc, Mutex};

use mimo_vl_core::expert::{SessionGuard, SessionUnavailable, SharedSession, contain};
use mimo_vl_core::{CancelToken, Session};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::exception;
use crate::stream_state::StreamState;
use crate::worker::{POLL_INTERVAL, lock};

/// A core session that one call or stream uses at a time, and how to end the call that uses it.
pub(crate) struct SessionHandle {
    shared: SharedSession,
    /// The last call that acquired the session.
    last_call: Mutex<Call>,
}

/// A call that uses a session.
#[derive(Clone, Default)]
pub(crate) struct Call {
    pub(crate) cancel: CancelToken,
    /// State of the stream, if the call is one.
    pub(crate) stream: Option<Arc<StreamState>>,
}

impl SessionHandle {
    pub(crate) fn new(session: Session) -> Self {
        Self { shared: SharedSession::new(session), last_call: Mutex::default() }
    }

    /// Acquires the session for a call; waits for a stream that is about to end.
    pub(crate) fn acquire(&self, py: Python<'_>, call: &Call) -> PyResult<SessionGuard> {
        py.detach(|| self.acquire_for(call)).map_err(PyRuntimeError::new_err)
    }

    fn acquire_for(&self, call: &Call) -> Result<SessionGuard, &'static str> {
        loop {
            let mut last_call = lock(&self.last_call);
            match (self.shared.acquire(), &last_call.stream) {
                (Ok(guard), _) => {
                    *last_call = call.clone();
                    return Ok(guard);
                }
                (Err(SessionUnavailable::Busy), Some(stream)) if stream.is_ending() => {
                    drop(last_call);
                    self.shared.wait_released(POLL_INTERVAL);
                }
                (Err(SessionUnavailable::Busy), Some(_)) => {
                    return Err("the session is busy: exhaust or close() its stream before the next call");
                }
                (Err(SessionUnavailable::Busy), None) => {
                    return Err("the session is busy: another thread uses it");
                }
                (Err(SessionUnavailable::Closed), _) => return Err("the session is closed"),
                (Err(_), _) => return Err("the session is unusable after an internal error: open another one"),
            }
        }
    }

    /// Runs `work` with the session on this thread; signals wait until it returns. A panic makes the session unusable.
    pub(crate) fn with<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Session) -> T + Send) -> PyResult<T> {
        let mut session = self.acquire(py, &Call::default())?;
        py.detach(|| contain(move || work(&mut session))).map_err(|defect| exception(py, &defect))
    }

    /// Cancels the call that uses the session, waits for its end, and frees the session. Needs no GIL.
    pub(crate) fn close(&self) {
        while self.shared.close().is_err() {
            let Call { cancel, stream } = lock(&self.last_call).clone();
            cancel.cancel();
            stream.iter().for_each(|stream| stream.close());
            self.shared.wait_released(POLL_INTERVAL);
        }
    }
}
