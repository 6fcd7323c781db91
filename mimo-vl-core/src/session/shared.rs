//! A session behind one handle that several threads may share: one of them uses it at a time.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::session::Session;
use crate::error::Error;

/// A [`Session`] for the handles of other languages. Clones share the session; [`acquire`](Self::acquire) gives it to
/// one caller at a time and never waits.
#[derive(Clone)]
pub struct SharedSession(Arc<Cell>);

struct Cell {
    state: Mutex<State>,
    /// Notified when the state is no longer [`State::Busy`].
    released: Condvar,
}

enum State {
    Idle(Box<Session>),
    Busy,
    Poisoned,
    Closed,
}

/// Why a session cannot be acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionUnavailable {
    /// Another call or an open stream uses it.
    Busy,
    /// A panic ended an earlier call, so its state is unknown.
    Poisoned,
    /// [`SharedSession::close`] dropped it.
    Closed,
}

impl SessionUnavailable {
    /// The error of a call that needs the session.
    pub fn into_error(self) -> Error {
        match self {
            Self::Busy => Error::option("session", "it is busy: finish or free its stream, or wait for the other call"),
            Self::Poisoned => Error::internal("the session is unusable after an earlier internal error"),
            Self::Closed => Error::option("session", "it is closed"),
        }
    }
}

impl SharedSession {
    /// Makes `session` shareable.
    pub fn new(session: Session) -> Self {
        Self(Arc::new(Cell { state: Mutex::new(State::Idle(Box::new(session))), released: Condvar::new() }))
    }

    /// Takes the session for exclusive use, until the guard is dropped.
    ///
    /// # Errors
    /// [`SessionUnavailable`], at once.
    pub fn acquire(&self) -> Result<SessionGuard, SessionUnavailable> {
        let mut state = self.0.lock();
        match std::mem::replace(&mut *state, State::Busy) {
            State::Idle(session) => Ok(SessionGuard { session: Some(session), shared: self.clone() }),
            State::Busy => Err(SessionUnavailable::Busy),
            State::Poisoned => {
                *state = State::Poisoned;
                Err(SessionUnavailable::Poisoned)
            }
            State::Closed => {
                *state = State::Closed;
                Err(SessionUnavailable::Closed)
            }
        }
    }

    /// Waits until no guard exists, at most for `timeout`. Returns false if one still does.
    pub fn wait_released(&self, timeout: Duration) -> bool {
        let is_busy = |state: &mut State| matches!(state, State::Busy);
        let waited = self.0.released.wait_timeout_while(self.0.lock(), timeout, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Drops the session and its memory; later calls get [`SessionUnavailable::Closed`]. Closing it again has no
    /// effect.
    ///
    /// # Errors
    /// [`SessionUnavailable::Busy`] while a guard exists: cancel its call, wait with
    /// [`wait_released`](Self::wait_released), and try again.
    pub fn close(&self) -> Result<(), SessionUnavailable> {
        let mut state = self.0.lock();
        if matches!(*state, State::Busy) {
            return Err(SessionUnavailable::Busy);
        }
        let session = std::mem::replace(&mut *state, State::Closed);
        // Freeing a large cache takes time that other threads need not wait for.
        drop(state);
        drop(session);
        Ok(())
    }
}

impl fmt::Debug for SharedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match *self.0.lock() {
            State::Idle(_) => "Idle",
            State::Busy => "Busy",
            State::Poisoned => "Poisoned",
            State::Closed => "Closed",
        };
        f.debug_tuple("SharedSession").field(&format_args!("{state}")).finish()
    }
}

impl Cell {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is only ever replaced by a complete one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Exclusive use of a [`SharedSession`]. Dropping it returns the session; if its thread is panicking, the session is
/// poisoned instead.
pub struct SessionGuard {
    /// `None` only during the drop.
    session: Option<Box<Session>>,
    shared: SharedSession,
}

impl Deref for SessionGuard {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("the session is there until the drop")
    }
}

impl DerefMut for SessionGuard {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("the session is there until the drop")
    }
}

impl fmt::Debug for SessionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionGuard").finish_non_exhaustive()
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| !std::thread::panicking());
        *self.shared.0.lock() = session.map_or(State::Poisoned, State::Idle);
        self.shared.0.released.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::super::load_options::LoadOptions;
    use super::super::model::Model;
    use super::*;

    fn session() -> SharedSession {
        let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny");
        SharedSession::new(Model::load(checkpoint, &LoadOptions::new()).unwrap().session())
    }

    #[test]
    fn only_one_guard_exists_at_a_time() {
        let session = session();
        let guard = session.acquire().unwrap();
        assert_eq!(session.clone().acquire().unwrap_err(), SessionUnavailable::Busy);
        assert!(matches!(SessionUnavailable::Busy.into_error(), Error::Option { option: "session", .. }));
        drop(guard);
        assert!(session.acquire().is_ok());
    }

    #[test]
    fn a_guard_outlives_its_handle() {
        let mut guard = session().acquire().unwrap();
        guard.reset();
        assert_eq!(guard.shared.acquire().unwrap_err(), SessionUnavailable::Busy);
    }

    #[test]
    fn a_panic_poisons_the_session_for_good() {
        let session = session();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _guard = session.acquire().unwrap();
            panic!("while the session is in use");
        }));
        assert!(panicked.is_err());
        for _ in 0..2 {
            assert_eq!(session.acquire().unwrap_err(), SessionUnavailable::Poisoned);
        }
        assert!(matches!(SessionUnavailable::Poisoned.into_error(), Error::Internal { .. }));
    }

    #[test]
    fn a_session_closes_once_its_guard_is_gone() {
        let session = session();
        let guard = session.acquire().unwrap();
        assert!(!session.wait_released(Duration::from_millis(1)));
        assert_eq!(session.close(), Err(SessionUnavailable::Busy));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(20));
                drop(guard);
            });
            assert!(session.wait_released(Duration::from_secs(60)));
        });
        assert_eq!(session.close(), Ok(()));
        assert_eq!(session.close(), Ok(()));
        assert_eq!(session.acquire().unwrap_err(), SessionUnavailable::Closed);
    }
}
