//! Pixels to patches: choose a size, resize, cut.
//!
//! The arithmetic is that of the published utilities (`qwen-vl-utils`), so that the model sees the very bytes
//! that it was evaluated with. Normalisation is left to the vision stage: patches stay 8-bit here, and
//! [`Patches::values`] tells what becomes of them.

mod grid;
mod patches;
mod resize;
mod sample;
mod smart_resize;
mod transform;

pub use self::grid::Grid;
pub use self::patches::Patches;
pub use self::resize::{Bicubic, resize};
pub use self::sample::{Sampled, Sampling, frame_pixels, sample_frames};
pub use self::smart_resize::smart_resize;
pub use self::transform::Transform;

use self::smart_resize::{Limits, target};
use crate::cancel::Cancel;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::prompt::{Image, Video};

/// Fewest pixels of a video frame.
const FRAME_MIN_PIXELS: usize = 128 * 28 * 28;
/// Pixels that all frames of a video together may have: nine tenths of a context of 128,000 tokens.
const VIDEO_PIXELS: f64 = 128_000.0 * 28.0 * 28.0 * 0.9;

/// How a picture or a video is cut into patches, without the patches.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Layout {
    /// How many patches there are along each axis.
    pub grid: Grid,
    /// Seconds between two steps in time; `None` for a picture.
    pub second_per_grid: Option<f64>,
    /// From the caller's pixels to the resized ones and back.
    pub transform: Transform,
}

impl Layout {
    fn new(first: &Image, frames: usize, (height, width): (usize, usize), config: &PreprocessConfig) -> Self {
        let (t, patch) = (frames.div_ceil(config.temporal_patch_size), config.patch_size);
        let grid = Grid { t, h: height / patch, w: width / patch };
        Self { grid, second_per_grid: None, transform: Transform::new(first, (width, height)) }
    }

    /// The height and width of the resized frames.
    fn size(&self) -> (usize, usize) {
        (self.transform.resized.1, self.transform.resized.0)
    }
}

/// How [`image()`] cuts a picture.
///
/// # Errors
/// [`Error::Image`] as for [`image()`].
pub fn image_layout(image: &Image, config: &PreprocessConfig) -> Result<Layout> {
    let (min, max) = image.limits();
    let limits = Limits::new(min, max, config.min_pixels, config.max_pixels as f64);
    let size = limits
        .and_then(|limits| target(image.height() as usize, image.width() as usize, config.factor(), limits))
        .map_err(|reason| Error::image(image.name(), reason))?;
    Ok(Layout::new(image, 1, size, config))
}

/// How [`video()`] cuts a video.
///
/// # Errors
/// [`Error::Image`] as for [`image()`].
pub fn video_layout(video: &Video, config: &PreprocessConfig) -> Result<Layout> {
    let frames = video.frames();
    let first = frames.first().ok_or_else(|| Error::image("video", "it has no frames"))?;
    let size = match sized(first, frames.len(), video, config) {
        Some(own) => own,
        None => frame_size(first, frames.len(), video.limits(), video.budget(), config)?,
    };
    let second_per_grid = Some(config.temporal_patch_size as f64 / video.fps());
    let mut layout = Layout { second_per_grid, ..Layout::new(first, frames.len(), size, config) };
    // Frames of several pages lie on none.
    layout.transform.page = first.page().filter(|page| frames.iter().all(|frame| frame.page() == Some(*page)));
    Ok(layout)
}

/// The height and width of the frames of a file, which were made as large as they are to be, unless limits were set since
/// that they do not keep.
fn sized(first: &Image, count: usize, video: &Video, config: &PreprocessConfig) -> Option<(usize, usize)> {
    let (height, width) = (first.height() as usize, first.width() as usize);
    let is_sized = first.part() != (first.width(), first.height());
    let (min, max) = video.limits();
    let count = count.next_multiple_of(config.temporal_patch_size);
    let most = frame_pixels(count, video.budget().map_or(VIDEO_PIXELS, |total| total as f64));
    let most = max.map_or(most, |max| most.min(f64::from(max)));
    let keeps = (min.unwrap_or(0) as usize..=most as usize).contains(&(height * width));
    let whole = height.is_multiple_of(config.factor()) && width.is_multiple_of(config.factor());
    (is_sized && keeps && whole).then_some((height, width))
}

/// Cut a picture into patches; it counts as two equal frames.
///
/// The size follows the picture's own limits where it has some, else those of `config` that do not contradict them.
///
/// # Errors
/// [`Error::Image`] when the sides differ by more than a factor of 200, or the limits contradict each other;
/// [`Error::ContextTooLong`] when it would be more than `config.max_tokens` tokens.
pub fn image(image: &Image, config: &PreprocessConfig) -> Result<Patches> {
    image_unless(image, config, &Cancel::new())
}

/// [`image()`], unless a stop is asked for.
pub(crate) fn image_unless(image: &Image, config: &PreprocessConfig, cancel: &Cancel) -> Result<Patches> {
    patches::cut(std::slice::from_ref(image), image_layout(image, config)?, Bicubic::Picture, config, cancel)
}

/// Cut a video into patches, two frames at a time; after an odd number of frames the last is repeated.
///
/// A frame has at most the pixels that the video states, and at most [`frame_pixels`] of its budget, which is 115,200
/// tokens for the whole video unless it states another; at least those that it states, else 128 tokens.
///
/// # Errors
/// [`Error::Image`] and [`Error::ContextTooLong`], as for [`image()`].
pub fn video(video: &Video, config: &PreprocessConfig) -> Result<Patches> {
    video_unless(video, config, &Cancel::new())
}

/// [`video()`], unless a stop is asked for.
pub(crate) fn video_unless(video: &Video, config: &PreprocessConfig, cancel: &Cancel) -> Result<Patches> {
    patches::cut(video.frames(), video_layout(video, config)?, Bicubic::Frame, config, cancel)
}

/// The height and width at which the model sees each of `count` frames like `first`, with the caller's fewest and most
/// pixels of a frame, and most of all together.
///
/// # Errors
/// [`Error::Image`] as for [`image()`].
pub(crate) fn frame_size(
    first: &Image,
    count: usize,
    (min, max): (Option<u32>, Option<u32>),
    total: Option<u64>,
    config: &PreprocessConfig,
) -> Result<(usize, usize)> {
    let count = count.next_multiple_of(config.temporal_patch_size);
    let most = frame_pixels(count, total.map_or(VIDEO_PIXELS, |total| total as f64));
    let max = max.map(|max| max.min(most as u32));
    let limits = Limits::new(min, max, FRAME_MIN_PIXELS, most);
    limits
        .and_then(|limits| target(first.height() as usize, first.width() as usize, config.factor(), limits))
        .map_err(|reason| Error::image(format!("video of frames like {}", first.name()), reason))
}
