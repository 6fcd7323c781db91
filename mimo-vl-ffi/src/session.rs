//! A conversation.

use std::ffi::{c_char, c_void};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mimo_vl_core::{Error, Result};

use crate::answer::{Answer, Stage};
use crate::callback::{EventCallback, MIMO_VL_CONTINUE, MIMO_VL_STOP, StageCallback, UserData};
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::model::Model;
use crate::options::{GenerateOptions, generate};
use crate::prompt::Prompt;
use crate::stream::{EventKind, Stream};
use crate::{boundary, pointer};

/// A conversation with a model: it remembers the questions and answers so far. It keeps the model alive.
pub struct Session {
    seat: Arc<Seat>,
    cancel: mimo_vl_core::CancelToken,
}

/// Where the core's session waits for work. A stream that is open holds the seat's session and the seat itself, so the
/// handles of both can be freed in any order.
struct Seat(Mutex<State>);

enum State {
    Idle(Box<mimo_vl_core::Session>),
    Busy,
    /// The session was given up because of a panic.
    Broken,
}

impl Session {
    fn new(session: mimo_vl_core::Session) -> Self {
        let cancel = session.cancel();
        Self { seat: Arc::new(Seat(Mutex::new(State::Idle(Box::new(session))))), cancel }
    }
}

impl Seat {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is only ever replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to use a session; the session returns to its seat when this is dropped.
pub(crate) struct Lease {
    /// Gone only while this is dropped.
    session: Option<Box<mimo_vl_core::Session>>,
    seat: Arc<Seat>,
}

impl Lease {
    pub(crate) fn take(session: &Session) -> Result<Self> {
        let mut state = session.seat.lock();
        match std::mem::replace(&mut *state, State::Busy) {
            State::Idle(boxed) => Ok(Self { session: Some(boxed), seat: Arc::clone(&session.seat) }),
            State::Busy => Err(pointer::refuse(
                "session",
                "it is answering: finish or free its stream, or wait for the other call",
            )),
            State::Broken => {
                *state = State::Broken;
                Err(Error::Internal { reason: "the session was given up after an earlier internal error".to_owned() })
            }
        }
    }
}

impl Deref for Lease {
    type Target = mimo_vl_core::Session;

    fn deref(&self) -> &Self::Target {
        self.session.as_ref().expect("there until the drop")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.session.as_mut().expect("there until the drop")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let session = self.session.take().filter(|_| !std::thread::panicking());
        *self.seat.lock() = session.map_or(State::Broken, State::Idle);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("cancel", &self.cancel).finish_non_exhaustive()
    }
}

/// Start a conversation. Free it with mimo_vl_session_free; the model may be freed before.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_new(
    model: *const Model,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(session_out, "session_out", error_out, || {
            Ok(Session::new(pointer::borrow(model, "model")?.model.session()))
        })
    }
}

/// Ask, and wait for the whole answer, which becomes part of the conversation. `options` may be NULL for the
/// defaults. Free the answer with mimo_vl_answer_free; it does not need the session any more.
///
/// When the call fails the conversation is as it was before.
///
/// Errors: MIMO_VL_STATUS_PROMPT and MIMO_VL_STATUS_IMAGE when the prompt cannot be put to the model,
/// MIMO_VL_STATUS_CONTEXT_TOO_LONG, MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_OPTION for NULL arguments, an option out of
/// its range, and while a stream of the session is open or another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_ask(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::making(answer_out, "answer_out", error_out, || {
            let session = pointer::borrow(session.cast_const(), "session")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let mut lease = Lease::take(session)?;
            Ok(Answer::new(lease.ask(&prompt.0, &generate(options))?))
        })
    }
}

/// Ask, and read the answer while it is written, with mimo_vl_stream_next. The prompt is read before this call
/// returns. `options` may be NULL for the defaults.
///
/// Until the stream is finished or freed the session does nothing else. Free it with mimo_vl_stream_free; the session
/// may be freed before.
///
/// Errors: as mimo_vl_session_ask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_stream(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    stream_out: *mut *mut Stream,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::making(stream_out, "stream_out", error_out, || {
            let session = pointer::borrow(session.cast_const(), "session")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            Stream::start(Lease::take(session)?, &prompt.0, &generate(options))
        })
    }
}

