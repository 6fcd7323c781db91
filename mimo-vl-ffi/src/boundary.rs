//! The one panic boundary: every function that C calls does its work inside one of these.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use mimo_vl_core::{Error, Result};

use crate::error::{ErrorObject, Status};
use crate::pointer;

/// Do work that can fail: its error, or its panic as [`Error::Internal`], goes to `error_out`.
///
/// # Safety
/// `error_out` is null or valid for a write.
pub(crate) unsafe fn fallible(error_out: *mut *mut ErrorObject, work: impl FnOnce() -> Result<()>) -> Status {
    // A state that a panic left half changed is never seen: sessions are given up then (see `session::Lease`), and
    // the other handles change by assignment of a whole value.
    let outcome = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(internal(panic)));
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

/// Do work that makes an object for the caller, and put it into `out`; null when the work fails.
///
/// # Safety
/// `out` and `error_out` are null or valid for a write.
pub(crate) unsafe fn making<T>(
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

/// Do work that cannot fail; `otherwise` is the answer if it panics nevertheless.
pub(crate) fn infallible<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(otherwise)
}

fn internal(panic: Box<dyn Any + Send>) -> Error {
    let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
    let said = said.or_else(|| panic.downcast_ref::<String>().cloned());
    // Dropping a payload may panic in its turn.
    std::mem::forget(panic);
    Error::Internal { reason: said.unwrap_or_else(|| "a panic without a message".to_owned()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

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
        let status = unsafe { making(&mut out, "out", ptr::null_mut(), || Err(Error::Cancelled)) };
        assert_eq!(status, Status::Cancelled);
        assert!(out.is_null());
    }

    #[test]
    fn a_panic_in_infallible_work_gives_the_other_answer() {
        assert_eq!(infallible(3, || panic!("never seen by C")), 3);
    }
}
