//! Frame sampling: the frames that are taken from a video, and their maximum size. The arithmetic of qwen-vl-utils.

use super::image::Image;
use super::pixel_limits::PixelLimits;
use super::smart_resize::target_size;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};

/// Default minimum of pixels of a video frame.
const MIN_FRAME_PIXELS: usize = 128 * 28 * 28;
/// Default maximum of pixels of all frames of a video together: nine tenths of a context of 128,000 tokens.
pub(crate) const MAX_VIDEO_PIXELS: f64 = 128_000.0 * 28.0 * 28.0 * 0.9;

/// Frames per step in time; the number of frames is a multiple of it.
const FRAME_FACTOR: usize = 2;
/// Default frames per second of video.
const FPS: f64 = 2.0;
/// Default minimum of frames.
const MIN_FRAMES: usize = 4;
/// Default maximum of frames.
const MAX_FRAMES: usize = 768;
/// Maximum pixels of a frame, however few frames there are.
const MAX_FRAME_PIXELS: f64 = 768.0 * 28.0 * 28.0;
/// Maximum pixels of a frame, however many frames there are: 1.05 times the default minimum, truncated.
const MIN_FRAME_BUDGET: f64 = 105_369.0;

/// Choice of frames of a video: by default 2 per second, at least 4 and at most 768.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FrameSampling {
    /// Number of frames, rounded to even (a half to the multiple of 4). The other counts are then ignored. Default
    /// `None`.
    pub frames: Option<usize>,
    /// Frames per second of video, above 0. Default 2.
    pub fps: Option<f64>,
    /// Minimum number of frames, rounded up to even. Default 4.
    pub min_frames: Option<usize>,
    /// Maximum number of frames, rounded down to even. It takes precedence over the minimum, as in the reference.
    /// Default 768.
    pub max_frames: Option<usize>,
    /// Start of the sampled range, in seconds from the start of the video. Default 0.
    pub start: Option<f64>,
    /// End of the sampled range, in seconds from the start of the video. Default: the end of the video.
    pub end: Option<f64>,
}

impl FrameSampling {
    /// The defaults: 2 frames per second of the entire video, at least 4 and at most 768.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`FrameSampling::frames`](#structfield.frames).
    #[must_use]
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = Some(frames);
        self
    }

    /// Sets [`FrameSampling::fps`](#structfield.fps).
    #[must_use]
    pub fn fps(mut self, fps: f64) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Sets [`FrameSampling::min_frames`](#structfield.min_frames).
    #[must_use]
    pub fn min_frames(mut self, frames: usize) -> Self {
        self.min_frames = Some(frames);
        self
    }

    /// Sets [`FrameSampling::max_frames`](#structfield.max_frames).
    #[must_use]
    pub fn max_frames(mut self, frames: usize) -> Self {
        self.max_frames = Some(frames);
        self
    }

    /// Sets [`FrameSampling::start`](#structfield.start).
    #[must_use]
    pub fn start(mut self, seconds: f64) -> Self {
        self.start = Some(seconds);
        self
    }

    /// Sets [`FrameSampling::end`](#structfield.end).
    #[must_use]
    pub fn end(mut self, seconds: f64) -> Self {
        self.end = Some(seconds);
        self
    }
}

/// The frames that [`sample_frames`] chose.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampledFrames {
    /// Indices of the frames in the video, from 0, ascending, an even number of them.
    pub indices: Vec<usize>,
    /// Rate of the chosen frames, in frames per second: the argument of
    /// [`Video::from_frames`](crate::Video::from_frames).
    pub fps: f64,
}

impl SampledFrames {
    /// Seconds per step in time, of two frames.
    pub fn second_per_grid(&self) -> f64 {
        FRAME_FACTOR as f64 / self.fps
    }
}

/// Chooses frames, evenly spaced from the first to the last, of a video of `total` frames at `video_fps` frames per
/// second.
///
/// # Errors
/// [`Error::Option`] when a rate or a time is invalid, `start` does not lie before `end`, or the number of frames is
/// below 2 or above `total`.
pub fn sample_frames(total: usize, video_fps: f64, sampling: &FrameSampling) -> Result<SampledFrames> {
    positive("video_fps", video_fps)?;
    let (first, last) = range(total, video_fps, sampling)?;
    let total = last - first + 1;
    let count = count(total, video_fps, sampling)?;
    Ok(SampledFrames {
        indices: (0..count).map(|index| spaced(first, last, count, index)).collect(),
        fps: count as f64 / total as f64 * video_fps,
    })
}

