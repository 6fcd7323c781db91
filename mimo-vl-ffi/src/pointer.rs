//! Conversion of C's arguments to what Rust can trust, and back.

use std::ffi::{CStr, c_char};
use std::path::Path;
use std::slice;

use mimo_vl_core::{Error, Result};

/// The error for an argument that must not be null.
pub(crate) fn null(argument: &'static str) -> Error {
    refuse(argument, "is NULL")
}

/// The error for an argument with an invalid value.
pub(crate) fn refuse(argument: &'static str, reason: impl Into<String>) -> Error {
    Error::Option { option: argument, reason: reason.into() }
}

/// Makes an object that C owns until it passes it to [`free`].
pub(crate) fn own<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Drops an object that [`own`] made; null is ignored.
///
/// # Safety
/// `pointer` is null, or came from [`own`] and was not freed before.
pub(crate) unsafe fn free<T>(pointer: *mut T) {
    if !pointer.is_null() {
        // SAFETY: came from `Box::into_raw` in `own`, and C frees it once.
        drop(unsafe { Box::from_raw(pointer) });
    }
}

/// An object that C lends for the call.
///
/// # Safety
/// `pointer` is null or points to a living value, which nobody changes during the call.
pub(crate) unsafe fn borrow<'a, T>(pointer: *const T, argument: &'static str) -> Result<&'a T> {
    // SAFETY: the caller vouches for a pointer that is not null.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(argument))
}

/// An object that C lends for the call, to be changed.
///
/// # Safety
/// `pointer` is null or points to a living value, which nobody else uses during the call.
pub(crate) unsafe fn borrow_mut<'a, T>(pointer: *mut T, argument: &'static str) -> Result<&'a mut T> {
    // SAFETY: the caller vouches for a pointer that is not null.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(argument))
}

/// Bytes that C lends for the call; a null pointer is allowed for no bytes.
///
/// # Safety
/// `data` is null or points to `len` bytes, which nobody changes during the call.
pub(crate) unsafe fn bytes<'a>(data: *const u8, len: usize, argument: &'static str) -> Result<&'a [u8]> {
    if len == 0 {
        Ok(&[])
    } else if data.is_null() {
        Err(null(argument))
    } else if isize::try_from(len).is_err() {
        Err(refuse(argument, format!("{len} bytes are more than an address space holds; was the length negative?")))
    } else {
        // SAFETY: not null, not larger than an object may be, and the caller vouches for the rest.
        Ok(unsafe { slice::from_raw_parts(data, len) })
    }
}

/// Several values that C lends for the call; a null pointer is allowed for none.
///
/// # Safety
/// `data` is null or points to `count` values, which nobody changes during the call.
pub(crate) unsafe fn list<'a, T>(data: *const T, count: usize, argument: &'static str) -> Result<&'a [T]> {
    // SAFETY: passed on to the caller; the bytes are those of the values.
    unsafe { bytes(data.cast(), count.saturating_mul(size_of::<T>()), argument) }?;
    // SAFETY: not null, as checked above, and the caller vouches for the rest.
    Ok(if count == 0 { &[] } else { unsafe { slice::from_raw_parts(data, count) } })
}

/// UTF-8 text of `len` bytes that C lends for the call.
///
/// # Safety
/// As for [`bytes`].
pub(crate) unsafe fn text<'a>(data: *const c_char, len: usize, argument: &'static str) -> Result<&'a str> {
    // SAFETY: passed on to the caller.
    utf8(unsafe { bytes(data.cast(), len, argument) }?, argument)
}

/// A NUL-terminated UTF-8 string that C lends for the call.
///
/// # Safety
/// `data` is null or points to bytes that end with a NUL, which nobody changes during the call.
pub(crate) unsafe fn name<'a>(data: *const c_char, argument: &'static str) -> Result<&'a str> {
    // SAFETY: passed on to the caller.
    utf8(unsafe { until_nul(data, argument) }?, argument)
}

/// A NUL-terminated path that C lends for the call: any bytes on Unix, UTF-8 elsewhere.
///
/// # Safety
/// As for [`name`].
pub(crate) unsafe fn path<'a>(data: *const c_char, argument: &'static str) -> Result<&'a Path> {
    // SAFETY: passed on to the caller.
    let bytes = unsafe { until_nul(data, argument) }?;
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        Ok(Path::new(OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        Ok(Path::new(utf8(bytes, argument)?))
    }
}

unsafe fn until_nul<'a>(data: *const c_char, argument: &'static str) -> Result<&'a [u8]> {
    if data.is_null() {
        return Err(null(argument));
    }
    // SAFETY: not null, and the caller vouches for the NUL at the end.
    Ok(unsafe { CStr::from_ptr(data) }.to_bytes())
}

fn utf8<'a>(bytes: &'a [u8], argument: &'static str) -> Result<&'a str> {
    std::str::from_utf8(bytes)
        .map_err(|error| refuse(argument, format!("is not UTF-8 from byte {} on", error.valid_up_to())))
}
