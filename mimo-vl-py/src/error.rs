//! Conversion of the core's errors to Python exceptions.

use mimo_vl_core::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// The exception of `mimo_vl.errors` for the code of `error`.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let errors = py.import("mimo_vl.errors")?;
    let class = match errors.getattr("BY_CODE")?.get_item(error.code() as i32) {
        Ok(class) => class,
        // A code that `mimo_vl.errors` lacks.
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

/// Conversion of a core result to a Python one.
pub(crate) trait OrRaise<T> {
    /// Returns the value, or the error as an exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}

/// `__reduce__` of a class that cannot be pickled; `instead` is advice.
pub(crate) fn no_pickle<T>(class: &str, instead: &str) -> PyResult<T> {
    Err(PyTypeError::new_err(format!("cannot pickle a mimo_vl.{class}: {instead}")))
}
