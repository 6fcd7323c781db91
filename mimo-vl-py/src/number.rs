//! Conversion of Python's integers.

use mimo_vl_core::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::error::exception;

/// Converts an int to one of the core's unsigned types.
pub(crate) fn integer<U: TryFrom<i128>>(value: &Bound<'_, PyAny>, option: &'static str) -> PyResult<U> {
    if value.is_instance_of::<PyBool>() {
        return Err(PyTypeError::new_err("an int is required, not a bool"));
    }
    let number: i128 = value.extract()?;
    unsigned(value.py(), option, Some(number))?.ok_or_else(|| PyTypeError::new_err("an int is required"))
}

/// Converts an integer to one of the core's unsigned types, or returns an `OptionError` that names the option.
pub(crate) fn unsigned<I, U>(py: Python<'_>, option: &'static str, value: Option<I>) -> PyResult<Option<U>>
where
    I: Copy + std::fmt::Display,
    U: TryFrom<I>,
{
    let Some(value) = value else { return Ok(None) };
    match U::try_from(value) {
        Ok(value) => Ok(Some(value)),
        Err(_) => {
            let highest = u128::MAX >> (128 - 8 * size_of::<U>());
            let reason = format!("{value} is not between 0 and {highest}");
            Err(exception(py, &Error::Option { option, reason }))
        }
    }
}
