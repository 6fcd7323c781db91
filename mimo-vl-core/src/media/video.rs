//! A video of the prompt: frames that the caller has already picked, and how fast they follow each other.

use std::time::Duration;

use super::image::Image;
use crate::error::{Error, Result};

/// Frames of equal size, a fixed time apart. Clones share the pixels.
#[derive(Debug, Clone)]
pub struct Video {
    frames: Vec<Image>,
    fps: f64,
    times: Option<Vec<f64>>,
    total_pixels: Option<u64>,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    /// How long reading and decoding took.
    decoding: Duration,
}

impl Video {
    /// A video of `frames`, `fps` of which make one second.
    ///
    /// `fps` is the rate of the frames given, not of the file that they were picked from. Two frames share one
    /// step in time; after an odd number the last is repeated. One frame is allowed. Limits of pixels set on the
    /// frames themselves are not used: set them on the video.
    ///
    /// # Errors
    /// [`Error::Image`] when there is no frame or a frame differs in size from the first; [`Error::Option`] when
    /// `fps` is not a finite number above 0.
    pub fn from_frames(frames: Vec<Image>, fps: f64) -> Result<Self> {
        check_fps(fps)?;
        let Some(first) = frames.first() else {
            return Err(Error::image("video", "it has no frames; at least 1 is needed"));
        };
        let decoding = frames.iter().map(Image::decoding).sum();
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
        Ok(Self { frames, fps, times: None, total_pixels: None, min_pixels: None, max_pixels: None, decoding })
    }

    /// Enlarge every frame to at least `pixels` pixels before it is cut into patches.
    #[must_use]
    pub fn min_pixels(mut self, pixels: u32) -> Self {
        self.min_pixels = Some(pixels);
        self
    }

    /// Shrink the frames so that all together have at most `pixels` pixels, but each at least 134 tokens. Without it they may
    /// have nine tenths of a context of 128,000 tokens.
    #[must_use]
    pub fn total_pixels(mut self, pixels: u64) -> Self {
        self.total_pixels = Some(pixels);
        self
    }

    /// Shrink every frame to at most `pixels` pixels, and to its part of all pixels.
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = Some(pixels);
        self
    }

    /// The frames in the order of time.
    pub fn frames(&self) -> &[Image] {
        &self.frames
    }

    /// How many of the frames make one second.
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// When each frame is shown, in seconds: as the file says, or as the rate says for frames that the caller gave.
    pub fn timestamps(&self) -> Vec<f64> {
        let even = || (0..self.frames.len()).map(|index| index as f64 / self.fps).collect();
        self.times.clone().unwrap_or_else(even)
    }

    /// With the time at which each frame is shown, in seconds, where they are not evenly spaced.
    ///
    /// # Errors
    /// [`Error::Option`] when they are not as many as frames, or not finite numbers that ascend.
    pub fn timed(self, times: Vec<f64>) -> Result<Self> {
        let (given, frames) = (times.len(), self.frames.len());
        if given != frames {
            return Err(Error::option("times", format!("{given} times for {frames} frames")));
        }
        if !times.iter().all(|time| time.is_finite()) || !times.is_sorted() {
            return Err(Error::option("times", "they must be finite numbers, none smaller than the one before"));
        }
        Ok(Self { times: Some(times), ..self })
    }

    /// How long reading and decoding took; zero for frames whose pixels the caller gave.
    pub(crate) fn decoding(&self) -> Duration {
        self.decoding
    }

    /// With the time that reading and decoding took.
    pub(crate) fn decoded_in(self, decoding: Duration) -> Self {
        Self { decoding, ..self }
    }

    /// The times that the file gave.
    pub(crate) fn own_times(&self) -> Option<&[f64]> {
        self.times.as_deref()
    }

    /// With these limits of all frames and of each.
    pub(crate) fn with_limits(self, total_pixels: Option<u64>, max_pixels: Option<u32>) -> Self {
        Self { total_pixels, max_pixels, ..self }
    }

    /// With the times and the fewest pixels of a frame that it had.
    pub(crate) fn with_times(self, times: Option<Vec<f64>>, min_pixels: Option<u32>) -> Self {
        Self { times, min_pixels, ..self }
    }

    /// At most `pixels` pixels, whatever the least was.
    pub(crate) fn at_most(mut self, pixels: u32) -> Self {
        self.min_pixels = self.min_pixels.map(|least| least.min(pixels));
        self.max_pixels(pixels)
    }

    /// The limit of all frames that the caller set.
    pub(crate) fn budget(&self) -> Option<u64> {
        self.total_pixels
    }

    /// The limits that the caller set for every frame: fewest and most pixels.
    pub(crate) fn limits(&self) -> (Option<u32>, Option<u32>) {
        (self.min_pixels, self.max_pixels)
    }
}

/// Pass when it is a rate of frames.
pub(crate) fn check_fps(fps: f64) -> Result<()> {
    if fps.is_finite() && fps > 0.0 {
        return Ok(());
    }
    Err(Error::option("fps", format!("{fps} frames per second; it must be finite and above 0")))
}
