//! One file: fetched, resumed, verified, and put into its place.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::cache::{Repository, make_parent, moved};
use super::checksum::Sum;
use super::http::{CHUNK, Client, Failure, Tries};
use super::response::Answer;
use crate::error::{Error, Result};

/// A file of a repository.
pub(super) struct Blob {
    /// Where it is wanted.
    pub(super) path: PathBuf,
    pub(super) url: String,
    /// The name of its contents; `None` when it is there.
    pub(super) etag: Option<String>,
    pub(super) size: u64,
}

impl Blob {
    /// Have the contents in the cache. `step` gets how many bytes there are.
    pub(super) fn fetch(
        &self,
        client: &Client,
        repository: &Repository,
        step: &dyn Fn(u64) -> Result<()>,
    ) -> Result<(), Failure> {
        let Some(etag) = &self.etag else { return Ok(()) };
        let content = repository.content(etag);
        if self.is_at(&content) {
            return Ok(());
        }
        let _lock = repository.lock(etag, client.control())?;
        // Another may have fetched it in the meantime.
        if self.is_at(&content) || self.is_at(&self.path) {
            return Ok(());
        }
        if content.is_file() && Sum::new(etag, self.size).is_none() {
            let reason = format!("the cache has other contents under its ETag, {etag}");
            return Err(Error::hub(&self.url, reason).into());
        }
        let mut partial = Partial::open(content.with_file_name(format!("{etag}.incomplete")), self, etag)?;
        partial.restore(step)?;
        partial.complete(client, step)?;
        partial.file.sync_data().map_err(|error| Error::io(&partial.path, error))?;
        moved(&partial.path, &content)?;
        Ok(())
    }

    /// Whether a path has contents of the right size.
    fn is_at(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() == self.size)
    }
}

/// Contents that are not all there yet.
struct Partial<'a> {
    blob: &'a Blob,
    etag: &'a str,
    path: PathBuf,
    file: File,
    sum: Sum,
    /// Bytes that are there, and are in the sum.
    length: u64,
}

impl<'a> Partial<'a> {
    fn open(path: PathBuf, blob: &'a Blob, etag: &'a str) -> Result<Self> {
        make_parent(&path)?;
        let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(|error| Error::io(&path, error))?;
        Ok(Self { blob, etag, path, file, sum: Sum::new(etag, blob.size), length: 0 })
    }

    /// Take what an earlier call left.
    fn restore(&mut self, step: &dyn Fn(u64) -> Result<()>) -> Result<()> {
        let mut bytes = vec![0; CHUNK];
        loop {
            let count = self.file.read(&mut bytes).map_err(|error| Error::io(&self.path, error))?;
            if count == 0 {
                return Ok(());
            }
            if self.length + count as u64 > self.blob.size {
                return self.clear();
            }
            self.sum.update(&bytes[..count]);
            self.length += count as u64;
            step(self.length)?;
        }
    }

    /// Start anew.
    fn clear(&mut self) -> Result<()> {
        // A new file, because the place in the old one cannot be had back without seeking.
        self.file = File::create(&self.path).map_err(|error| Error::io(&self.path, error))?;
        self.sum = Sum::new(self.etag, self.blob.size);
        self.length = 0;
        Ok(())
    }

    /// Fetch what is missing, however often the transfer breaks off, as long as it gets on.
    fn complete(&mut self, client: &Client, step: &dyn Fn(u64) -> Result<()>) -> Result<(), Failure> {
        let (mut tries, mut furthest, mut damaged) = (Tries::default(), self.length, false);
        loop {
            match self.attempt(client, step) {
                Ok(()) => return Ok(()),
                Err(Failure::Damaged(error)) => {
                    if damaged {
                        // The next call starts anew as well.
                        fs::remove_file(&self.path).map_err(|error| Error::io(&self.path, error))?;
                        return Err(error.into());
                    }
                    tracing::warn!(%error, "the file is fetched once more");
                    damaged = true;
                    furthest = 0;
                    self.clear()?;
                }
                Err(Failure::Passing(error)) => {
                    // Progress is what no attempt had before: one that always starts anew makes none.
                    if self.length >= furthest + CHUNK as u64 {
                        tries = Tries::default();
                        furthest = self.length;
                    }
                    client.wait(&mut tries, error)?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// One transfer of what is missing.
    fn attempt(&mut self, client: &Client, step: &dyn Fn(u64) -> Result<()>) -> Result<(), Failure> {
        if self.length < self.blob.size {
            let answer = client.get(&self.blob.url, self.length)?;
            self.accept(&answer)?;
            while let Some(bytes) = answer.next()? {
                if self.length + bytes.len() as u64 > self.blob.size {
                    return Err(self.damaged("it is longer than it should be"));
                }
                self.file.write_all(&bytes).map_err(|error| Error::io(&self.path, error))?;
                self.sum.update(&bytes);
                self.length += bytes.len() as u64;
                step(self.length)?;
            }
        }
        if self.length < self.blob.size {
            let reason = format!("the transfer broke off after {} of {} bytes", self.length, self.blob.size);
            return Err(Failure::Passing(Error::hub(&self.blob.url, reason)));
        }
        let sum = std::mem::replace(&mut self.sum, Sum::None);
        if sum.is(self.etag) { Ok(()) } else { Err(self.damaged("its checksum is wrong")) }
    }

    /// Make sure that an answer continues what is there.
    fn accept(&mut self, answer: &Answer) -> Result<(), Failure> {
        let size = self.blob.size;
        let announced = match answer.status() {
            200 => {
                if self.length > 0 {
                    self.clear()?;
                }
                answer.number("content-length")
            }
            206 => {
                let range = answer.text("content-range").and_then(|range| range.strip_prefix("bytes "));
                let start = range.and_then(|range| range.split('-').next()?.trim().parse().ok());
                if start != Some(self.length) {
                    self.clear()?;
                    return Err(Failure::Passing(Error::hub(&self.blob.url, "other bytes came than were asked for")));
                }
                range.and_then(|range| range.rsplit('/').next()?.trim().parse().ok())
            }
            // 416: what is there is not the start of what the server has.
            _ => {
                self.clear()?;
                return Err(Failure::Passing(Error::hub(&self.blob.url, "the transfer cannot be resumed")));
            }
        };
        match announced {
            Some(announced) if announced != size => {
                Err(self.damaged(&format!("it has {announced} bytes, and should have {size}")))
            }
            _ => Ok(()),
        }
    }

    fn damaged(&self, reason: &str) -> Failure {
        Failure::Damaged(Error::hub(&self.blob.url, reason))
    }
}
