//! Errors of the core as Python exceptions.

use mimo_vl_core::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The exception of `mimo_vl.errors` that stands for `error`'s code.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let errors = py.import("mimo_vl.errors")?;
    let class = match errors.getattr("BY_CODE")?.get_item(error.code() as i32) {
        Ok(class) => class,
        // A kind that the Python side has no name for is still one of ours.
        Err(_) => errors.getattr("MimoVlError")?,
    };
    let value = match error {
        Error::Io { path, source } => match source.raw_os_error() {
            Some(number) => {
                let text = py.import("os")?.call_method1("strerror", (number,))?;
                class.call1((number, text, path))?
            }
            None => class.call1((error.to_string(),))?,
        },
        _ => class.call1((error.to_string(),))?,
    };
    Ok(PyErr::from_value(value))
}

/// Turns a core result into a Python one.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception that stands for the error.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}

/// What `__reduce__` of a class answers that cannot be pickled, with what to do instead.
pub(crate) fn no_pickle<T>(class: &str, instead: &str) -> PyResult<T> {
    Err(PyTypeError::new_err(format!("cannot pickle a mimo_vl.{class}: {instead}")))
}
