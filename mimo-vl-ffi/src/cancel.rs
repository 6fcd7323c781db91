//! Stopping work from another thread.

use crate::{boundary, pointer};

/// A handle that stops the work of the session it came from. It outlives the session safely.
#[derive(Debug)]
pub struct CancelToken(pub(crate) mimo_vl_core::CancelToken);

/// Stop the answer that the session is giving, from any thread. The call that does the work ends with
/// MIMO_VL_STATUS_CANCELLED at its next check, and the session is as it was before the question. When the session is
/// not answering there is nothing to stop, and the next question is not affected.
///
/// Threads: any number at a time. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_cancel(cancel: *const CancelToken) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living handle, by the header's rules.
        if let Some(cancel) = unsafe { cancel.as_ref() } {
            cancel.0.cancel();
        }
    });
}

/// Free the handle, which stops nothing; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_free(cancel: *mut CancelToken) {
    // SAFETY: NULL or a handle that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(cancel) });
}
