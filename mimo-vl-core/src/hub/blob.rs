//! Downloads one file into the cache: resumes, verifies, and renames it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::cache::{CachedRepository, create_parent, rename};
use super::checksum::Checksum;
use super::failure::Failure;
use super::http::{Client, Retries};
use super::response::{CHUNK_BYTES, Response};
use crate::error::{Error, Result};

/// A file of a repository.
pub(super) struct Blob {
    /// Path in the snapshot.
    pub(super) path: PathBuf,
    pub(super) url: String,
    /// Name of the contents in the cache; `None` when the file is in the snapshot.
    pub(super) etag: Option<String>,
    /// Size in bytes.
    pub(super) size: u64,
}

impl Blob {
    /// Downloads the contents into the cache. `step` takes the number of bytes that are present.
    pub(super) fn fetch(
        &self,
        client: &Client,
        repository: &CachedRepository,
        step: &dyn Fn(u64) -> Result<()>,
    ) -> Result<(), Failure> {
        let Some(etag) = &self.etag else { return Ok(()) };
        let contents = repository.blob_path(etag);
        if self.is_at(&contents) {
            return Ok(());
        }
        let _lock = repository.lock(etag, client.control())?;
        // Another process may have downloaded it while this one waited.
        if self.is_at(&contents) || self.is_at(&self.path) {
            return Ok(());
        }
        if contents.is_file() && Checksum::new(etag, self.size).is_unknown() {
            let reason = format!("the cache has other contents under its ETag, {etag}");
            return Err(Error::hub(&self.url, reason).into());
        }
        let mut partial = PartialFile::open(contents.with_file_name(format!("{etag}.incomplete")), self, etag)?;
        partial.restore(step)?;
        partial.complete(client, step)?;
        partial.file.sync_data().map_err(|error| Error::io(&partial.path, error))?;
        rename(&partial.path, &contents)?;
        Ok(())
    }

    /// The path at which the downloaded file can be read before it is linked.
    pub(super) fn readable_path(&self, repository: &CachedRepository) -> PathBuf {
        match &self.etag {
            Some(etag) if !self.path.is_file() => repository.blob_path(etag),
            _ => self.path.clone(),
        }
    }

    /// Returns true if `path` is a file of the right size.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.size)
    }
}

/// A file whose download is not finished.
struct PartialFile<'a> {
    blob: &'a Blob,
    etag: &'a str,
    path: PathBuf,
    file: File,
    checksum: Checksum,
    /// Number of bytes in the file and in the checksum.
    length: u64,
}

impl<'a> PartialFile<'a> {
    fn open(path: PathBuf, blob: &'a Blob, etag: &'a str) -> Result<Self> {
        create_parent(&path)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| Error::io(&path, error))?;
        Ok(Self { blob, etag, path, file, checksum: Checksum::new(etag, blob.size), length: 0 })
    }

    /// Reads the bytes that an earlier call downloaded.
    fn restore(&mut self, step: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let mut bytes = vec![0; CHUNK_BYTES];
        loop {
            let count = self.file.read(&mut bytes).map_err(|error| Error::io(&self.path, error))?;
            if count == 0 {
                return Ok(());
            }
            if self.length + count as u64 > self.blob.size {
                return self.restart();
            }
            self.checksum.update(&bytes[..count]);
            self.length += count as u64;
            step(self.length)?;
        }
    }

    /// Discards all bytes.
    fn restart(&mut self) -> Result<()> {
        // The file is created again, which also moves its cursor to the beginning.
        self.file = File::create(&self.path).map_err(|error| Error::io(&self.path, error))?;
        self.checksum = Checksum::new(self.etag, self.blob.size);
        self.length = 0;
        Ok(())
    }

    /// Downloads the missing bytes, over as many broken transfers as it takes while each makes progress.
    fn complete(&mut self, client: &Client, step: &dyn Fn(u64) -> Result<()>) -> Result<(), Failure> {
        let (mut retries, mut max_length, mut was_corrupt) = (Retries::default(), self.length, false);
        loop {
            match self.transfer(client, step) {
                Ok(()) => return Ok(()),
                Err(Failure::Corrupt(error)) => {
                    if was_corrupt {
                        // The next call must not resume from these bytes.
                        fs::remove_file(&self.path).map_err(|error| Error::io(&self.path, error))?;
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "the file is downloaded once more");
                    was_corrupt = true;
                    max_length = 0;
                    self.restart()?;
                }
                Err(Failure::Transient(error)) => {
                    // Only bytes beyond those of all earlier transfers are progress: a transfer that always restarts
                    // makes none.
                    if self.length >= max_length + CHUNK_BYTES as u64 {
                        retries = Retries::default();
                        max_length = self.length;
                    }
                    client.back_off(&mut retries, error)?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Runs one transfer of the missing bytes, and verifies the checksum at the end.
    fn transfer(&mut self, client: &Client, step: &dyn Fn(u64) -> Result<()>) -> Result<(), Failure> {
        if self.length < self.blob.size {
            let response = client.get_range(&self.blob.url, self.length)?;
            self.check_range(&response)?;
            while let Some(bytes) = response.next_chunk()? {
                if self.length + bytes.len() as u64 > self.blob.size {
                    return Err(self.corrupt("the file is longer than announced"));
                }
                self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))?;
                self.checksum.update(&bytes);
                self.length += bytes.len() as u64;
                step(self.length)?;
            }
        }
        if self.length < self.blob.size {
            let reason = format!("the transfer broke off after {} of {} bytes", self.length, self.blob.size);
            return Err(Failure::Transient(Error::hub(&self.blob.url, reason)));
        }
        let checksum = std::mem::replace(&mut self.checksum, Checksum::Unknown);
        if checksum.matches(self.etag) { Ok(()) } else { Err(self.corrupt("the checksum is wrong")) }
    }

    /// Checks that a response continues the file, or restarts it.
    fn check_range(&mut self, response: &Response) -> Result<(), Failure> {
        let size = self.blob.size;
        let announced = match response.status() {
            200 => {
                if self.length > 0 {
                    self.restart()?;
                }
                response.header_number("content-length")
            }
            206 => {
                let range = response.header("content-range").and_then(|range| range.strip_prefix("bytes "));
                let start = range.and_then(|range| range.split('-').next()?.trim().parse().ok());
                if start != Some(self.length) {
                    self.restart()?;
                    let reason = "the server sent other bytes than requested";
                    return Err(Failure::Transient(Error::hub(&self.blob.url, reason)));
                }
                range.and_then(|range| range.rsplit('/').next()?.trim().parse().ok())
            }
            // 416: the server's file is shorter than the bytes that are present.
            _ => {
                self.restart()?;
                return Err(Failure::Transient(Error::hub(&self.blob.url, "the transfer cannot be resumed")));
            }
        };
        match announced {
            Some(announced) if announced != size => {
                Err(self.corrupt(&format!("the file has {announced} bytes instead of {size}")))
            }
            _ => Ok(()),
        }
    }

    fn corrupt(&self, reason: &str) -> Failure {
        Failure::Corrupt(Error::hub(&self.blob.url, reason))
    }
}
