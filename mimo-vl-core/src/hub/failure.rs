//! Errors of a transfer, by the way to go on.

use crate::error::Error;

/// Error of a request or transfer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Network error or busy server: a retry may succeed.
    Transient(Error),
    /// The server sent other bytes than it announced: the file must be downloaded from its beginning.
    Corrupt(Error),
    /// A retry is of no use.
    Permanent(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Permanent(error)
    }
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Transient(error) | Self::Corrupt(error) | Self::Permanent(error) => error,
        }
    }
}
