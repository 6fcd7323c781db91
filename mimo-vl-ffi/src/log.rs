//! The library's log.

use std::ffi::c_void;

use mimo_vl_core::log::{self, Sink};
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::boundary::fallible;
use crate::c_enum::{CEnum, c_enum};
use crate::callback::{LogCallback, UserData};
use crate::error::{ErrorObject, Status};
use crate::text::Text;

/// Severity of a log message.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum LogLevel {
    /// No messages.
    Off = 0,
    /// Failures.
    Error = 1,
    /// Possible problems.
    Warn = 2,
    /// Events that users of a program may want to know.
    Info = 3,
    /// Details for developers: sizes and times of every answer.
    Debug = 4,
    /// Everything, every token included.
    Trace = 5,
}

c_enum!("mimo_vl_log_level", LogLevel { Off, Error, Warn, Info, Debug, Trace });

/// Each level of the header and of `tracing`.
const LEVELS: [(LogLevel, Level); 5] = [
    (LogLevel::Error, Level::ERROR),
    (LogLevel::Warn, Level::WARN),
    (LogLevel::Info, Level::INFO),
    (LogLevel::Debug, Level::DEBUG),
    (LogLevel::Trace, Level::TRACE),
];

fn filter(level: LogLevel) -> LevelFilter {
    let known = LEVELS.into_iter().find(|(known, _)| known.number() == level.number());
    known.map_or(LevelFilter::OFF, |(_, level)| LevelFilter::from_level(level))
}

fn number(level: Level) -> i32 {
    LEVELS.into_iter().find(|(_, known)| *known == level).unwrap_or(LEVELS[4]).0.number()
}

/// Sends log messages of `level` and above, a mimo_vl_log_level, to `callback` with `user_data`. It replaces the
/// callback before, which is not running any more when this function returns. A NULL callback or MIMO_VL_LOG_LEVEL_OFF
/// ends the log.
///
/// Errors: MIMO_VL_STATUS_OPTION if the process has another `tracing` subscriber.
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
        fallible(error_out, || {
            let filter = filter(LogLevel::from_number(level, "level")?);
            let user_data = UserData(user_data);
            let sink = callback.filter(|_| filter != LevelFilter::OFF).map(|callback| {
                let sink: Sink = Box::new(move |level, module, message| {
                    let text = Text::new(format!("{module}: {message}"));
                    let user_data = &user_data;
                    // SAFETY: the caller vouches for the function and its data until it sets others.
                    callback(user_data.0, number(level), text.view());
                });
                (filter, sink)
            });
            log::forward(sink)
        })
    }
}
