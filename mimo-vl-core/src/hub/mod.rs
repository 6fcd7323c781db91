//! Downloads checkpoints by the id of their repository on a model hub.
//!
//! The files go into the cache of Python's `huggingface_hub`, in the same layout, so that each finds the files that the
//! other downloaded. A file gets its name there only once it is complete and its checksum is verified.

mod blob;
mod cache;
mod checksum;
mod environment;
mod failure;
mod file_selection;
mod http;
mod options;
mod response;
mod url;

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::cancel::{CallOptions, Stage, TaskControl};
use crate::error::{Error, Result};
use blob::Blob;
use cache::{CachedRepository, is_commit};
use environment::Settings;
use failure::Failure;
use file_selection::FileSelection;
use http::Client;
use url::percent_encode;

pub use options::HubOptions;

/// Returns true for text in the form of a repository id, `owner/name`. A relative path can have that form too.
pub fn is_repo_id(text: &str) -> bool {
    let is_valid = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && part.bytes().all(allowed) && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    let allowed = text.len() <= 96 && !text.contains("--") && !text.contains("..") && !text.ends_with(".git");
    allowed && text.split_once('/').is_some_and(|(owner, name)| is_valid(owner) && is_valid(name))
}

/// Downloads the missing files of a checkpoint into the cache, and returns their folder. The progress is in bytes of
/// all files.
///
/// A full commit hash that is in the cache needs no network. When the hub cannot be reached, a complete cached
/// checkpoint of the revision is used. A download that was stopped is resumed by the next call.
///
/// # Errors
/// [`Error::Option`] for an invalid id, revision, token or endpoint; [`Error::Hub`] when the repository does not exist,
/// may not be read or has no usable checkpoint, when the hub cannot be reached or sends wrong bytes, and when a file is
/// missing offline; [`Error::Checkpoint`] when the index of the weights is invalid; [`Error::Io`];
/// [`Error::Cancelled`], [`Error::Timeout`].
pub fn snapshot_download(id: &str, options: &HubOptions, call: &CallOptions) -> Result<PathBuf> {
    download(id, options, &call.start())
}

/// Downloads as [`snapshot_download`], for a call that has begun.
pub(crate) fn download(id: &str, options: &HubOptions, control: &TaskControl) -> Result<PathBuf> {
    control.check()?;
    if !is_repo_id(id) {
        return Err(Error::option("id", format!("{id:?} is not a repository id: it must be owner/name")));
    }
    let settings = Settings::new(options)?;
    let _span = tracing::info_span!("download", id, revision = %settings.revision).entered();
    let repository = CachedRepository::new(&settings.cache, id);
    let cached = repository.find_snapshot(&settings.revision)?;
    match cached {
        Err(missing) if settings.offline => {
            let (revision, cache) = (&settings.revision, settings.cache.display());
            let reason = format!("offline, and the cache {cache} lacks {missing} of the revision {revision}");
            return Err(Error::hub(id, reason));
        }
        Ok(snapshot) if settings.offline || is_commit(&settings.revision) => return Ok(snapshot),
        _ => (),
    }
    let client = Client::new(&settings, control.clone())?;
    let download = Download { id, settings: &settings, repository: &repository, client: &client, control };
    match (download.run(cached.is_err()), cached) {
        (Ok(snapshot), _) => Ok(snapshot),
        (Err(Failure::Transient(error)), Ok(snapshot)) => {
            tracing::warn!(%error, "the hub cannot be reached: the cached checkpoint of the revision is used");
            Ok(snapshot)
        }
        (Err(failure), _) => Err(failure.into_error()),
    }
}

/// The hub's description of a repository, `GET /api/models/{id}/revision/{revision}`.
#[derive(Deserialize)]
struct ModelInfo {
    /// Commit hash of the revision.
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

/// A file of the repository.
#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// Download of one revision.
struct Download<'a> {
    id: &'a str,
    settings: &'a Settings,
    repository: &'a CachedRepository,
    client: &'a Client,
    control: &'a TaskControl,
}

impl Download<'_> {
    /// Downloads the missing files, and returns the folder of the snapshot. `retry` is set where no cached snapshot can
    /// replace a hub that does not reply.
    fn run(&self, retry: bool) -> Result<PathBuf, Failure> {
        let (endpoint, id, revision) = (&self.settings.endpoint, self.id, &self.settings.revision);
        let url = format!("{endpoint}/api/models/{id}/revision/{}", percent_encode(revision));
        let info: ModelInfo = self.client.get_json(&url, retry)?;
        let commit = info.sha;
        if !is_commit(&commit) || (is_commit(revision) && commit != *revision) {
            return Err(Error::hub(url, format!("the server names {commit:?} as the commit")).into());
        }
        let names: Vec<String> = info.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        let mut selection = FileSelection::new(id, &names)?;
        if let Some(index) = &selection.index {
            let blob = self.describe(&commit, index)?;
            self.fetch(&[&blob], |_, _| self.client.check())?;
            let shards = file_selection::read_index(&blob.readable_path(self.repository))?;
            selection.add_shards(id, &names, shards)?;
        }
        let blobs = selection.files.iter().map(|file| self.describe(&commit, file)).collect::<Result<Vec<_>, _>>()?;
        self.fetch(&blobs.iter().collect::<Vec<_>>(), |done, total| self.control.step(Stage::Download, done, total))?;
        for (index, blob) in blobs.iter().enumerate() {
            let Some(etag) = &blob.etag else { continue };
            let shared = blobs[index + 1..].iter().any(|other| other.etag == blob.etag);
            self.repository.link(etag, &blob.path, shared)?;
        }
        self.repository.write_ref(revision, &commit)?;
        Ok(self.repository.snapshot(&commit))
    }

    /// Returns ETag and size of a file; one that is in the snapshot needs no request.
    fn describe(&self, commit: &str, file: &str) -> Result<Blob, Failure> {
        let path = self.repository.snapshot(commit).join(file);
        let url = format!("{}/{}/resolve/{commit}/{}", self.settings.endpoint, self.id, percent_encode(file));
        if let Ok(metadata) = fs::metadata(&path) {
            return Ok(Blob { path, url, etag: None, size: metadata.len() });
        }
        let (etag, size) = self.client.file_metadata(&url)?;
        Ok(Blob { path, url, etag: Some(etag), size })
    }

    /// Downloads files into the cache; `step` takes the bytes that are present and the total.
    fn fetch(&self, blobs: &[&Blob], step: impl Fn(u64, u64) -> Result<()>) -> Result<(), Failure> {
        let total = blobs.iter().map(|blob| blob.size).sum();
        let mut before = 0;
        step(before, total)?;
        for blob in blobs {
            blob.fetch(self.client, self.repository, &|done| step(before + done, total))?;
            before += blob.size;
            step(before, total)?;
        }
        Ok(())
    }
}
