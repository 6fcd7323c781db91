//! The resized size of an image or a video, and its grid of patches.

use super::grid::Grid;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Image, MAX_VIDEO_PIXELS, PixelLimits, Transform, Video, frame_pixels, frame_size, target_size};

/// The size and the grid of an image or a video, without its patches.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Layout {
    /// Number of patches along each axis.
    pub grid: Grid,
    /// Seconds per step of the grid in time; `None` for an image.
    pub second_per_grid: Option<f64>,
    /// Transform between the caller's pixels and the resized ones.
    pub transform: Transform,
}

impl Layout {
    fn new(first: &Image, frames: usize, (height, width): (usize, usize), config: &PreprocessConfig) -> Self {
        let (t, patch) = (frames.div_ceil(config.temporal_patch_size), config.patch_size);
        let grid = Grid { t, h: height / patch, w: width / patch };
        Self { grid, second_per_grid: None, transform: Transform::new(first, (width, height)) }
    }

    /// Height and width of the resized frames, in pixels.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.transform.resized.1, self.transform.resized.0)
    }
}

/// Computes the layout that [`preprocess_image`](crate::expert::preprocess_image) uses.
///
/// # Errors
/// [`Error::Image`] when the sides differ by more than a factor of 200, or the pixel limits contradict each other.
pub fn image_layout(image: &Image, config: &PreprocessConfig) -> Result<Layout> {
    let (min, max) = image.limits();
    let limits = PixelLimits::new(min, max, config.min_pixels, config.max_pixels as f64);
    let size = limits
        .and_then(|limits| target_size(image.height() as usize, image.width() as usize, config.factor(), limits))
        .map_err(|reason| Error::image(image.name(), reason))?;
    Ok(Layout::new(image, 1, size, config))
}

/// Computes the layout that [`preprocess_video`](crate::expert::preprocess_video) uses.
///
/// # Errors
/// [`Error::Image`] as for [`image_layout`].
pub fn video_layout(video: &Video, config: &PreprocessConfig) -> Result<Layout> {
    let frames = video.frames();
    let first = frames.first().ok_or_else(|| Error::image("video", "it has no frames"))?;
    let size = match presized(first, frames.len(), video, config) {
        Some(size) => size,
        None => frame_size(first, frames.len(), video.limits(), video.budget(), config)?,
    };
    let second_per_grid = Some(config.temporal_patch_size as f64 / video.fps());
    let mut layout = Layout { second_per_grid, ..Layout::new(first, frames.len(), size, config) };
    // Frames from different PDF pages have no common page.
    layout.transform.page = first.page().filter(|page| frames.iter().all(|frame| frame.page() == Some(*page)));
    Ok(layout)
}

/// Height and width of frames that were already resized while their file was decoded; `None` if they were not, or if
/// they violate limits that were set later.
fn presized(first: &Image, count: usize, video: &Video, config: &PreprocessConfig) -> Option<(usize, usize)> {
    let (height, width) = (first.height() as usize, first.width() as usize);
    let is_resized = first.part() != (first.width(), first.height());
    let (min, max) = video.limits();
    let count = count.next_multiple_of(config.temporal_patch_size);
    let limit = frame_pixels(count, video.budget().map_or(MAX_VIDEO_PIXELS, |total| total as f64));
    let limit = max.map_or(limit, |max| limit.min(f64::from(max)));
    let within_limits = (min.unwrap_or(0) as usize..=limit as usize).contains(&(height * width));
    let aligned = height.is_multiple_of(config.factor()) && width.is_multiple_of(config.factor());
    (is_resized && within_limits && aligned).then_some((height, width))
}
