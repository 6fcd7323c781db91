//! The size at which the model sees an image or a video, and its grid of patches.

use super::grid::Grid;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Image, MAX_VIDEO_PIXELS, PixelLimits, Transform, Video, frame_pixels, frame_size, target_size};

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
    pub(super) fn size(&self) -> (usize, usize) {
        (self.transform.resized.1, self.transform.resized.0)
    }
}

/// How [`image()`] cuts a picture.
///
/// # Errors
/// [`Error::Image`] as for [`image()`].
pub fn image_layout(image: &Image, config: &PreprocessConfig) -> Result<Layout> {
    let limits = image.limits().resolve(config.min_pixels, config.max_pixels as f64);
    let size = limits
        .and_then(|limits| target_size(image.height() as usize, image.width() as usize, config.factor(), limits))
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
    let is_sized = first.crop_size() != (first.width(), first.height());
    let PixelLimits { min, max } = video.limits();
    let count = count.next_multiple_of(config.temporal_patch_size);
    let most = frame_pixels(count, video.budget().map_or(MAX_VIDEO_PIXELS, |total| total as f64));
    let most = max.map_or(most, |max| most.min(f64::from(max)));
    let keeps = (min.unwrap_or(0) as usize..=most as usize).contains(&(height * width));
    let whole = height.is_multiple_of(config.factor()) && width.is_multiple_of(config.factor());
    (is_sized && keeps && whole).then_some((height, width))
}
