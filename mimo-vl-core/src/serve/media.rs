//! Loads the images and videos that a request names by URL.

use std::borrow::Cow;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hyper::StatusCode;
use percent_encoding::percent_decode_str;

use super::error::ApiError;
use super::fields::Fields;
use super::options::ServeOptions;
use crate::error::Error;
use crate::media::{FrameSampling, Image, Video, VideoOptions};

/// Time for the download of one media item from another machine.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of decoded pixels of all images and video frames of one request.
pub(super) const MAX_PIXEL_BYTES: usize = 256 << 20;

/// Rate of a list of frames without one, in frames per second: that of the sampling.
const FRAMES_FPS: f64 = 2.0;

/// Frames of one video: those that the model was trained with.
const MAX_FRAMES: usize = 768;

/// Pixels of all frames of one video that are decoded, of three bytes each.
const MAX_TOTAL_PIXELS: usize = MAX_PIXEL_BYTES / 3;

/// Least bytes of base64 without `data:`: no image or video has fewer.
const MIN_BARE_BYTES: usize = 24;

/// The standard alphabet without padding. Encoders that leave bits behind the last byte exist.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// The content of a media URL.
enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// Frames and pixels of the media of a request, or of one of its parts. They have the names of qwen-vl-utils.
#[derive(Debug, Clone, Default)]
pub(super) struct MediaSettings {
    sampling: FrameSampling,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    total_pixels: Option<u64>,
}

impl MediaSettings {
    /// Takes the settings among these fields; others stay as they are in `self`.
    pub(super) fn with(&self, fields: &mut Fields) -> Result<Self, ApiError> {
        let mut settings = self.clone();
        let sampling = &mut settings.sampling;
        sampling.fps = fields.number("fps")?.or(sampling.fps);
        for name in ["nframes", "num_frames"] {
            sampling.frames = fields.count(name)?.or(sampling.frames);
        }
        sampling.min_frames = fields.count("min_frames")?.or(sampling.min_frames);
        sampling.max_frames = fields.count("max_frames")?.or(sampling.max_frames);
        sampling.start = fields.number("video_start")?.or(sampling.start);
        sampling.end = fields.number("video_end")?.or(sampling.end);
        let mut pixels = |name| -> Result<Option<u32>, ApiError> {
            Ok(fields.count(name)?.map(|pixels| u32::try_from(pixels).unwrap_or(u32::MAX)))
        };
        settings.min_pixels = pixels("min_pixels")?.or(settings.min_pixels);
        settings.max_pixels = pixels("max_pixels")?.or(settings.max_pixels);
        let total = fields.count("total_pixels")?;
        if total.is_some_and(|total| total > MAX_TOTAL_PIXELS) {
            return Err(fields.error("total_pixels", format!("at most {MAX_TOTAL_PIXELS} pixels are decoded")));
        }
        settings.total_pixels = total.map(|pixels| pixels as u64).or(settings.total_pixels);
        for (name, count) in [("nframes", sampling.frames), ("max_frames", sampling.max_frames)] {
            if count.is_some_and(|count| count > MAX_FRAMES) {
                return Err(fields.error(name, format!("at most {MAX_FRAMES} frames are decoded")));
            }
        }
        Ok(settings)
    }

    /// Sets the pixels of OpenAI's `detail`: `low` is an image of 512 × 512 pixels.
    pub(super) fn detail(&mut self, detail: Option<&str>) -> Result<(), String> {
        match detail {
            None | Some("auto" | "high" | "original") => {}
            Some("low") => self.max_pixels = self.max_pixels.into_iter().chain([512 * 512]).min(),
            Some(other) => return Err(format!("detail: {other:?} is not one of auto, low, high, original")),
        }
        Ok(())
    }

    /// Maximum pixels of an image or frame: that of the request and that of the server.
    fn max_pixels(&self, options: &ServeOptions) -> Option<u32> {
        self.max_pixels.into_iter().chain(options.max_image_pixels).min()
    }
}

/// Loads the image at `url`; errors name the request field `param`.
pub(super) fn load_image(
    url: &str,
    param: &str,
    settings: &MediaSettings,
    options: &ServeOptions,
) -> Result<Image, ApiError> {
    let image = match read_url(url, options).map_err(|reason| ApiError::bad_request(param, reason))? {
        Content::File(path) => Image::open(path),
        Content::Bytes(bytes) => Image::from_bytes(&bytes),
    };
    let mut image = image.map_err(|error| ApiError::bad_request(param, error.to_string()))?;
    if let Some(pixels) = settings.min_pixels {
        image = image.min_pixels(pixels);
    }
    Ok(match settings.max_pixels(options) {
        Some(pixels) => image.max_pixels(pixels),
        None => image,
    })
}

