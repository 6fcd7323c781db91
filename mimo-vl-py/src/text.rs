//! Text and paths from Python. A `str` can hold lone surrogates, Python's form of bytes outside UTF-8, for example in
//! the arguments of a program.

use std::io;
use std::path::PathBuf;

use mimo_vl_core::Error;
use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::error::exception;

/// Returns `text` as UTF-8. `to_error` makes the error of a text that is not valid from its reason.
pub(crate) fn utf8<'a>(text: &'a Bound<'_, PyString>, to_error: impl FnOnce(String) -> Error) -> PyResult<&'a str> {
    text.to_str().map_err(|error| encoding_error(text.py(), error, to_error))
}

/// Returns `source`, a str or a path object, as a path. Bytes outside UTF-8 are kept.
pub(crate) fn path(source: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    source.extract::<PathBuf>().map_err(|error| {
        encoding_error(source.py(), error, |reason| Error::Io {
            path: PathBuf::from(source.to_string()),
            source: io::Error::new(io::ErrorKind::InvalidInput, reason),
        })
    })
}

/// Converts a UnicodeEncodeError; returns other errors unchanged.
fn encoding_error(py: Python<'_>, error: PyErr, to_error: impl FnOnce(String) -> Error) -> PyErr {
    if error.is_instance_of::<PyUnicodeEncodeError>(py) {
        exception(py, &to_error(format!("not valid Unicode: {}", error.value(py))))
    } else {
        error
    }
}
