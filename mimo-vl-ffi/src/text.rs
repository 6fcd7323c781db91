//! Text that C reads from a handle.

use std::ffi::c_char;

use crate::unwind::read;

/// Borrowed UTF-8 text. It lives as long as the handle it was read from, unless the function states a shorter time.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Str {
    /// First byte; never NULL. A NUL byte follows the last byte; the text itself may contain NULs.
    pub data: *const c_char,
    /// Length in bytes, without the final NUL.
    pub len: usize,
}

/// Text that a handle owns, with a final NUL.
#[derive(Debug)]
pub(crate) struct Text(Vec<u8>);

impl Text {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let mut bytes = text.into().into_bytes();
        bytes.push(0);
        Self(bytes)
    }

    /// The text without its NUL.
    #[cfg(test)]
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0[..self.0.len() - 1]).unwrap_or_default()
    }

    /// The text as C sees it.
    pub(crate) fn view(&self) -> Str {
        Str { data: self.0.as_ptr().cast(), len: self.0.len() - 1 }
    }
}

/// The empty text, for handles that are null.
pub(crate) const EMPTY: Str = Str { data: c"".as_ptr(), len: 0 };

/// Writes a text to `out`; null is ignored.
///
/// # Safety
/// `out` is null or valid for a write.
pub(crate) unsafe fn put(out: *mut Str, text: Str) {
    if !out.is_null() {
        // SAFETY: the caller vouches for a pointer that is not null.
        unsafe { out.write(text) };
    }
}

/// Writes a text of an object to `out`, the empty text if there is none. Returns true if there is one.
///
/// # Safety
/// As for [`read`]; `out` is null or valid for a write.
pub(crate) unsafe fn read_text<T>(object: *const T, out: *mut Str, text: impl FnOnce(&T) -> Option<&Text>) -> bool {
    // SAFETY: passed on to the caller.
    unsafe {
        let text = read(object, None, |object| text(object).map(Text::view));
        put(out, text.unwrap_or(EMPTY));
        text.is_some()
    }
}
