//! Sessions: conversations with a model.

use std::ffi::{c_char, c_void};

use mimo_vl_core::expert::{SessionGuard, SessionUnavailable, SharedSession};
use mimo_vl_core::{Error, Result};

use crate::answer::Answer;
use crate::boundary::{create, fallible};
use crate::call::LongCall;
use crate::callback::{EventCallback, MIMO_VL_CONTINUE, MIMO_VL_STOP};
use crate::error::{ErrorObject, Status};
use crate::event::EventKind;
use crate::model::Model;
use crate::options::GenerateOptions;
use crate::pointer;
use crate::prompt::Prompt;
use crate::stream::Stream;
use crate::unwind::free;

/// Conversation with a model: earlier messages, and their KV cache.
#[derive(Debug)]
pub struct Session(SharedSession);

impl Session {
    fn new(session: mimo_vl_core::Session) -> Self {
        Self(SharedSession::new(session))
    }

    /// Exclusive use of a session that C lends. A session does one thing at a time and a second call is refused, so a
    /// shared borrow is enough.
    ///
    /// # Safety
    /// `session` is null or points to a living session.
    pub(crate) unsafe fn acquire(session: *const Self) -> Result<SessionGuard> {
        // SAFETY: passed on to the caller.
        let session = unsafe { pointer::borrow(session, "session") }?;
        session.0.acquire().map_err(SessionUnavailable::into_error)
    }
}

/// Makes a session with an empty conversation. Free it with mimo_vl_session_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_new(
    model: *const Model,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(session_out, "session_out", error_out, || {
            Ok(Session::new(pointer::borrow(model, "model")?.model.session()))
        })
    }
}

/// Generates an answer to a prompt; both become part of the conversation. `options` may be NULL for the defaults. Free
/// the answer with mimo_vl_answer_free.
///
/// If the call fails, the conversation is as before.
///
/// Errors: MIMO_VL_STATUS_PROMPT and MIMO_VL_STATUS_IMAGE for the prompt; MIMO_VL_STATUS_CONTEXT_TOO_LONG;
/// MIMO_VL_STATUS_MEMORY; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of
/// range, and while another thread or an open stream uses the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_ask(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(answer_out, "answer_out", error_out, || {
            let mut session = Session::acquire(session)?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            Ok(Answer::new(session.ask(&prompt.0, &GenerateOptions::to_core(options))?))
        })
    }
}

/// Begins an answer to a prompt, to be read with mimo_vl_stream_next. The prompt has been prefilled when this function
/// returns. `options` may be NULL for the defaults. Free the stream with mimo_vl_stream_free.
///
/// The session is busy until the stream is finished or freed; it may be freed before.
///
/// Errors: those of mimo_vl_session_ask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_stream(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    stream_out: *mut *mut Stream,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(stream_out, "stream_out", error_out, || {
            let session = Session::acquire(session)?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            Stream::start(session, &prompt.0, &GenerateOptions::to_core(options))
        })
    }
}

/// Generates an answer like mimo_vl_session_stream, and passes each event to `callback` with `user_data`. MIMO_VL_STOP
/// ends the answer and keeps it; MIMO_VL_CANCEL cancels the call. The value returned for MIMO_VL_EVENT_KIND_END is
/// ignored. `options` may be NULL for the defaults; `answer_out` may be NULL. Free the answer with mimo_vl_answer_free.
///
/// Errors: those of mimo_vl_session_ask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_ask_with_callback(
    session: *mut Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    callback: EventCallback,
    user_data: *mut c_void,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    let ask = || {
        // SAFETY: the arguments keep the header's rules.
        unsafe {
            let session = Session::acquire(session)?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let callback = callback.ok_or_else(|| pointer::null("callback"))?;
            let mut stream = Stream::start(session, &prompt.0, &GenerateOptions::to_core(options))?;
            loop {
                let kind = stream.next()?;
                let event = stream.last();
                match callback(user_data, kind, event.text(), event.region()) {
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
            fallible(error_out, || ask().map(drop))
        } else {
            create(answer_out, "answer_out", error_out, ask)
        }
    }
}

/// Makes an independent copy of the conversation as a session of its own. The two share images and their features. Free
/// it with mimo_vl_session_free.
///
/// Errors: MIMO_VL_STATUS_OPTION while another thread or an open stream uses the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_fork(
    session: *const Session,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { create(session_out, "session_out", error_out, || Ok(Session::new(Session::acquire(session)?.fork()))) }
}

/// Writes the conversation to a file, with its images and their features.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be written; MIMO_VL_STATUS_OPTION while another thread or an open
/// stream uses the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_save(
    session: *const Session,
    path: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        fallible(error_out, || {
            let path = pointer::path(path, "path")?;
            Session::acquire(session)?.save(path)
        })
    }
}

/// Makes a session of a file that mimo_vl_session_save wrote. Free it with mimo_vl_session_free.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_CHECKPOINT if it is not such a file, damaged,
/// or of another model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_load(
    model: *const Model,
    path: *const c_char,
    session_out: *mut *mut Session,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(session_out, "session_out", error_out, || {
            let model = &pointer::borrow(model, "model")?.model;
            Ok(Session::new(model.load_session(pointer::path(path, "path")?)?))
        })
    }
}

/// Clears the conversation.
///
/// Errors: MIMO_VL_STATUS_OPTION while another thread or an open stream uses the session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_reset(session: *mut Session, error_out: *mut *mut ErrorObject) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        fallible(error_out, || {
            Session::acquire(session)?.reset();
            Ok(())
        })
    }
}

/// Frees the session. An open stream of it can still be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_free(session: *mut Session) {
    // SAFETY: NULL or a session that the caller owns, as the header requires.
    unsafe { free(session) };
}
