//! Text that C reads from a handle.

use std::ffi::c_char;

/// Borrowed UTF-8 text. It lives as long as the handle it was read from, unless the function says shorter.
#[repr(C)]
#[derive(Debug)]
pub struct Str {
    /// The first byte; never NULL. The byte after the last is NUL, and the text may hold NULs of its own.
    pub data: *const c_char,
    /// Number of bytes, without the NUL that follows them.
    pub len: usize,
}

/// Text that a handle owns, with a NUL behind it.
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

    pub(crate) fn lend(&self) -> Str {
        Str { data: self.0.as_ptr().cast(), len: self.0.len() - 1 }
    }
}

/// No text at all, for the handle that is null.
pub(crate) const EMPTY: Str = Str { data: c"".as_ptr(), len: 0 };

/// Lend a text to C; nothing happens when `out` is null.
///
/// # Safety
/// `out` is null or valid for a write.
pub(crate) unsafe fn put(out: *mut Str, text: Str) {
    if !out.is_null() {
        // SAFETY: the caller vouches for a pointer that is not null.
        unsafe { out.write(text) };
    }
}