/// Returns the maximum number of pixels of each of `frames` frames that share `total_pixels`.
///
/// Two frames share each step in time, so a frame gets twice its share. The result is at most 768 tokens, and at least
/// 1.05 times the default minimum of a frame, even if that exceeds the budget.
pub fn frame_pixels(frames: usize, total_pixels: f64) -> f64 {
    let share = total_pixels / frames.max(1) as f64 * FRAME_FACTOR as f64;
    share.clamp(MIN_FRAME_BUDGET, MAX_FRAME_PIXELS)
}

fn positive(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(Error::option(option, format!("{value}; it must be finite and above 0")))
    }
}

/// First and last frame of the range between `start` and `end`.
fn range(total: usize, video_fps: f64, sampling: &FrameSampling) -> Result<(usize, usize)> {
    let Some(last) = total.checked_sub(1) else {
        return Err(Error::option("total", "the video has no frames"));
    };
    let duration = total as f64 / video_fps;
    let at = |option, seconds: f64| {
        if seconds.is_nan() {
            return Err(Error::option(option, "not a number of seconds"));
        }
        Ok(seconds.clamp(0.0, duration) * video_fps)
    };
    let start = sampling.start.map_or(Ok(0.0), |seconds| at("start", seconds))?.ceil() as usize;
    let end = match sampling.end {
        Some(seconds) => (at("end", seconds)?.floor() as usize).min(last),
        None => last,
    };
    if (sampling.start.is_some() || sampling.end.is_some()) && start >= end {
        return Err(Error::option(
            "start",
            format!("it falls on frame {start}, and the end on frame {end} of {total}; it must lie before the end"),
        ));
    }
    Ok((start, end))
}

/// Number of frames to choose from `total`.
fn count(total: usize, video_fps: f64, sampling: &FrameSampling) -> Result<usize> {
    let factor = FRAME_FACTOR as f64;
    let requested = if let Some(frames) = sampling.frames {
        (frames as f64 / factor).round_ties_even() * factor
    } else {
        let fps = sampling.fps.unwrap_or(FPS);
        positive("fps", fps)?;
        let min = sampling.min_frames.unwrap_or(MIN_FRAMES).div_ceil(FRAME_FACTOR).saturating_mul(FRAME_FACTOR);
        let max = sampling.max_frames.unwrap_or(MAX_FRAMES.min(total)) / FRAME_FACTOR * FRAME_FACTOR;
        let frames = (total as f64 / video_fps * fps).max(min as f64).min(max as f64).min(total as f64);
        (frames / factor).floor() * factor
    };
    if requested < factor || requested > total as f64 {
        return Err(Error::option(
            "frames",
            format!("{requested} frames of {total}; it must lie between {FRAME_FACTOR} and {total}"),
        ));
    }
    Ok(requested as usize)
}

/// Element `index` of `count` evenly spaced frames, rounded, a half to even.
///
/// Computed in 32-bit floats from the nearer end, as `torch.linspace` does: in long videos 64 bits give other frames.
fn spaced(first: usize, last: usize, count: usize, index: usize) -> usize {
    let step = (last as f32 - first as f32) / (count - 1) as f32;
    let at = if index < count / 2 {
        first as f32 + step * index as f32
    } else {
        last as f32 - step * (count - 1 - index) as f32
    };
    at.round_ties_even() as usize
}

/// Returns the height and width to which each of `count` frames like `first` is resized, with the caller's limits of a
/// frame, and of all frames together.
///
/// # Errors
/// [`Error::Image`] when the sides differ by more than a factor of 200, or the limits contradict each other.
pub(crate) fn frame_size(
    first: &Image,
    count: usize,
    limits: PixelLimits,
    total_pixels: Option<u64>,
    config: &PreprocessConfig,
) -> Result<(usize, usize)> {
    let count = count.next_multiple_of(config.temporal_patch_size);
    let share = frame_pixels(count, total_pixels.map_or(MAX_VIDEO_PIXELS, |total| total as f64));
    let limits = PixelLimits { max: limits.max.map(|max| max.min(share as u32)), ..limits };
    let range = limits.resolve(MIN_FRAME_PIXELS, share);
    range
        .and_then(|range| target_size(first.height() as usize, first.width() as usize, config.factor(), range))
        .map_err(|reason| Error::image(format!("video of frames like {}", first.name()), reason))
}
