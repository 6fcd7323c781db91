//! Functions of the caller that the library calls.

use std::ffi::c_void;

use mimo_vl_core::{Result, TaskControl};

use crate::event::EventKind;
use crate::region::Region;
use crate::text::Str;

/// Return value of a callback: continue.
pub const MIMO_VL_CONTINUE: i32 = 0;
/// Return value of an event callback: end the answer here and keep it. For a progress callback the same as
/// MIMO_VL_CANCEL.
pub const MIMO_VL_STOP: i32 = 1;
/// Return value of a callback: cancel the call, which then returns MIMO_VL_STATUS_CANCELLED. Other numbers mean the
/// same.
pub const MIMO_VL_CANCEL: i32 = 2;

/// Receives the progress of loading or decoding: `done` of `total` bytes, frames or pages. Returns MIMO_VL_CONTINUE or
/// MIMO_VL_CANCEL. Called on the thread of the call; it must return soon and must not unwind.
pub type ProgressCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, done: u64, total: u64) -> i32>;

/// Receives the progress of a prompt before its answer begins: `done` of `total` vision blocks for
/// MIMO_VL_STAGE_ENCODE, or tokens for MIMO_VL_STAGE_PREFILL. Called on the thread of the call; it must return soon and
/// must not unwind. To stop the work, cancel the session's cancel token.
pub type StageCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, stage: i32, done: usize, total: usize)>;

/// Receives an event of an answer: its text, and the region of a MIMO_VL_EVENT_KIND_REGION, otherwise NULL. Both are
/// valid during the call only. Returns MIMO_VL_CONTINUE, MIMO_VL_STOP or MIMO_VL_CANCEL. Called on the thread of the
/// call; it must not unwind.
pub type EventCallback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, kind: EventKind, text: Str, region: *const Region) -> i32>;

/// Receives a log message; `level` is a mimo_vl_log_level, and `message` is valid during the call only. Called on any
/// thread, also on several at a time; it must not unwind and must not call functions of this library.
pub type LogCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: Str)>;

/// Called once when the library no longer needs memory of the caller. Called on any thread; it must not unwind and must
/// not call functions of this library.
pub type ReleaseCallback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The caller's pointer on its way to a callback, perhaps on another thread.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: the library only carries the pointer; the header states on which threads it is passed to the callback.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

/// Does work that reports to a progress callback, and cancels it when the callback says so.
///
/// # Safety
/// `progress` is null or a function that may be called with `user_data`.
pub(crate) unsafe fn with_progress<T>(
    progress: ProgressCallback,
    user_data: *mut c_void,
    work: impl FnOnce(TaskControl<'_>) -> Result<T>,
) -> Result<T> {
    let Some(callback) = progress else { return work(TaskControl::new()) };
    let cancel = mimo_vl_core::CancelToken::new();
    let report = |done, total| {
        // SAFETY: the caller vouches for the function and its data.
        if unsafe { callback(user_data, done, total) } != MIMO_VL_CONTINUE {
            cancel.cancel();
        }
    };
    work(TaskControl::new().cancel(&cancel).progress(&report))
}