/// Ask, and have `callback` called with each event of the answer, with `user_data`; the whole answer is given in the end, unless
/// `answer_out` is NULL. When the callback returns MIMO_VL_STOP the answer ends there and is kept; with MIMO_VL_CANCEL the call ends
/// with MIMO_VL_STATUS_CANCELLED and the conversation is as it was before; what it returns for MIMO_VL_EVENT_KIND_END does not matter.
/// `options` may be NULL for the defaults; of several answers, `best_of`, one is written. Free the answer with mimo_vl_answer_free.
///
/// Errors: as mimo_vl_session_ask, and MIMO_VL_STATUS_OPTION for no callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_ask_with(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    callback: EventCallback,
    user_data: *mut c_void,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    let push = || {
        // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
        unsafe {
            let session = pointer::borrow(session.cast_const(), "session")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let callback = callback.ok_or_else(|| pointer::null("callback"))?;
            let mut stream = Stream::start(Lease::take(session)?, &prompt.0, &generate(options))?;
            loop {
                let kind = stream.next()?;
                let region = stream.region();
                match callback(user_data, kind, stream.text(), region) {
                    _ if matches!(kind, EventKind::End) => return stream.finish(),
                    MIMO_VL_CONTINUE => {}
                    MIMO_VL_STOP => stream.stop()?,
                    _ => return Err(Error::Cancelled),
                }
            }
        }
    };
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        if answer_out.is_null() {
            boundary::fallible(error_out, || push().map(drop))
        } else {
            boundary::making(answer_out, "answer_out", error_out, push)
        }
    }
}

/// Have `callback` told how far questions of this session are, with `user_data`, until it is set again; NULL ends that. It is called
/// on the thread of the call that asks.
///
/// Errors: MIMO_VL_STATUS_OPTION for a NULL session, and while a stream of the session is open or another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_set_progress(
    session: *mut Session,
    callback: StageCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::fallible(error_out, || {
            let session = pointer::borrow(session.cast_const(), "session")?;
            let data = UserData(user_data);
            Lease::take(session)?.on_progress(move |stage, done, of| {
                let data = data;
                let stage = match stage {
                    mimo_vl_core::Stage::Encode => Stage::Encode,
                    _ => Stage::Prefill,
                };
                if let Some(tell) = callback {
                    tell(data.0, stage as i32, done, of);
                }
            });
            Ok(())
        })
    }
}

/// A second session that goes on from here on its own; the two share pictures and what was computed of them. Free it with
/// mimo_vl_session_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and while a stream of the session is open or another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_fork(
    session: *const Session,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::making(session_out, "session_out", error_out, || {
            Ok(Session::new(Lease::take(pointer::borrow(session, "session")?)?.fork()))
        })
    }
}

/// Write the conversation to a file, with its pictures and what the vision tower made of them.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be written, MIMO_VL_STATUS_OPTION for NULL arguments, and while a stream of the
/// session is open or another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_save(
    session: *const Session,
    path: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::fallible(error_out, || {
            let path = pointer::path(path, "path")?;
            Lease::take(pointer::borrow(session, "session")?)?.save(path)
        })
    }
}

/// Go on with a conversation that mimo_vl_session_save wrote. Free it with mimo_vl_session_free.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_CHECKPOINT when it is no such file, is damaged, or of another
/// model; MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_load(
    model: *const Model,
    path: *const c_char,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(session_out, "session_out", error_out, || {
            let model = &pointer::borrow(model, "model")?.model;
            Ok(Session::new(model.load_session(pointer::path(path, "path")?)?))
        })
    }
}

/// Forget the conversation and start anew.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL, and while a stream of the session is open or another thread uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_reset(session: *mut Session, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::fallible(error_out, || {
            let session = pointer::borrow(session.cast_const(), "session")?;
            Lease::take(session)?.reset();
            Ok(())
        })
    }
}

/// A handle with which any thread stops the answer that the session is giving; it may be asked for at any time, also
/// while another thread waits for an answer. Free it with mimo_vl_cancel_token_free, before or after the session.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_cancel_handle(
    session: *const Session,
    cancel_out: *mut *mut CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(cancel_out, "cancel_out", error_out, || {
            Ok(CancelToken(pointer::borrow(session, "session")?.cancel.clone()))
        })
    }
}

/// Free the session; NULL is ignored. A stream that is still open goes on and keeps what it needs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_free(session: *mut Session) {
    // SAFETY: NULL or a session that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(session) });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::panic::{AssertUnwindSafe, catch_unwind};

    use mimo_vl_core::LoadOptions;

    use super::*;

    fn session() -> Session {
        let checkpoint = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/tiny");
        let model = mimo_vl_core::Model::load(checkpoint, &LoadOptions::new()).unwrap();
        Session::new(model.session())
    }

    #[test]
    fn one_lease_at_a_time() {
        let session = session();
        let lease = Lease::take(&session).unwrap();
        assert!(matches!(Lease::take(&session), Err(Error::Option { option: "session", .. })));
        drop(lease);
        assert!(Lease::take(&session).is_ok());
    }

    #[test]
    fn a_lease_outlives_its_session() {
        let session = session();
        let mut lease = Lease::take(&session).unwrap();
        drop(session);
        lease.reset();
    }

    #[test]
    fn a_panic_closes_the_session_for_good() {
        let session = session();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _lease = Lease::take(&session).unwrap();
            panic!("while the session is in use");
        }));
        assert!(panicked.is_err());
        for _ in 0..2 {
            assert!(matches!(Lease::take(&session), Err(Error::Internal { .. })));
        }
    }
}
