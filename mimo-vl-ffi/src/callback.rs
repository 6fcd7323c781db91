//! Functions of the caller that the library calls.

use std::ffi::c_void;

use crate::region::Region;
use crate::stream::EventKind;
use crate::text::Str;

/// What a callback returns to go on.
pub const MIMO_VL_CONTINUE: i32 = 0;
/// What a callback returns to end the answer where it is and keep it; for progress the same as MIMO_VL_CANCEL.
pub const MIMO_VL_STOP: i32 = 1;
/// What a callback returns, as any other number, to give up the call, which ends with MIMO_VL_STATUS_CANCELLED.
pub const MIMO_VL_CANCEL: i32 = 2;

/// Told how far loading or decoding is: `done` of `of`, in bytes or in frames. `user_data` is what the caller gave. It is
/// called on the thread of the call, must be quick, must not unwind, and returns MIMO_VL_CONTINUE or MIMO_VL_CANCEL.
pub type ProgressCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, done: u64, of: u64) -> i32>;

/// Told how far a question is before its answer begins: `done` of `of`; `stage` is MIMO_VL_STAGE_ENCODE or
/// MIMO_VL_STAGE_PREFILL. It is called on the thread of the call, must be quick and must not unwind. To stop the work, use the
/// session's cancel handle.
pub type StageCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, stage: i32, done: usize, of: usize)>;

/// Given each event of an answer: its text, and the region of MIMO_VL_EVENT_KIND_REGION, which is NULL for the other kinds.
/// Both live for the call only. It is called on the thread of the call, must not unwind, and returns MIMO_VL_CONTINUE,
/// MIMO_VL_STOP or MIMO_VL_CANCEL.
pub type EventCallback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, kind: EventKind, text: Str, region: *const Region) -> i32>;

/// Given each message of the log; `level` is one of mimo_vl_log_level. `message` lives for the call only. It is called on
/// any thread, on several at a time, must not unwind, and must not call functions of this library.
pub type LogCallback = Option<unsafe extern "C" fn(user_data: *mut c_void, level: i32, message: Str)>;

/// Told once that the library needs what it was lent no more. It is called on any thread, must not unwind, and must not call
/// functions of this library.
pub type ReleaseCallback = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// The caller's data, on its way through threads: the contract of the callbacks says who may use it where.
#[derive(Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: the library only carries the pointer; the caller is told on which threads it comes back.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}
