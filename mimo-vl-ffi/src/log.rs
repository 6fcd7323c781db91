//! The log of the library, for the caller's own.

use std::ffi::c_void;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::callback::{LogCallback, UserData};
use crate::error::{ErrorObject, Status};
use crate::text::Text;
use crate::{boundary, pointer};

/// How important a message of the log is.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum LogLevel {
    /// No messages.
    Off = 0,
    /// Something failed.
    Error = 1,
    /// Something may be wrong.
    Warn = 2,
    /// What a user of the program may want to know.
    Info = 3,
    /// What a developer may want to know: sizes and times of every answer.
    Debug = 4,
    /// Everything, every token among it.
    Trace = 5,
}

struct Sink {
    level: i32,
    callback: unsafe extern "C" fn(*mut c_void, i32, crate::text::Str),
    user_data: UserData,
}

/// Where messages go; `None` while nobody wants them.
static SINK: RwLock<Option<Sink>> = RwLock::new(None);

fn number(level: &Level) -> i32 {
    match *level {
        Level::ERROR => LogLevel::Error as i32,
        Level::WARN => LogLevel::Warn as i32,
        Level::INFO => LogLevel::Info as i32,
        Level::DEBUG => LogLevel::Debug as i32,
        Level::TRACE => LogLevel::Trace as i32,
    }
}

/// Passes events on to the sink; spans only have numbers.
struct Forward {
    spans: AtomicU64,
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        metadata.is_event() && sink.as_ref().is_some_and(|sink| number(metadata.level()) <= sink.level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed).max(1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{}: ", event.metadata().target()));
        event.record(&mut line);
        let text = Text::new(line.0);
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sink) = &*sink {
            // SAFETY: the caller vouched for the function and its data when it set them, until it sets others.
            unsafe { (sink.callback)(sink.user_data.0, number(event.metadata().level()), text.lend()) };
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message and the fields of an event on one line.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}

/// Send messages of the library's log that are as important as `level`, one of mimo_vl_log_level, to `callback`, with
/// `user_data`. NULL, or MIMO_VL_LOG_LEVEL_OFF, ends that; when this returns, no call to the callback before is under way.
///
/// Errors: MIMO_VL_STATUS_OPTION for another level, and when the process has a subscriber to the log from elsewhere.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_set_log_callback(
    level: i32,
    callback: LogCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            if !(LogLevel::Off as i32..=LogLevel::Trace as i32).contains(&level) {
                return Err(pointer::refuse("level", format!("{level} is none of mimo_vl_log_level")));
            }
            let sink = callback.filter(|_| level > 0);
            let sink = sink.map(|callback| Sink { level, callback, user_data: UserData(user_data) });
            if sink.is_some() {
                static INSTALLED: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
                let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
                if !*installed {
                    let forward = Forward { spans: AtomicU64::new(1) };
                    tracing::subscriber::set_global_default(forward)
                        .map_err(|error| pointer::refuse("callback", error.to_string()))?;
                    *installed = true;
                }
            }
            *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
            tracing::callsite::rebuild_interest_cache();
            Ok(())
        })
    }
}
