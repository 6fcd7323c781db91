//! A video: sampled frames and their times.

use std::time::Duration;

use super::image::Image;
use super::pixel_limits::PixelLimits;
use crate::error::{Error, Result};

/// Frames of equal size, in the order of time. Clones share the pixels.
#[derive(Debug, Clone)]
pub struct Video {
    frames: Vec<Image>,
    fps: f64,
    /// Seconds of each frame; `None` for evenly spaced frames.
    timestamps: Option<Vec<f64>>,
    /// Maximum pixels of all frames together.
    total_pixels: Option<u64>,
    /// Limits of each frame.
    limits: PixelLimits,
    replaced_frames: usize,
    decode_time: Duration,
}

impl Video {
    /// Creates a video from sampled frames.
    ///
    /// `fps` is the rate of `frames`, in frames per second, not that of the file that they were sampled from. Two
    /// frames share one step in time; the last of an odd number is repeated. One frame is allowed. Pixel limits of the
    /// frames themselves are ignored: set them on the video.
    ///
    /// # Errors
    /// [`Error::Image`] when there is no frame or a frame differs in size from the first; [`Error::Option`] when
    /// `fps` is not a finite number above 0.
    pub fn from_frames(frames: Vec<Image>, fps: f64) -> Result<Self> {
        check_fps(fps)?;
        let Some(first) = frames.first() else {
            return Err(Error::image("video", "it has no frames; at least 1 is needed"));
        };
        let decode_time = frames.iter().map(Image::decode_time).sum();
        let size = (first.width(), first.height());
        for (index, frame) in frames.iter().enumerate() {
            if (frame.width(), frame.height()) != size {
                let (width, height) = (frame.width(), frame.height());
                return Err(Error::image(
                    format!("video frame {index} ({})", frame.name()),
                    format!("{width}x{height} pixels, and the first frame has {}x{}", size.0, size.1),
                ));
            }
        }
        let limits = PixelLimits::default();
        Ok(Self { frames, fps, timestamps: None, total_pixels: None, limits, replaced_frames: 0, decode_time })
    }

    /// Sets the minimum number of pixels of a frame: smaller frames are enlarged to it before they are split into
    /// patches. Default: 128 tokens of 784 pixels.
    #[must_use]
    pub fn min_pixels(mut self, pixels: u32) -> Self {
        self.limits.min = Some(pixels);
        self
    }

    /// Sets the maximum number of pixels of all frames together: the frames are shrunk to it, but to no less than 134
    /// tokens each. Default: nine tenths of a context of 128,000 tokens.
    #[must_use]
    pub fn total_pixels(mut self, pixels: u64) -> Self {
        self.total_pixels = Some(pixels);
        self
    }

    /// Sets the maximum number of pixels of a frame, beside its share of [`total_pixels`](Self::total_pixels). Default:
    /// 768 tokens.
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.limits.max = Some(pixels);
        self
    }

    /// The frames in the order of time.
    pub fn frames(&self) -> &[Image] {
        &self.frames
    }

    /// Frames per second.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Time of each frame, in seconds: from the file, or computed from the rate for frames of the caller.
    pub fn timestamps(&self) -> Vec<f64> {
        let even = || (0..self.frames.len()).map(|index| index as f64 / self.fps).collect();
        self.timestamps.clone().unwrap_or_else(even)
    }

    /// Sets the time of each frame, in seconds, for frames that are not evenly spaced.
    ///
    /// # Errors
    /// [`Error::Option`] when their number differs from that of the frames, or they are not finite and ascending.
    pub fn with_timestamps(self, timestamps: Vec<f64>) -> Result<Self> {
        let (count, frames) = (timestamps.len(), self.frames.len());
        if count != frames {
            return Err(Error::option("timestamps", format!("{count} times for {frames} frames")));
        }
        if !timestamps.iter().all(|time| time.is_finite()) || !timestamps.is_sorted() {
            return Err(Error::option("timestamps", "they must be finite numbers, none smaller than the one before"));
        }
        Ok(Self { timestamps: Some(timestamps), ..self })
    }

    /// Number of frames that stand in for one of the file that is missing or damaged; 0 for frames of the caller.
    pub fn replaced_frames(&self) -> usize {
        self.replaced_frames
    }

    pub(crate) fn with_replaced_frames(self, replaced_frames: usize) -> Self {
        Self { replaced_frames, ..self }
    }

    /// Time that reading and decoding took; zero for the caller's pixels.
    pub(crate) fn decode_time(&self) -> Duration {
        self.decode_time
    }

    pub(crate) fn with_decode_time(self, decode_time: Duration) -> Self {
        Self { decode_time, ..self }
    }

    /// Times from the file or the caller; `None` for evenly spaced frames.
    pub(crate) fn explicit_timestamps(&self) -> Option<&[f64]> {
        self.timestamps.as_deref()
    }

    /// Sets all limits.
    pub(crate) fn with_limits(self, total_pixels: Option<u64>, limits: PixelLimits) -> Self {
        Self { total_pixels, limits, ..self }
    }

    /// The same video with at most `max` pixels per frame; its minimum is lowered to that.
    pub(crate) fn limit_pixels(mut self, max: u32) -> Self {
        self.limits = self.limits.limited_to(max);
        self
    }

    /// Maximum pixels of all frames together that the caller set.
    pub(crate) fn budget(&self) -> Option<u64> {
        self.total_pixels
    }

    /// Limits of each frame that the caller set.
    pub(crate) fn limits(&self) -> PixelLimits {
        self.limits
    }
}

/// Returns an error unless `fps` is a frame rate.
pub(crate) fn check_fps(fps: f64) -> Result<()> {
    if fps.is_finite() && fps > 0.0 {
        return Ok(());
    }
    Err(Error::option("fps", format!("{fps} frames per second; it must be finite and above 0")))
}
