//! Loads the images and videos that a request names by URL.

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

/// Time for the download of one media item from another machine.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The content of a media URL.
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// Loads the image at `url`; errors name the request field `param`.
pub(super) fn load_image(url: &str, param: &str, options: &ServeOptions) -> Result<Image, ApiError> {
    let image = match read_url(url, options).map_err(|reason| ApiError::bad_request(param, reason))? {
        Content::File(path) => Image::open(path),
        Content::Bytes(bytes) => Image::from_bytes(&bytes),
    };
    let image = image.map_err(|error| ApiError::bad_request(param, error.to_string()))?;
    Ok(match options.max_image_pixels {
        Some(max_pixels) => image.max_pixels(max_pixels),
        None => image,
    })
}

/// Loads the video at `url`; errors name the request field `param`.
pub(super) fn load_video(url: &str, param: &str, options: &ServeOptions) -> Result<Video, ApiError> {
    let bad_request = |reason: String| ApiError::bad_request(param, reason);
    let (path, _temporary) = match read_url(url, options).map_err(bad_request)? {
        Content::File(path) => (path, None),
        Content::Bytes(bytes) => {
            let written = tempfile::NamedTempFile::new().and_then(|mut file| file.write_all(&bytes).map(|()| file));
            let file = written.map_err(|error| {
                let reason = format!("the video cannot be written to a temporary file: {error}");
                ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, reason)
            })?;
            (file.path().to_path_buf(), Some(file))
        }
    };
    let video_options = match options.max_image_pixels {
        Some(max_pixels) => VideoOptions::new().max_pixels(max_pixels),
        None => VideoOptions::new(),
    };
    Video::open(path, &video_options).map_err(|error| bad_request(error.to_string()))
}

fn read_url(url: &str, options: &ServeOptions) -> Result<Content, String> {
    if let Some(data) = url.strip_prefix("data:") {
        let (kind, data) = data.split_once(',').ok_or("a data URL without a comma")?;
        if !kind.ends_with(";base64") {
            return Err("a data URL must be in base64: data:image/png;base64,...".into());
        }
        let data: Cow<'_, str> = if data.contains(char::is_whitespace) {
            data.split_whitespace().collect::<String>().into()
        } else {
            data.into()
        };
        return BASE64_STANDARD.decode(&*data).map(Content::Bytes).map_err(|error| format!("invalid base64: {error}"));
    }
    if let Some(path) = url.strip_prefix("file://") {
        return resolve_file(path, options).map(Content::File);
    }
    if url.starts_with("http://") || url.starts_with("https://") {
        return if options.allow_remote_media {
            download(url, options).map(Content::Bytes)
        } else {
            Err("remote media are disabled: send a data URL, or start the server with `allow_remote_media`".into())
        };
    }
    let start: String = url.chars().take(40).collect();
    Err(format!("{start:?} is not a URL that starts with data:, file://, http:// or https://"))
}

/// Resolves a file below `media_root`. A file elsewhere gives the same error as one that does not exist, so that
/// clients cannot probe for files.
fn resolve_file(path: &str, options: &ServeOptions) -> Result<PathBuf, String> {
    let root = options.media_root.as_ref().ok_or("local files are disabled: start the server with `media_root`")?;
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "the path is not UTF-8")?;
    let file = fs::canonicalize(&*path).ok().filter(|file| file.starts_with(root) && file.is_file());
    file.ok_or_else(|| format!("there is no such file below `media_root`: {path:?}"))
}

fn download(url: &str, options: &ServeOptions) -> Result<Vec<u8>, String> {
    let config = ureq::Agent::config_builder().timeout_global(Some(DOWNLOAD_TIMEOUT)).max_redirects(3);
    let agent: ureq::Agent = config.build().into();
    let failed = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let response = agent.get(url).call().map_err(|error| failed(&error))?;
    let mut bytes = Vec::new();
    let max_bytes = options.max_body_bytes as u64;
    let read = response.into_body().into_reader().take(max_bytes + 1).read_to_end(&mut bytes);
    read.map_err(|error| failed(&error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(failed(&format_args!("more than {max_bytes} bytes")));
    }
    Ok(bytes)
}
