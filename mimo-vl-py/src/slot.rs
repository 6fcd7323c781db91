//! Where a session waits for calls.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use mimo_vl_core::{CancelToken, Session, Stage};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::exception;
use crate::stream_state::Turn;
use crate::worker::{POLL, Tell, contain, lock};

/// The place of a core session, which is either here or lent to the one call that uses it.
pub(crate) struct Slot {
    state: Mutex<State>,
    changed: Condvar,
    cancel: CancelToken,
}

enum State {
    Free(Box<Session>),
    Busy {
        /// Of the stream that has the session.
        turn: Option<Arc<Turn>>,
        /// Whether the caller asked for a stop.
        cancelled: bool,
    },
    /// A defect of the core took the session along.
    Lost,
    Closed,
}

/// The right to use a session, which returns to its slot when this is dropped.
pub(crate) struct Lease {
    /// Gone only while this is dropped.
    session: Option<Box<Session>>,
    slot: Arc<Slot>,
}

impl Slot {
    pub(crate) fn new(session: Session) -> Self {
        let cancel = session.cancel();
        Self { state: Mutex::new(State::Free(Box::new(session))), changed: Condvar::new(), cancel }
    }

    /// Ask the call that is under way, if there is one, to stop.
    pub(crate) fn cancel(&self) {
        let mut state = lock(&self.state);
        if let State::Busy { cancelled, .. } = &mut *state {
            *cancelled = true;
        }
        self.cancel.cancel();
    }

    /// Stop what runs, which is a call of the caller's: the next one is not stopped.
    pub(crate) fn interrupt(&self) {
        self.cancel.cancel();
    }

    /// Raise the core's flag again if the call that is under way is cancelled.
    ///
    /// The core lowers the flag when a turn starts, and so loses a cancel that comes after the call and before that.
    pub(crate) fn repeat_cancel(&self) {
        let state = lock(&self.state);
        if matches!(&*state, State::Busy { cancelled: true, .. }) {
            self.cancel.cancel();
        }
    }

    /// Do `work` with the session on this thread; no signal is noticed meanwhile. A panic takes the session along.
    pub(crate) fn with<T: Send>(
        self: &Arc<Self>,
        py: Python<'_>,
        work: impl FnOnce(&mut Session) -> T + Send,
    ) -> PyResult<T> {
        let mut lease = self.lend(py, None)?;
        py.detach(|| contain(move || work(&mut lease))).map_err(|defect| exception(py, &defect))
    }

    /// Lend the session, to the stream `turn` if it is for one; a stream that is just ending is waited for.
    pub(crate) fn lend(self: &Arc<Self>, py: Python<'_>, turn: Option<&Arc<Turn>>) -> PyResult<Lease> {
        py.detach(|| self.take(turn)).map_err(PyRuntimeError::new_err)
    }

    fn take(self: &Arc<Self>, turn: Option<&Arc<Turn>>) -> Result<Lease, &'static str> {
        let mut state = lock(&self.state);
        loop {
            match &*state {
                State::Free(_) => break,
                State::Busy { turn: Some(turn), .. } if turn.is_ending() => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                State::Busy { turn: None, .. } => return Err("the session is busy: another thread is asking it"),
                State::Busy { turn: Some(_), .. } => {
                    return Err("the session is busy: exhaust or close() its stream before the next call");
                }
                State::Lost => return Err("the session met an internal error and is gone; open another one"),
                State::Closed => return Err("the session is closed"),
            }
        }
        match std::mem::replace(&mut *state, State::Busy { turn: turn.cloned(), cancelled: false }) {
            State::Free(session) => Ok(Lease { session: Some(session), slot: Arc::clone(self) }),
            _ => Err("the session is busy"),
        }
    }

    /// Stop what runs, wait for it, and give the session's memory back. Needs no GIL.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        while let State::Busy { turn, .. } = &*state {
            self.cancel.cancel();
            let turn = turn.clone();
            drop(state);
            if let Some(turn) = turn {
                turn.close();
            }
            state = lock(&self.state);
            if matches!(&*state, State::Busy { .. }) {
                state = self.changed.wait_timeout(state, POLL).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        *state = State::Closed;
    }
}

impl Lease {
    /// Tell how far the stages before the answer are.
    pub(crate) fn report_to(&mut self, tell: &Tell<(&'static str, usize, usize)>) {
        let tell = Arc::clone(tell);
        self.on_progress(move |stage, done, of| {
            let stage = match stage {
                Stage::Encode => "encode",
                _ => "prefill",
            };
            tell((stage, done, of));
        });
    }

    /// Where the session belongs.
    pub(crate) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("there until the drop")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("there until the drop")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| !std::thread::panicking());
        *lock(&self.slot.state) = session.map_or(State::Lost, State::Free);
        self.slot.changed.notify_all();
    }
}
