//! The checksum that an entity tag is.

use std::fmt::Write;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A checksum that grows with the bytes of a file.
pub(super) enum Sum {
    /// Large files are known by the SHA-256 of their contents.
    Sha256(Sha256),
    /// Small files are known as git knows them.
    Git(Sha1),
    /// The tag says nothing about the contents.
    None,
}

impl Sum {
    /// The checksum that the tag of a file of `size` bytes is, before the first byte.
    pub(super) fn new(etag: &str, size: u64) -> Self {
        let hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if hex => Self::Sha256(Sha256::new()),
            40 if hex => Self::Git(Sha1::new_with_prefix(format!("blob {size}\0"))),
            _ => Self::None,
        }
    }

    /// Whether the tag says nothing about the contents.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(sum) => sum.update(bytes),
            Self::Git(sum) => sum.update(bytes),
            Self::None => (),
        }
    }

    /// Whether the bytes are those of the tag.
    pub(super) fn is(self, etag: &str) -> bool {
        let sum = match self {
            Self::Sha256(sum) => hex(&sum.finalize()),
            Self::Git(sum) => hex(&sum.finalize()),
            Self::None => return true,
        };
        sum.eq_ignore_ascii_case(etag)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sums() {
        for etag in [
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
        ] {
            let mut sum = Sum::new(etag, 5);
            sum.update(b"hel");
            sum.update(b"lo");
            assert!(sum.is(etag));
            assert!(!Sum::new(etag, 5).is(etag));
        }
        let none = Sum::new("5f-6a", 5);
        assert!(none.is_none() && none.is("5f-6a"));
    }
}
