//! The error type of the library, with one variant for each thing that a caller can do about it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this library. [`Error::code`] is the same number in Rust, C and Python.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A folder is not a usable checkpoint: a file is missing, broken, or has an unsupported value.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint {
        /// The file or folder at fault.
        path: PathBuf,
        /// The defect and the expected value.
        reason: String,
    },
    /// A tensor of the checkpoint is missing, or has another shape or type than the configuration requires.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Name of the tensor in the checkpoint.
        name: String,
        /// The defect and the expected value.
        reason: String,
    },
    /// An image or a video frame cannot be decoded or used.
    #[error("{what}: {reason}")]
    Image {
        /// The file, or the position of the image in the prompt.
        what: String,
        /// The defect.
        reason: String,
    },
    /// The prompt is invalid.
    #[error("prompt: {reason}")]
    Prompt {
        /// The defect and the change that is needed.
        reason: String,
    },
    /// Prompt and answer do not fit into the context.
    #[error(
        "the conversation needs {tokens} tokens, and the context holds {limit}: shorten the prompt, lower max_pixels, \
         or load with a larger max_context"
    )]
    ContextTooLong {
        /// Tokens that are needed.
        tokens: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// An option has a value outside of its range.
    #[error("{option}: {reason}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The defect and the allowed values.
        reason: String,
    },
    /// The device is unknown, is not part of this build, or has no usable driver.
    #[error("device {device:?}: {reason}")]
    Device {
        /// Requested device.
        device: String,
        /// The reason that it cannot be used.
        reason: String,
    },
    /// There is not enough free memory.
    #[error(
        "{what} needs {needed:.1} GB of memory, and {available:.1} GB are free: choose smaller weights or a smaller \
         context, or close other programs",
        needed = *needed as f64 / 1e9, available = *available as f64 / 1e9
    )]
    Memory {
        /// Purpose of the memory.
        what: &'static str,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The caller cancelled the work. The session is as it was before the call.
    #[error("cancelled")]
    Cancelled,
    /// The time limit of the call passed. The session is as it was before the call; an answer of a session that has
    /// begun ends with `StopReason::Timeout` instead.
    #[error("the time limit passed before the work was done")]
    Timeout,
    /// A download from a model hub failed.
    #[error("{what}: {reason}")]
    Hub {
        /// The repository or the URL.
        what: String,
        /// The defect and the remedy.
        reason: String,
    },
    /// The answer does not have the requested form.
    #[error("the answer: {reason}")]
    Answer {
        /// The part that is missing or malformed.
        reason: String,
    },
    /// A defect of this library. The session must not be used again; the model may be.
    #[error("internal error, please report it: {reason}")]
    Internal {
        /// Description of the defect.
        reason: String,
    },
}

/// The kind of an [`Error`] as a number that is stable across releases and languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorCode {
    /// A file could not be opened or read.
    Io = 1,
    /// A folder is not a usable checkpoint.
    Checkpoint = 2,
    /// A tensor of the checkpoint is missing or has another shape or type.
    Tensor = 3,
    /// An image or a video frame cannot be decoded or used.
    Image = 4,
    /// The prompt is invalid.
    Prompt = 5,
    /// Prompt and answer do not fit into the context.
    ContextTooLong = 6,
    /// An option has a value outside of its range.
    Option = 7,
    /// The device cannot be used.
    Device = 8,
    /// The caller cancelled the work.
    Cancelled = 9,
    /// A defect of this library.
    Internal = 10,
    /// There is not enough free memory.
    Memory = 11,
    /// The time limit of the call passed.
    Timeout = 12,
    /// The answer does not have the requested form.
    Answer = 13,
    /// A download from a model hub failed.
    Hub = 14,
}

impl Error {
    /// The stable number of this kind of error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Io { .. } => ErrorCode::Io,
            Self::Checkpoint { .. } => ErrorCode::Checkpoint,
            Self::Tensor { .. } => ErrorCode::Tensor,
            Self::Image { .. } => ErrorCode::Image,
            Self::Prompt { .. } => ErrorCode::Prompt,
            Self::ContextTooLong { .. } => ErrorCode::ContextTooLong,
            Self::Option { .. } => ErrorCode::Option,
            Self::Device { .. } => ErrorCode::Device,
            Self::Memory { .. } => ErrorCode::Memory,
            Self::Cancelled => ErrorCode::Cancelled,
            Self::Timeout => ErrorCode::Timeout,
            Self::Answer { .. } => ErrorCode::Answer,
            Self::Hub { .. } => ErrorCode::Hub,
            Self::Internal { .. } => ErrorCode::Internal,
        }
    }

    pub(crate) fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_path_buf(), source }
    }

    pub(crate) fn checkpoint(path: impl AsRef<Path>, reason: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().to_path_buf(), reason: reason.into() }
    }

    pub(crate) fn tensor(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Tensor { name: name.into(), reason: reason.into() }
    }

    pub(crate) fn image(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Image { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn prompt(reason: impl Into<String>) -> Self {
        Self::Prompt { reason: reason.into() }
    }

    #[cfg(feature = "hub")]
    pub(crate) fn hub(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Hub { what: what.into(), reason: reason.into() }
    }

    pub(crate) fn answer(reason: impl Into<String>) -> Self {
        Self::Answer { reason: reason.into() }
    }

    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }

    /// A panic as an error: a defect of this library.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        Self::internal(panic_message(payload))
    }

    pub(crate) fn internal(reason: impl Into<String>) -> Self {
        Self::Internal { reason: reason.into() }
    }
}

/// Runs `work`. A panic becomes [`Error::Internal`] with its message.
///
/// # Errors
/// [`Error::Internal`].
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        let error = Error::internal(panic_message(&*payload));
        // Dropping a payload may panic again.
        std::mem::forget(payload);
        error
    })
}

/// The message of a panic, from the payload that [`catch_unwind`] returns.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let message = payload.downcast_ref::<String>().map(String::as_str);
    message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
