//! Text and paths from Python, where a `str` can hold lone surrogates: Python's form of bytes outside UTF-8, in the
//! arguments of a program for example.

use std::io;
use std::path::PathBuf;

use mimo_vl_core::Error;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::exception;

/// `text` as UTF-8. `refuse` makes an error of the reason why it is none.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>, refuse: impl FnOnce(String) -> Error) -> PyResult<&'a str> {
    text.to_str().map_err(|error| refused(text.py(), error, refuse))
}

/// The path that `source`, a str or a path object, names. Bytes outside UTF-8 are kept.
pub(crate) fn path(source: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    source.extract::<PathBuf>().map_err(|error| {
        refused(source.py(), error, |reason| Error::Io {
            path: PathBuf::from(source.to_string()),
            source: io::Error::new(io::ErrorKind::InvalidInput, reason),
        })
    })
}

/// The error for text with characters that cannot be encoded; other errors stay what they are.
fn refused(py: Python<'_>, error: PyErr, refuse: impl FnOnce(String) -> Error) -> PyErr {
    if error.is_instance_of::<PyUnicodeEncodeError>(py) {
        exception(py, &refuse(format!("this is not Unicode text: {}", error.value(py))))
    } else {
        error
    }
}
