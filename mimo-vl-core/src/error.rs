//! One error type for the whole library, sorted by what the caller can do about it.

use std::any::Any;
use std::path::{Path, PathBuf};

/// The result of every fallible function of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong. [`Error::code`] is the same number in Rust, C and Python.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A folder is not a usable checkpoint: a file is missing, broken, or has a value that is not supported.
    #[error("{path}: {reason}", path = path.display())]
    Checkpoint {
        /// The file or folder at fault.
        path: PathBuf,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// A tensor of the checkpoint is missing, or has another shape or type than the configuration asks for.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// The tensor's name in the checkpoint.
        name: String,
        /// What is wrong and what was expected.
        reason: String,
    },
    /// An image or a video frame cannot be decoded or used.
    #[error("{what}: {reason}")]
    Image {
        /// The file, or the image's place in the prompt.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The prompt cannot be put to the model as it is.
    #[error("prompt: {reason}")]
    Prompt {
        /// What is wrong and what to change.
        reason: String,
    },
    /// Prompt and answer do not fit into the context.
    #[error(
        "the conversation needs {tokens} tokens, and the context holds {limit}: shorten the prompt, lower max_pixels, or load with a larger max_context"
    )]
    ContextTooLong {
        /// Tokens asked for.
        tokens: usize,
        /// Tokens that fit.
        limit: usize,
    },
    /// An option has a value out of its range.
    #[error("{option}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong and which values are allowed.
        reason: String,
    },
    /// The device is unknown, is not part of this build, or has no usable driver.
    #[error("device {device:?}: {reason}")]
    Device {
        /// The device as it was asked for.
        device: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// There is not enough free memory for what was asked.
    #[error(
        "{what} needs {needed:.1} GB of memory, and {available:.1} GB are free: choose smaller weights or a smaller context, or close other programs",
        needed = *needed as f64 / 1e9, available = *available as f64 / 1e9
    )]
    Memory {
        /// What the memory is for.
        what: &'static str,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        available: u64,
    },
    /// The caller cancelled the work. The session is as it was before the call.
    #[error("cancelled")]
    Cancelled,
    /// The time that the caller allowed was over before the answer began, or before a file was read. A session is as it was
    /// before the call.
    #[error("the deadline passed before the work was done")]
    Timeout,
    /// A checkpoint cannot be had from a model hub.
    #[error("{what}: {reason}")]
    Hub {
        /// The repository, or the address.
        what: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// What the model answered cannot be read as what was asked of it.
    #[error("the answer: {reason}")]
    Answer {
        /// What it is not, or lacks.
        reason: String,
    },
    /// A defect of this library. The session that met it must not be used again; the model can be.
    #[error("internal error, please report it: {reason}")]
    Internal {
        /// What happened.
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
    /// The prompt cannot be put to the model.
    Prompt = 5,
    /// Prompt and answer do not fit into the context.
    ContextTooLong = 6,
    /// An option has a value out of its range.
    Option = 7,
    /// The device cannot be used.
    Device = 8,
    /// The caller cancelled the work.
    Cancelled = 9,
    /// A defect of this library.
    Internal = 10,
    /// There is not enough free memory.
    Memory = 11,
    /// The time that the caller allowed is over.
    Timeout = 12,
    /// The answer cannot be read as what was asked for.
    Answer = 13,
    /// A checkpoint cannot be had from a model hub.
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

/// The message of a panic, from the payload that [`catch_unwind`](std::panic::catch_unwind) returns.
pub fn panic_message(payload: &(dyn Any + Send)) -> &str {
    let message = payload.downcast_ref::<String>().map(String::as_str);
    message.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
