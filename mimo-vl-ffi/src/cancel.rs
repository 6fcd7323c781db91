//! Cancelling calls from another thread.

use crate::unwind::{create, free, read};

/// Token that cancels the calls whose options have it. One token may be in several options.
#[derive(Debug)]
pub struct CancelToken(pub(crate) mimo_vl_core::CancelToken);

/// Makes a token that is not cancelled. Free it with mimo_vl_cancel_token_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_cancel_token_new() -> *mut CancelToken {
    create(|| CancelToken(mimo_vl_core::CancelToken::new()))
}

/// Cancels the calls that have the token, those that are running and those that start later: they end with
/// MIMO_VL_STATUS_CANCELLED, and a conversation is as before. The token stays cancelled. Has no effect for NULL.
///
/// Threads: any number at a time, and signal handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_cancel(token: *const CancelToken) {
    // SAFETY: NULL or a living token, as the header requires.
    unsafe { read(token, (), |token| token.0.cancel()) };
}

/// Returns true once the token was cancelled; false for NULL.
///
/// Threads: any number at a time, and signal handlers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_is_cancelled(token: *const CancelToken) -> bool {
    // SAFETY: NULL or a living token, as the header requires.
    unsafe { read(token, false, |token| token.0.is_cancelled()) }
}

/// Frees the token, also while options, calls, streams and batches have it. Nothing is cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_cancel_token_free(token: *mut CancelToken) {
    // SAFETY: NULL or a token that the caller owns, as the header requires.
    unsafe { free(token) };
}
