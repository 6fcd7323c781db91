//! Reading and opening of a PDF file, with limits and clear errors.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use hayro::hayro_syntax::{DecryptionError, LoadPdfError, Pdf};

use crate::error::{Error, Result};

/// Maximum size of a file.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;
/// Bytes at the start that are searched for the signature: some programs write a few lines before it.
const HEAD_BYTES: usize = 1024;
/// Bytes at the end that are searched for the end marker: some programs append to the file.
const TAIL_BYTES: usize = 16 * 1024;

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
    let name = || path.display().to_string();
    if !metadata.is_file() {
        return Err(Error::image(name(), "not a file"));
    }
    check_length(&name(), metadata.len())?;
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // The file may grow while it is read.
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| Error::io(path, error))?;
    Ok(bytes)
}

/// Returns an error unless the bytes start and end as those of a PDF file, and are within the limit.
pub(super) fn check(name: &str, bytes: &[u8]) -> Result<()> {
    check_length(name, bytes.len() as u64)?;
    if !contains(&bytes[..bytes.len().min(HEAD_BYTES)], b"%PDF-") {
        return Err(Error::image(name, "not a PDF file"));
    }
    // Some disks and tapes pad files with zeros.
    let used = bytes.iter().rposition(|&byte| byte != 0 && !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
    let tail = &bytes[used.saturating_sub(TAIL_BYTES)..used];
    if !contains(tail, b"%%EOF") && !contains(tail, b"startxref") {
        return Err(Error::image(name, "the PDF file is cut short: its end is missing"));
    }
    Ok(())
}

fn check_length(name: &str, length: u64) -> Result<()> {
    if length > MAX_FILE_BYTES {
        return Err(Error::image(name, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(())
}

fn contains(bytes: &[u8], marker: &[u8]) -> bool {
    bytes.windows(marker.len()).any(|window| window == marker)
}

/// Opens the document, which must have at least one page.
pub(super) fn load(name: &str, bytes: Vec<u8>, password: Option<&str>) -> Result<Pdf> {
    let pdf = Pdf::new_with_password(bytes, password.unwrap_or_default())
        .map_err(|error| Error::image(name, reason(error, password.is_some())))?;
    if pdf.pages().is_empty() {
        return Err(Error::image(name, "the PDF file has no pages"));
    }
    Ok(pdf)
}

fn reason(error: LoadPdfError, with_password: bool) -> &'static str {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) if with_password => {
            "the PDF file is encrypted, and the password is wrong; most files need the user password, not the owner's"
        }
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            "the PDF file is encrypted, and no password was given"
        }
        LoadPdfError::Decryption(DecryptionError::UnsupportedAlgorithm) => {
            "the PDF file is encrypted in a way that cannot be read, with or without a password"
        }
        LoadPdfError::Decryption(DecryptionError::MissingIDEntry | DecryptionError::InvalidEncryption) => {
            "the PDF file is encrypted, and what is needed to decrypt it is damaged"
        }
        LoadPdfError::Invalid => "the PDF file is damaged: no pages were found in it",
    }
}
