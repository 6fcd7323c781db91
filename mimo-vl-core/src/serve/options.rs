//! Options and limits of a server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Largest value of a timeout.
const MAX_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Options of a [`Server`](super::Server). The limits bound its memory and time; the defaults suit one user.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Host and port to listen on; port 0 takes a free one. Default `127.0.0.1:8000`: this machine only.
    pub address: String,
    /// Model name that clients send. Default: the name of the checkpoint's folder.
    pub served_model_name: Option<String>,
    /// Key that clients must send as `Authorization: Bearer KEY`. Default: none is required.
    pub api_key: Option<String>,
    /// Origins of web pages that may call the server, such as `https://example.com`; `*` allows all. Pages of this
    /// machine (`http://localhost` and `http://127.0.0.1` with any port) always may. Default: no others.
    pub allowed_origins: Vec<String>,
    /// Folder whose files `file://` URLs may name. Default: `file://` URLs are refused.
    pub media_root: Option<PathBuf>,
    /// Permission to download media from `http://` and `https://` URLs. A client can then make the server request any
    /// URL that it can reach. Default: false.
    pub allow_remote_media: bool,
    /// Requests that are decoded at once, at least 1. Default 8.
    pub max_concurrent: usize,
    /// Requests that wait for a place in the batch; a further one gets status 429. Default 64.
    pub max_queued: usize,
    /// Open connections, at least 1; further ones wait to be accepted. Default 512.
    pub max_connections: usize,
    /// Bytes of a request body, and of a downloaded media item; at least 1. Default 64 MiB.
    pub max_body_bytes: usize,
    /// Pixels of an image or video frame; larger ones are scaled down. Default: the checkpoint's limit.
    pub max_image_pixels: Option<u32>,
    /// Images and videos of one request. Default 32.
    pub max_media_items: usize,
    /// Answers of one request (`n`), at least 1. Default 8.
    pub max_choices: usize,
    /// Tokens of an answer, at least 1; also the default where a request sets none. Default 4096.
    pub max_tokens: usize,
    /// Time for a request to arrive, up to a year. Default 30 s.
    pub request_timeout: Duration,
    /// Time from the arrival of a request to the end of its answer, with the queue, up to a year. Default 10 minutes.
    pub completion_timeout: Duration,
}

impl fmt::Debug for ServeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key must not get into a log.
        let key = self.api_key.as_ref().map(|_| "...");
        f.debug_struct("ServeOptions").field("address", &self.address).field("api_key", &key).finish_non_exhaustive()
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8000".into(),
            served_model_name: None,
            api_key: None,
            allowed_origins: Vec::new(),
            media_root: None,
            allow_remote_media: false,
            max_concurrent: 8,
            max_queued: 64,
            max_connections: 512,
            max_body_bytes: 64 << 20,
            max_image_pixels: None,
            max_media_items: 32,
            max_choices: 8,
            max_tokens: 4096,
            request_timeout: Duration::from_secs(30),
            completion_timeout: Duration::from_secs(600),
        }
    }
}

/// Defines one setter per field.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $value:expr;)*) => {
        impl ServeOptions {
            /// Returns the default options.
            pub fn new() -> Self {
                Self::default()
            }

            $($(#[$doc])*
            #[must_use]
            pub fn $name(mut self, $name: $type) -> Self {
                self.$name = $value;
                self
            })*
        }
    };
}

setters! {
    /// Sets [`ServeOptions::address`](#structfield.address).
    address: impl Into<String> => address.into();
    /// Sets [`ServeOptions::served_model_name`](#structfield.served_model_name).
    served_model_name: impl Into<String> => Some(served_model_name.into());
    /// Sets [`ServeOptions::api_key`](#structfield.api_key).
    api_key: impl Into<String> => Some(api_key.into());
    /// Sets [`ServeOptions::allowed_origins`](#structfield.allowed_origins).
    allowed_origins: impl IntoIterator<Item = impl Into<String>> =>
        allowed_origins.into_iter().map(Into::into).collect();
    /// Sets [`ServeOptions::media_root`](#structfield.media_root).
    media_root: impl Into<PathBuf> => Some(media_root.into());
    /// Sets [`ServeOptions::allow_remote_media`](#structfield.allow_remote_media).
    allow_remote_media: bool => allow_remote_media;
    /// Sets [`ServeOptions::max_concurrent`](#structfield.max_concurrent).
    max_concurrent: usize => max_concurrent;
    /// Sets [`ServeOptions::max_queued`](#structfield.max_queued).
    max_queued: usize => max_queued;
    /// Sets [`ServeOptions::max_connections`](#structfield.max_connections).
    max_connections: usize => max_connections;
    /// Sets [`ServeOptions::max_body_bytes`](#structfield.max_body_bytes).
    max_body_bytes: usize => max_body_bytes;
    /// Sets [`ServeOptions::max_image_pixels`](#structfield.max_image_pixels).
    max_image_pixels: u32 => Some(max_image_pixels);
    /// Sets [`ServeOptions::max_media_items`](#structfield.max_media_items).
    max_media_items: usize => max_media_items;
    /// Sets [`ServeOptions::max_choices`](#structfield.max_choices).
    max_choices: usize => max_choices;
    /// Sets [`ServeOptions::max_tokens`](#structfield.max_tokens).
    max_tokens: usize => max_tokens;
    /// Sets [`ServeOptions::request_timeout`](#structfield.request_timeout).
    request_timeout: Duration => request_timeout;
    /// Sets [`ServeOptions::completion_timeout`](#structfield.completion_timeout).
    completion_timeout: Duration => completion_timeout;
}

impl ServeOptions {
    /// Checks the ranges, and makes `media_root` absolute.
    pub(super) fn checked(mut self) -> Result<Self> {
        let counts = [
            ("max_concurrent", self.max_concurrent),
            ("max_connections", self.max_connections),
            ("max_body_bytes", self.max_body_bytes),
            ("max_choices", self.max_choices),
            ("max_tokens", self.max_tokens),
        ];
        if let Some((option, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::option(option, "it is 0, and must be at least 1"));
        }
        for (option, timeout) in
            [("request_timeout", self.request_timeout), ("completion_timeout", self.completion_timeout)]
        {
            if timeout > MAX_TIMEOUT {
                return Err(Error::option(option, format!("{timeout:?} is longer than a year")));
            }
        }
        let is_origin = |origin: &&String| {
            let name = origin.split_once("://").map(|(_, name)| name).unwrap_or_default();
            *origin == "*" || !name.is_empty() && !name.contains('/')
        };
        if let Some(other) = self.allowed_origins.iter().find(|origin| !is_origin(origin)) {
            let reason = format!("{other:?} is not of the form https://example.com, without a path");
            return Err(Error::option("allowed_origins", reason));
        }
        if self.api_key.as_ref().is_some_and(String::is_empty) {
            return Err(Error::option("api_key", "it is empty: leave it out to require none"));
        }
        if let Some(root) = self.media_root.take() {
            let absolute = root
                .canonicalize()
                .map_err(|error| Error::option("media_root", format!("{}: {error}", root.display())))?;
            if !absolute.is_dir() {
                return Err(Error::option("media_root", format!("{}: not a folder", root.display())));
            }
            self.media_root = Some(absolute);
        }
        Ok(self)
    }
}
