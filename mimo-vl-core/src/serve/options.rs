//! What a server is allowed to do, and how much of it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};

/// Longest time that a limit may allow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// How a model is served. The limits keep strangers from taking all memory or all time; the defaults suit one user.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Host and port to listen on. Port 0 takes one that is free. Default `127.0.0.1:8000`: this machine only.
    pub address: String,
    /// The name that clients call the model by. Default: that of its folder.
    pub name: Option<String>,
    /// What clients must send as `Authorization: Bearer KEY`. Default: nothing.
    pub api_key: Option<String>,
    /// The folder whose files `file://` addresses may name. Default: none may be named.
    pub files: Option<PathBuf>,
    /// Whether `http://` and `https://` addresses of pictures and videos are fetched. A client can make the server ask any
    /// address that it reaches. Default: no.
    pub fetch: bool,
    /// Questions that are answered at once, at least 1. Default 8.
    pub together: usize,
    /// Questions that may wait besides; one more is refused with status 429. Default 64.
    pub queue: usize,
    /// Connections at once; further ones wait to be accepted. Default 512.
    pub connections: usize,
    /// Most bytes of a request. Default 64 MiB.
    pub max_body: usize,
    /// Pictures with more pixels are shown to the model smaller. Default: as the checkpoint says.
    pub max_pixels: Option<u32>,
    /// Most pictures and videos of one request. Default 32.
    pub max_media: usize,
    /// Most tokens of an answer, and how many it has where the client does not say. Default 4096.
    pub max_tokens: usize,
    /// Longest time for a request to arrive. Default 30 s.
    pub receive: Duration,
    /// Longest time from a request's arrival to the end of its answer, waiting included. Default 10 minutes.
    pub answer: Duration,
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
            name: None,
            api_key: None,
            files: None,
            fetch: false,
            together: 8,
            queue: 64,
            connections: 512,
            max_body: 64 << 20,
            max_pixels: None,
            max_media: 32,
            max_tokens: 4096,
            receive: Duration::from_secs(30),
            answer: Duration::from_secs(600),
        }
    }
}

/// Setters, one for each field.
macro_rules! setters {
    ($($(#[$doc:meta])* $name:ident: $type:ty => $value:expr;)*) => {
        impl ServeOptions {
            /// The defaults.
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
    /// Set [`ServeOptions::address`](#structfield.address).
    address: impl Into<String> => address.into();
    /// Set [`ServeOptions::name`](#structfield.name).
    name: impl Into<String> => Some(name.into());
    /// Set [`ServeOptions::api_key`](#structfield.api_key).
    api_key: impl Into<String> => Some(api_key.into());
    /// Set [`ServeOptions::files`](#structfield.files).
    files: impl Into<PathBuf> => Some(files.into());
    /// Set [`ServeOptions::fetch`](#structfield.fetch).
    fetch: bool => fetch;
    /// Set [`ServeOptions::together`](#structfield.together).
    together: usize => together;
    /// Set [`ServeOptions::queue`](#structfield.queue).
    queue: usize => queue;
    /// Set [`ServeOptions::connections`](#structfield.connections).
    connections: usize => connections;
    /// Set [`ServeOptions::max_body`](#structfield.max_body).
    max_body: usize => max_body;
    /// Set [`ServeOptions::max_pixels`](#structfield.max_pixels).
    max_pixels: u32 => Some(max_pixels);
    /// Set [`ServeOptions::max_media`](#structfield.max_media).
    max_media: usize => max_media;
    /// Set [`ServeOptions::max_tokens`](#structfield.max_tokens).
    max_tokens: usize => max_tokens;
    /// Set [`ServeOptions::receive`](#structfield.receive).
    receive: Duration => receive;
    /// Set [`ServeOptions::answer`](#structfield.answer).
    answer: Duration => answer;
}

impl ServeOptions {
    /// The same with the folder for files made absolute.
    pub(super) fn checked(mut self) -> Result<Self> {
        let counts = [
            ("together", self.together),
            ("connections", self.connections),
            ("max_body", self.max_body),
            ("max_tokens", self.max_tokens),
        ];
        if let Some((option, _)) = counts.iter().find(|(_, count)| *count == 0) {
            return Err(Error::option(option, "0 lets nothing through; at least 1 is needed"));
        }
        for (option, time) in [("receive", self.receive), ("answer", self.answer)] {
            if time > LONGEST {
                return Err(Error::option(option, format!("{time:?} is longer than a year")));
            }
        }
        if self.api_key.as_ref().is_some_and(String::is_empty) {
            return Err(Error::option("api_key", "it is empty, so that anyone has it"));
        }
        if let Some(files) = self.files.take() {
            let whole = files
                .canonicalize()
                .map_err(|error| Error::option("files", format!("{}: {error}", files.display())))?;
            if !whole.is_dir() {
                return Err(Error::option("files", format!("{}: not a folder", files.display())));
            }
            self.files = Some(whole);
        }
        Ok(self)
    }
}
