//! Functions of the caller that the library calls.

use std::ffi::c_void;

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

/// Stage of a call that reports its progress. More may be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub enum Stage {
    /// Downloading a checkpoint from the hub, in bytes.
    Download = 0,
    /// Loading weights, in bytes of the checkpoint's files.
    Load = 1,
    /// Decoding a video, in frames, or rendering a PDF file, in pages.
    Decode = 2,
    /// Images and videos through the vision tower, in blocks. Starts again for images and videos that do not fit into
    /// one pass.
    Encode = 3,
    /// The new part of the conversation through the language model, in tokens.
    Prefill = 4,
}

impl Stage {
    /// The core's stage; `None` if it is one that C does not know.
    pub(crate) fn from_core(stage: mimo_vl_core::Stage) -> Option<Self> {
        match stage {
            mimo_vl_core::Stage::Download => Some(Self::Download),
            mimo_vl_core::Stage::Load => Some(Self::Load),
            mimo_vl_core::Stage::Decode => Some(Self::Decode),
            mimo_vl_core::Stage::Encode => Some(Self::Encode),
            mimo_vl_core::Stage::Prefill => Some(Self::Prefill),
            _ => None,
        }
    }
}

/// Receives the progress of a call: `done` of `total` units of a stage, which names the unit. Returns MIMO_VL_CONTINUE
/// or MIMO_VL_CANCEL, which cancels this call alone. Called on the thread of the call; it must return soon and must not
/// unwind.
pub type ProgressCallback =
    Option<unsafe extern "C" fn(user_data: *mut c_void, stage: Stage, done: u64, total: u64) -> i32>;

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
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserData(pub(crate) *mut c_void);

// SAFETY: the library only carries the pointer; the header states on which threads it is passed to the callback.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}
