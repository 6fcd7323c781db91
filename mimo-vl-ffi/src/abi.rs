//! Which interface and which build this is.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use mimo_vl_core::available_devices;

use crate::boundary;

/// The version of the interface that this header describes. Programs compare it with mimo_vl_abi_version(); the
/// number grows with every change that programs compiled before it would not survive.
pub const MIMO_VL_ABI_VERSION: u32 = 1;

/// The version of the interface that the loaded library has; it must equal MIMO_VL_ABI_VERSION.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_abi_version() -> u32 {
    MIMO_VL_ABI_VERSION
}

/// The library's version, as in "0.1.0". NUL-terminated, valid for ever.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// The devices that this build can run on, separated by spaces, as in "cpu cuda:0". A card is named by its number;
/// whether there is one shows when a model is loaded. NUL-terminated, valid for ever.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_devices() -> *const c_char {
    static DEVICES: OnceLock<CString> = OnceLock::new();
    boundary::infallible(c"".as_ptr(), || {
        DEVICES.get_or_init(|| CString::new(available_devices().join(" ")).unwrap_or_default()).as_ptr()
    })
}
