//! Checkpoints by the name of their repository on a model hub.
//!
//! The files go into the cache that Python's `huggingface_hub` uses, in the same layout, so that what one of them has
//! downloaded the other finds. A file appears there under its name only when it is whole and its checksum is right.

mod blob;
mod cache;
mod checksum;
mod environment;
mod file_selection;
mod http;
mod response;
mod url;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::cancel::{CallOptions, Stage, TaskControl};
use crate::error::{Error, Result};
use blob::Blob;
use cache::{Repository, is_commit};
use environment::Settings;
use file_selection::Wanted;
use http::{Client, Failure};
use url::encoded;

/// From where and to where a checkpoint is downloaded.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// A branch, a tag or a commit. Default: `main`.
    pub revision: Option<String>,
    /// The token of an account that may read the repository; it is sent to the endpoint alone. Default: `HF_TOKEN`, or the
    /// one that was saved when the user logged in.
    pub token: Option<String>,
    /// The address of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// The folder of the cache. Default: the one of `huggingface_hub`, which is `~/.cache/huggingface/hub` unless
    /// `HF_HUB_CACHE`, `HF_HOME` or `XDG_CACHE_HOME` say otherwise.
    pub cache: Option<PathBuf>,
    /// Take what is in the cache, and ask nobody. Default: `HF_HUB_OFFLINE`, else no.
    pub offline: Option<bool>,
    rehearsal: Option<Rehearsal>,
}

/// What tests put in the place of the process's surroundings.
#[derive(Clone, PartialEq, Eq)]
struct Rehearsal {
    variables: BTreeMap<String, OsString>,
    patience: Duration,
}

impl HubOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set [`HubOptions::revision`](#structfield.revision).
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Set [`HubOptions::token`](#structfield.token).
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Set [`HubOptions::endpoint`](#structfield.endpoint).
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Set [`HubOptions::cache`](#structfield.cache).
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Set [`HubOptions::offline`](#structfield.offline).
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = Some(offline);
        self
    }

    /// For tests: use these variables instead of those of the process, no proxy, and call a transfer stalled after
    /// `patience`.
    #[doc(hidden)]
    #[must_use]
    pub fn rehearse(mut self, variables: BTreeMap<String, OsString>, patience: Duration) -> Self {
        self.rehearsal = Some(Rehearsal { variables, patience });
        self
    }
}

impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A token must not get into a log.
        let token = self.token.as_ref().map(|_| "...");
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("token", &token)
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

/// Whether a text looks like a repository's id, `owner/name`. A relative path can look like one too.
pub fn is_repo_id(text: &str) -> bool {
    let fits = |part: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        !part.is_empty() && part.bytes().all(known) && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    let whole = text.len() <= 96 && !text.contains("--") && !text.contains("..") && !text.ends_with(".git");
    whole && text.split_once('/').is_some_and(|(owner, name)| fits(owner) && fits(name))
}

/// Make sure that the files of a checkpoint are in the cache, and give their folder. `watch` sees the bytes of all files.
///
/// A revision that is a whole commit, and is in the cache, needs no network. When the hub cannot be reached, what the cache
/// has of the revision is taken, if that is a whole checkpoint. What was downloaded of a file before the work was stopped is
/// used by the next call.
///
/// # Errors
/// [`Error::Option`] for an id, a revision, a token or an endpoint that cannot be one; [`Error::Hub`] when the repository
/// does not exist, may not be read or has no usable checkpoint, when the hub cannot be reached or sends wrong bytes, and
/// when something is missing offline; [`Error::Checkpoint`] when its index cannot be read; [`Error::Io`];
/// [`Error::Cancelled`], [`Error::Timeout`].
pub fn snapshot_download(id: &str, options: &HubOptions, call: &CallOptions) -> Result<PathBuf> {
    if !is_repo_id(id) {
        return Err(Error::option("id", format!("{id:?} is not the id of a repository: it must be owner/name")));
    }
    let settings = Settings::new(options)?;
    let _span = tracing::info_span!("download", id, revision = %settings.revision).entered();
    let repository = Repository::new(&settings.cache, id);
    let cached = repository.find(&settings.revision)?;
    match cached {
        Err(lacks) if settings.offline => {
            let (revision, cache) = (&settings.revision, settings.cache.display());
            let reason = format!("offline, and the cache {cache} lacks {lacks} of the revision {revision}");
            return Err(Error::hub(id, reason));
        }
        Ok(snapshot) if settings.offline || is_commit(&settings.revision) => return Ok(snapshot),
        _ => (),
    }
    let control = call.start();
    let client = Client::new(&settings, control.clone())?;
    let online = Online { id, settings: &settings, repository: &repository, client: &client, control: &control };
    match (online.download(cached.is_err()), cached) {
        (Ok(snapshot), _) => Ok(snapshot),
        (Err(Failure::Passing(error)), Ok(snapshot)) => {
            tracing::warn!(%error, "the hub cannot be reached: what the cache has of the revision is used");
            Ok(snapshot)
        }
        (Err(failure), _) => Err(failure.error()),
    }
}

/// What the hub says of a repository.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// A download that asks the hub.
struct Online<'a> {
    id: &'a str,
    settings: &'a Settings,
    repository: &'a Repository,
    client: &'a Client,
    control: &'a TaskControl,
}

impl Online<'_> {
    /// Have all files; `patient` when nothing else can be done if the hub does not answer.
    fn download(&self, patient: bool) -> Result<PathBuf, Failure> {
        let (endpoint, id, revision) = (&self.settings.endpoint, self.id, &self.settings.revision);
        let url = format!("{endpoint}/api/models/{id}/revision/{}", encoded(revision));
        let listing: Listing = self.client.json(&url, patient)?;
        let commit = listing.sha;
        if !is_commit(&commit) || (is_commit(revision) && commit != *revision) {
            return Err(Error::hub(url, format!("it names {commit:?} as the commit")).into());
        }
        let names: Vec<String> = listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        let mut wanted = Wanted::new(id, &names)?;
        if let Some(index) = &wanted.index {
            let blob = self.describe(&commit, index)?;
            self.fetch(&[&blob], |_, _| self.client.check())?;
            let shards = file_selection::shards(&self.repository.place(&blob))?;
            wanted.take(id, &names, shards)?;
        }
        let blobs = wanted.files.iter().map(|file| self.describe(&commit, file)).collect::<Result<Vec<_>, _>>()?;
        self.fetch(&blobs.iter().collect::<Vec<_>>(), |done, of| self.control.step(Stage::Download, done, of))?;
        for (index, blob) in blobs.iter().enumerate() {
            let shared = blobs[index + 1..].iter().any(|other| other.etag == blob.etag);
            self.repository.link(blob, shared)?;
        }
        self.repository.set_commit(revision, &commit)?;
        Ok(self.repository.snapshot(&commit))
    }

    /// What is to be known of a file before it is fetched; nothing is asked of one that is there.
    fn describe(&self, commit: &str, file: &str) -> Result<Blob, Failure> {
        let path = self.repository.snapshot(commit).join(file);
        let url = format!("{}/{}/resolve/{commit}/{}", self.settings.endpoint, self.id, encoded(file));
        if let Ok(metadata) = fs::metadata(&path) {
            return Ok(Blob { path, url, etag: None, size: metadata.len() });
        }
        let (etag, size) = self.client.describe(&url)?;
        Ok(Blob { path, url, etag: Some(etag), size })
    }

    /// Have these files in the cache; `step` gets the bytes that are there and all bytes.
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
