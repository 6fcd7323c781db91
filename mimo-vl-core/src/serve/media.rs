//! Pictures and videos that a request names by their address.

use std::borrow::Cow;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::StatusCode;
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use super::options::ServeOptions;
use crate::media::{Image, Video, VideoOptions};

/// Longest time to fetch a picture or video of another machine.
const FETCH: Duration = Duration::from_secs(60);

/// What an address leads to.
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// The picture at `address`, which stands in the field `param`.
pub(super) fn image(address: &str, param: &str, options: &ServeOptions) -> Result<Image, ApiError> {
    let image = match content(address, options).map_err(|reason| ApiError::of(param, reason))? {
        Content::File(path) => Image::open(path),
        Content::Bytes(bytes) => Image::from_bytes(&bytes),
    };
    let image = image.map_err(|error| ApiError::of(param, error.to_string()))?;
    Ok(match options.max_pixels {
        Some(most) => image.max_pixels(most),
        None => image,
    })
}

/// The video at `address`, which stands in the field `param`.
pub(super) fn video(address: &str, param: &str, options: &ServeOptions) -> Result<Video, ApiError> {
    let wrong = |reason: String| ApiError::of(param, reason);
    let (path, _temporary) = match content(address, options).map_err(wrong)? {
        Content::File(path) => (path, None),
        Content::Bytes(bytes) => {
            let written = tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(&bytes).map(|()| file));
            let file = written.map_err(|error| {
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("no place for the video: {error}"))
            })?;
            (file.path().to_path_buf(), Some(file))
        }
    };
    let how = match options.max_pixels {
        Some(most) => VideoOptions::new().max_pixels(most),
        None => VideoOptions::new(),
    };
    Video::open(path, &how).map_err(|error| wrong(error.to_string()))
}

fn content(address: &str, options: &ServeOptions) -> Result<Content, String> {
    if let Some(data) = address.strip_prefix("data:") {
        let (kind, data) = data.split_once(',').ok_or("a data address without a comma")?;
        if !kind.ends_with(";base64") {
            return Err("a data address must be in base64: data:image/png;base64,...".into());
        }
        let data: Cow<'_, str> = if data.contains(char::is_whitespace) {
            data.split_whitespace().collect::<String>().into()
        } else {
            data.into()
        };
        return BASE64_STANDARD.decode(&*data).map(Content::Bytes).map_err(|error| format!("not base64: {error}"));
    }
    if let Some(path) = address.strip_prefix("file://") {
        return file(path, options).map(Content::File);
    }
    if address.starts_with("http://") || address.starts_with("https://") {
        return if options.fetch {
            fetched(address, options).map(Content::Bytes)
        } else {
            Err("this server fetches nothing from other machines: send a data address, or start it with `fetch`".into())
        };
    }
    let start: String = address.chars().take(40).collect();
    Err(format!("{start:?} is no address that starts with data:, file://, http:// or https://"))
}

/// A file in the folder of the options. What lies elsewhere is refused as what does not exist is, so that nobody learns
/// which files there are.
fn file(path: &str, options: &ServeOptions) -> Result<PathBuf, String> {
    let folder = options.files.as_ref().ok_or("this server reads no files: start it with `files`")?;
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "the path is not UTF-8")?;
    let found = fs::canonicalize(&*path).ok().filter(|found| found.starts_with(folder) && found.is_file());
    found.ok_or_else(|| format!("there is no such file in the folder that may be read: {path:?}"))
}

fn fetched(address: &str, options: &ServeOptions) -> Result<Vec<u8>, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(FETCH)).max_redirects(3).build().into();
    let failed = |error: &dyn std::fmt::Display| format!("{address}: {error}");
    let response = agent.get(address).call().map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let most = options.max_body as u64;
    let read = response.into_body().into_reader().take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    if bytes.len() as u64 > most {
        return Err(failed(&format_args!("more than {most} bytes")));
    }
    Ok(bytes)
}
