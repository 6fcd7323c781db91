//! Cancelling work from another thread.

use crate::unwind::{free, read};

/// Handle that cancels the work of the session or batch it came from. It may outlive them.
#[derive(Debug)]
pub struct CancelToken(pub(crate) mimo_vl_core::CancelToken);

/// Cancels the answer that the session is generating. The call that does the work returns MIMO_VL_STATUS_CANCELLED at
/// its next check, and the session is as before the prompt. Has no effect when no answer is being generated, nor for
/// NULL.
///
/// Threads: any number at a time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_cancel(cancel: *const CancelToken) {
    // SAFETY: NULL or a living handle, as the header requires.
    unsafe { read(cancel, (), |cancel| cancel.0.cancel()) };
}

/// Frees the handle. Nothing is cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_free(cancel: *mut CancelToken) {
    // SAFETY: NULL or a handle that the caller owns, as the header requires.
    unsafe { free(cancel) };
}
