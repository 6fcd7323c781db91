//! What went wrong, for C: a status, and an object with the message.

use std::fmt;

use mimo_vl_core::{Error, ErrorCode};

use crate::text::{EMPTY, Str, Text, put};
use crate::{boundary, pointer};

/// What came of a call. The numbers do not change, and are the same in Rust and Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// All went well.
    Ok = 0,
    /// A file could not be opened or read.
    Io = 1,
    /// A folder is not a usable checkpoint.
    Checkpoint = 2,
    /// A tensor of the checkpoint is missing or has another shape or type.
    Tensor = 3,
    /// An image cannot be decoded or used.
    Image = 4,
    /// The prompt cannot be put to the model.
    Prompt = 5,
    /// Prompt and answer do not fit into the context.
    ContextTooLong = 6,
    /// An argument or option has a value out of its range: NULL, not UTF-8, a negative temperature, or a session
    /// that is busy.
    Option = 7,
    /// The device is unknown, not part of this build, or has no usable driver.
    Device = 8,
    /// The caller cancelled the work; the session is as it was before the call.
    Cancelled = 9,
    /// A defect of this library. The session that met it must not be used again; the model can be.
    Internal = 10,
    /// There is not enough free memory.
    Memory = 11,
    /// The time that the caller allowed is over; the session is as it was before the call.
    Timeout = 12,
    /// What the model answered cannot be read as what was asked of it.
    Answer = 13,
    /// A checkpoint cannot be had from a model hub.
    Hub = 14,
}

impl Status {
    pub(crate) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Io => Self::Io,
            ErrorCode::Checkpoint => Self::Checkpoint,
            ErrorCode::Tensor => Self::Tensor,
            ErrorCode::Image => Self::Image,
            ErrorCode::Prompt => Self::Prompt,
            ErrorCode::ContextTooLong => Self::ContextTooLong,
            ErrorCode::Option => Self::Option,
            ErrorCode::Device => Self::Device,
            ErrorCode::Cancelled => Self::Cancelled,
            ErrorCode::Memory => Self::Memory,
            ErrorCode::Timeout => Self::Timeout,
            ErrorCode::Answer => Self::Answer,
            ErrorCode::Hub => Self::Hub,
            // `ErrorCode` may grow; the test below fails when it has grown without this list.
            _ => Self::Internal,
        }
    }
}

/// Why a call failed.
pub struct ErrorObject {
    status: Status,
    message: Text,
}

impl ErrorObject {
    pub(crate) fn new(error: &Error) -> Self {
        Self { status: Status::of(error.code()), message: Text::new(error.to_string()) }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        self.message.as_str()
    }
}

impl fmt::Debug for ErrorObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorObject").field("status", &self.status).field("message", &self.message).finish()
    }
}

/// The status that the failed call returned; MIMO_VL_STATUS_OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_code(error: *const ErrorObject) -> Status {
    boundary::infallible(Status::Internal, || {
        // SAFETY: NULL or a living error, by the header's rules.
        unsafe { error.as_ref() }.map_or(Status::Ok, ErrorObject::status)
    })
}

/// Put the message into `*message_out`: one line that names the file, tensor, image or argument at fault and says
/// what to do. It lives as long as the error. Empty for a NULL error; nothing happens when `message_out` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_message(error: *const ErrorObject, message_out: *mut Str) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living error, and NULL or a place for a text, by the header's rules.
        unsafe { put(message_out, error.as_ref().map_or(EMPTY, |error| error.message.lend())) }
    });
}

/// Free an error; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_free(error: *mut ErrorObject) {
    // SAFETY: NULL or an error that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(error) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_numbers_of_the_core() {
        let codes = [
            ErrorCode::Io,
            ErrorCode::Checkpoint,
            ErrorCode::Tensor,
            ErrorCode::Image,
            ErrorCode::Prompt,
            ErrorCode::ContextTooLong,
            ErrorCode::Option,
            ErrorCode::Device,
            ErrorCode::Cancelled,
            ErrorCode::Internal,
            ErrorCode::Memory,
            ErrorCode::Timeout,
            ErrorCode::Answer,
            ErrorCode::Hub,
        ];
        for (index, code) in codes.into_iter().enumerate() {
            assert_eq!(Status::of(code) as i32, code as i32);
            assert_eq!(code as usize, index + 1);
        }
    }
}
