//! The log of the library, for the caller's own.

use std::ffi::c_void;

use mimo_vl_core::log::{self, Sink};
use tracing::Level;
use tracing::level_filters::LevelFilter;

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

fn number(level: Level) -> i32 {
    match level {
        Level::ERROR => LogLevel::Error as i32,
        Level::WARN => LogLevel::Warn as i32,
        Level::INFO => LogLevel::Info as i32,
        Level::DEBUG => LogLevel::Debug as i32,
        Level::TRACE => LogLevel::Trace as i32,
    }
}

fn filter(level: i32) -> Option<LevelFilter> {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    let chosen = levels.into_iter().find(|&known| number(known) == level).map(LevelFilter::from_level);
    chosen.or((level == LogLevel::Off as i32).then_some(LevelFilter::OFF))
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
            let Some(filter) = filter(level) else {
                return Err(pointer::refuse("level", format!("{level} is none of mimo_vl_log_level")));
            };
            let user_data = UserData(user_data);
            let sink = callback.filter(|_| filter != LevelFilter::OFF).map(|callback| {
                let sink: Sink = Box::new(move |level, module, message| {
                    let text = Text::new(format!("{module}: {message}"));
                    let user_data = &user_data;
                    // SAFETY: the caller vouched for the function and its data when it set them, until it sets others.
                    callback(user_data.0, number(level), text.lend());
                });
                (filter, sink)
            });
            log::forward(sink)?;
            Ok(())
        })
    }
}
