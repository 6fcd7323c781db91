//! Options of a download.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Source and destination of a checkpoint's download.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubOptions {
    /// Branch, tag or commit. Default: `main`.
    pub revision: Option<String>,
    /// Access token of an account that may read the repository; it is sent to the endpoint only. Default: `HF_TOKEN`,
    /// else the token that `huggingface_hub` saved at login.
    pub token: Option<String>,
    /// URL of the hub. Default: `HF_ENDPOINT`, else `https://huggingface.co`.
    pub endpoint: Option<String>,
    /// Cache folder. Default: that of `huggingface_hub`, which is `~/.cache/huggingface/hub` unless `HF_HUB_CACHE`,
    /// `HF_HOME` or `XDG_CACHE_HOME` is set.
    pub cache: Option<PathBuf>,
    /// Use only the cache, and no network. Default: `HF_HUB_OFFLINE`, else false.
    pub offline: Option<bool>,
    pub(super) test_environment: Option<TestEnvironment>,
}

/// Environment for tests.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct TestEnvironment {
    /// Environment variables in place of those of the process.
    pub(super) variables: BTreeMap<String, OsString>,
    pub(super) stall_timeout: Duration,
}

impl HubOptions {
    /// Returns the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`HubOptions::revision`](#structfield.revision).
    #[must_use]
    pub fn revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = Some(revision.into());
        self
    }

    /// Sets [`HubOptions::token`](#structfield.token).
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets [`HubOptions::endpoint`](#structfield.endpoint).
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Sets [`HubOptions::cache`](#structfield.cache).
    #[must_use]
    pub fn cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(folder.into());
        self
    }

    /// Sets [`HubOptions::offline`](#structfield.offline).
    #[must_use]
    pub fn offline(mut self, offline: bool) -> Self {
        self.offline = Some(offline);
        self
    }

    // For tests, no part of the public API: `variables` replace those of the process, no proxy is used, and a transfer
    // counts as stalled after `stall_timeout`.
    #[doc(hidden)]
    #[must_use]
    pub fn with_test_environment(mut self, variables: BTreeMap<String, OsString>, stall_timeout: Duration) -> Self {
        self.test_environment = Some(TestEnvironment { variables, stall_timeout });
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
