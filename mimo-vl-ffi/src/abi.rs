//! Version of the interface and facts about the build.

use std::ffi::{CString, c_char};
use std::sync::OnceLock;

use mimo_vl_core::available_devices;

use crate::unwind::infallible;

/// Version of the interface that this header describes, to be compared with mimo_vl_abi_version(). It grows with every
/// change, from the first release on, that breaks programs compiled before it.
pub const MIMO_VL_ABI_VERSION: u32 = 1;

/// Returns the interface version of the loaded library; it must equal MIMO_VL_ABI_VERSION.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_abi_version() -> u32 {
    MIMO_VL_ABI_VERSION
}

/// Returns the version of the library, such as "0.1.0": NUL-terminated, valid for the life of the process.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// Returns the devices that this build supports, separated by spaces, such as "cpu cuda:0": NUL-terminated, valid for
/// the life of the process. Loading a model fails if the device is not present.
///
/// Threads: any.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_devices() -> *const c_char {
    static DEVICES: OnceLock<CString> = OnceLock::new();
    infallible(c"".as_ptr(), || {
        DEVICES.get_or_init(|| CString::new(available_devices().join(" ")).unwrap_or_default()).as_ptr()
    })
}
