//! Work that can fail: its error or its panic becomes a status and an error object.

use std::ptr;

use mimo_vl_core::Result;
use mimo_vl_core::expert::contain;

use crate::error::{ErrorObject, Status};
use crate::pointer;

/// Does work that can fail. Its error, or its panic as [`Error::Internal`], goes to `error_out`.
///
/// # Safety
/// `error_out` is null or valid for a write.
pub(crate) unsafe fn fallible(error_out: *mut *mut ErrorObject, work: impl FnOnce() -> Result<()>) -> Status {
    // A state that a panic left half changed is never seen: the session is poisoned by its guard, and the other handles
    // change by one assignment.
    let outcome = contain(work).flatten();
    let (status, object) = match outcome {
        Ok(()) => (Status::Ok, ptr::null_mut()),
        Err(error) => {
            let object = ErrorObject::new(&error);
            (object.status(), if error_out.is_null() { ptr::null_mut() } else { pointer::own(object) })
        }
    };
    if !error_out.is_null() {
        // SAFETY: the caller vouches for a pointer that is not null.
        unsafe { error_out.write(object) };
    }
    status
}

/// Makes an object that C owns and writes it to `out`; null if the work fails.
///
/// # Safety
/// `out` and `error_out` are null or valid for a write.
pub(crate) unsafe fn create<T>(
    out: *mut *mut T,
    out_name: &'static str,
    error_out: *mut *mut ErrorObject,
    work: impl FnOnce() -> Result<T>,
) -> Status {
    // SAFETY: the caller vouches for both pointers; `out` is written to only when it is not null.
    unsafe {
        fallible(error_out, || {
            if out.is_null() {
                return Err(pointer::null(out_name));
            }
            out.write(ptr::null_mut());
            out.write(pointer::own(work()?));
            Ok(())
        })
    }
}

/// Changes an object that C lends.
///
/// # Safety
/// `object` is null or points to a living value that nobody else uses during the call; `error_out` is null or valid for
/// a write.
pub(crate) unsafe fn change<T>(
    object: *mut T,
    name: &'static str,
    error_out: *mut *mut ErrorObject,
    work: impl FnOnce(&mut T) -> Result<()>,
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe { fallible(error_out, || work(pointer::borrow_mut(object, name)?)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mimo_vl_core::Error;

    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_message() {
        let mut error = ptr::null_mut();
        // SAFETY: `error` is a local variable.
        let status = unsafe { fallible(&mut error, || panic!("number {}", 7)) };
        assert_eq!(status, Status::Internal);
        // SAFETY: a failure with a place for the error makes one.
        let object = unsafe { Box::from_raw(error) };
        assert!(object.message().contains("number 7"), "{}", object.message());
    }

    #[test]
    fn success_clears_the_error_and_failure_clears_the_result() {
        let mut error = ptr::dangling_mut();
        // SAFETY: `error` is a local variable.
        assert_eq!(unsafe { fallible(&mut error, || Ok(())) }, Status::Ok);
        assert!(error.is_null());
        let mut out: *mut u8 = ptr::dangling_mut();
        // SAFETY: `out` is a local variable, and no error is asked for.
        let status = unsafe { create(&mut out, "out", ptr::null_mut(), || Err(Error::Cancelled)) };
        assert_eq!(status, Status::Cancelled);
        assert!(out.is_null());
    }

    #[test]
    fn a_null_object_is_refused_by_name() {
        let mut error = ptr::null_mut();
        // SAFETY: null is allowed, and `error` is a local variable.
        let status = unsafe { change(ptr::null_mut::<u8>(), "options", &mut error, |_| Ok(())) };
        assert_eq!(status, Status::Option);
        // SAFETY: a failure with a place for the error makes one.
        let object = unsafe { Box::from_raw(error) };
        assert!(object.message().contains("options"), "{}", object.message());
    }
}
