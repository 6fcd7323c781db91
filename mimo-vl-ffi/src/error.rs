//! Status codes and error objects.

use std::fmt;

use mimo_vl_core::{Error, ErrorCode};

use crate::c_enum::c_enum;
use crate::text::{Str, Text, read_text};
use crate::unwind::{free, read};

/// Result of a call. The numbers are stable, and the same in Rust and Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Success.
    Ok = 0,
    /// A file cannot be opened, read or written.
    Io = 1,
    /// A folder or file is not a usable checkpoint or saved session.
    Checkpoint = 2,
    /// A tensor of the checkpoint is missing, or has the wrong shape or type.
    Tensor = 3,
    /// An image, video or PDF file cannot be decoded or used.
    Image = 4,
    /// The prompt is empty or malformed.
    Prompt = 5,
    /// The conversation does not fit into the context.
    ContextTooLong = 6,
    /// An argument or option is invalid: NULL, not UTF-8, out of its range, or a session that is busy.
    Option = 7,
    /// The device is unknown, not part of this build, or has no usable driver.
    Device = 8,
    /// The caller cancelled the call. The session is as before the call.
    Cancelled = 9,
    /// A defect of this library. The session that met it is unusable; the model is not affected.
    Internal = 10,
    /// Not enough free memory.
    Memory = 11,
    /// The timeout of the call expired. The session is as before the call.
    Timeout = 12,
    /// The answer cannot be parsed as what was requested.
    Answer = 13,
    /// A checkpoint cannot be downloaded from the model hub.
    Hub = 14,
}

c_enum!("mimo_vl_status", Status {
    Io, Checkpoint, Tensor, Image, Prompt, ContextTooLong, Option, Device, Cancelled, Memory, Timeout, Answer, Hub,
} from ErrorCode, else Internal, besides Ok);

/// Error of a failed call: its status and a message.
pub struct ErrorObject {
    status: Status,
    message: Text,
}

impl ErrorObject {
    pub(crate) fn new(error: &Error) -> Self {
        Self { status: error.code().into(), message: Text::new(error.to_string()) }
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

/// Returns the status of the failed call; MIMO_VL_STATUS_OK for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_code(error: *const ErrorObject) -> Status {
    // SAFETY: NULL or a living error, as the header requires.
    unsafe { read(error, Status::Ok, ErrorObject::status) }
}

/// Writes the message to `*message_out`: one line that names the file, tensor, image or argument at fault, and the
/// remedy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_message(error: *const ErrorObject, message_out: *mut Str) {
    // SAFETY: NULL or a living error, and NULL or a place for a text, as the header requires.
    unsafe { read_text(error, message_out, |error| Some(&error.message)) };
}

/// Frees an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_error_free(error: *mut ErrorObject) {
    // SAFETY: NULL or an error that the caller owns, as the header requires.
    unsafe { free(error) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::c_enum::CEnum;

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
            assert_eq!(Status::from(code) as i32, code as i32);
            assert_eq!(code as usize, index + 1);
        }
        assert_eq!(Status::ALL.len(), codes.len() + 1);
    }
}
