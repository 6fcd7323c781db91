//! Verifies contents against the checksum in their ETag.

use std::fmt::Write;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Running checksum of a file, of the kind that its ETag has.
pub(super) enum Checksum {
    /// SHA-256 of the contents, the ETag of files in large file storage.
    Sha256(Sha256),
    /// Git blob hash, the ETag of all other files.
    GitBlob(Sha1),
    /// The ETag is no checksum.
    Unknown,
}

impl Checksum {
    /// Starts the checksum of a file of `size` bytes.
    pub(super) fn new(etag: &str, size: u64) -> Self {
        let hex = etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        match etag.len() {
            64 if hex => Self::Sha256(Sha256::new()),
            40 if hex => Self::GitBlob(Sha1::new_with_prefix(format!("blob {size}\0"))),
            _ => Self::Unknown,
        }
    }

    pub(super) fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
            Self::Unknown => (),
        }
    }

    /// Compares with the ETag; true where that is no checksum.
    pub(super) fn matches(self, etag: &str) -> bool {
        let digest = match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::GitBlob(hasher) => hex(&hasher.finalize()),
            Self::Unknown => return true,
        };
        digest.eq_ignore_ascii_case(etag)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_match_the_bytes_they_are_the_checksum_of() {
        for etag in [
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0",
        ] {
            let mut checksum = Checksum::new(etag, 5);
            checksum.update(b"hel");
            checksum.update(b"lo");
            assert!(checksum.matches(etag));
            assert!(!Checksum::new(etag, 5).matches(etag));
        }
        let unknown = Checksum::new("5f-6a", 5);
        assert!(unknown.is_unknown() && unknown.matches("5f-6a"));
    }
}