/// Loads the video at `url`; errors name the request field `param`.
pub(super) fn load_video(
    url: &str,
    param: &str,
    settings: &MediaSettings,
    options: &ServeOptions,
) -> Result<Video, ApiError> {
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
    let mut video_options = VideoOptions::new().sampling(settings.sampling.clone()).timeout(options.completion_timeout);
    video_options.max_pixels = settings.max_pixels(options);
    video_options.total_pixels = settings.total_pixels;
    let video = Video::open(path, &video_options).map_err(|error| bad_request(error.to_string()))?;
    Ok(match settings.min_pixels {
        Some(pixels) => video.min_pixels(pixels),
        None => video,
    })
}

/// Loads a video from the URLs of its frames. `fps` is their rate.
pub(super) fn load_frames(
    urls: &[String],
    param: &str,
    settings: &MediaSettings,
    options: &ServeOptions,
) -> Result<Video, ApiError> {
    let bad_request = |reason: String| ApiError::bad_request(param, reason);
    if !(1..=MAX_FRAMES).contains(&urls.len()) {
        return Err(bad_request(format!("{} frames; a list must have from 1 to {MAX_FRAMES}", urls.len())));
    }
    let FrameSampling { fps, .. } = settings.sampling;
    if settings.sampling != (FrameSampling { fps, ..FrameSampling::new() }) {
        return Err(bad_request(
            "a list of frames is taken as a whole: of the frames' settings only fps applies".into(),
        ));
    }
    let plain = MediaSettings::default();
    // Each frame is scaled down before the next one is decoded.
    let frames = urls.iter().enumerate().map(|(index, url)| {
        let name = format!("{param}[{index}]");
        load_image(url, &name, &plain, options).map_err(|error| Error::image(name, error.message()))
    });
    let mut video_options = VideoOptions::new().timeout(options.completion_timeout);
    video_options.max_pixels = settings.max_pixels(options);
    video_options.total_pixels = settings.total_pixels;
    let video = Video::from_decoder(frames, urls.len(), fps.unwrap_or(FRAMES_FPS), &video_options);
    let video = video.map_err(|error| bad_request(error.to_string()))?;
    Ok(match settings.min_pixels {
        Some(pixels) => video.min_pixels(pixels),
        None => video,
    })
}

fn read_url(url: &str, options: &ServeOptions) -> Result<Content, String> {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    let after = |scheme: &str| &url[scheme.len()..];
    match scheme.as_deref() {
        Some("data") => {
            let (kind, data) = after("data:").split_once(',').ok_or("a data URL without a comma")?;
            if !kind.to_ascii_lowercase().ends_with(";base64") {
                return Err("a data URL must be in base64: data:image/png;base64,...".into());
            }
            decode_base64(data).map(Content::Bytes).map_err(|error| format!("invalid base64: {error}"))
        }
        Some("file") if after("file:").starts_with("//") => resolve_file(after("file://"), options).map(Content::File),
        Some("http" | "https") if options.allow_remote_media => download(url, options).map(Content::Bytes),
        Some("http" | "https") => {
            Err("remote media are disabled: send a data URL, or start the server with `allow_remote_media`".into())
        }
        // Some clients send the base64 alone.
        _ => match decode_base64(url) {
            Ok(bytes) if bytes.len() >= MIN_BARE_BYTES => Ok(Content::Bytes(bytes)),
            _ => {
                let start: String = url.chars().take(40).collect();
                Err(format!("{start:?} is not a URL that starts with data:, file://, http:// or https://, nor base64"))
            }
        },
    }
}

/// Decodes base64 of either alphabet, with or without padding, percent-encoded or not, with white space or not.
fn decode_base64(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let text: Cow<'_, [u8]> = percent_decode_str(text).into();
    let significant = text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != b'=');
    let standard = significant.map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        byte => *byte,
    });
    LENIENT.decode(standard.collect::<Vec<u8>>())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn base64_of_every_client_is_decoded() {
        let bytes: Vec<u8> = (0..=255).chain([7, 9]).collect();
        let standard = base64::prelude::BASE64_STANDARD.encode(&bytes);
        let broken_lines: Vec<String> =
            standard.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into()).collect();
        for text in [
            standard.clone(),
            standard.trim_end_matches('=').to_owned(),
            standard.replace('+', "-").replace('/', "_"),
            standard.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
            broken_lines.join("\r\n "),
        ] {
            assert_eq!(decode_base64(&text).unwrap(), bytes, "{text}");
            for url in [format!("data:image/png;base64,{text}"), format!("DATA:image/png;BASE64,{text}"), text] {
                assert!(
                    matches!(read_url(&url, &ServeOptions::new()), Ok(Content::Bytes(found)) if found == bytes),
                    "{url}"
                );
            }
        }
        for url in
            ["data:image/png;base64", "data:image/png,abc", "data:;base64,!!", "photo.png", "a", "", "ftp://x/y.png"]
        {
            assert!(read_url(url, &ServeOptions::new()).is_err(), "{url}");
        }
    }
}
