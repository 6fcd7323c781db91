//! Which frames of a video to look at, and how large they may be. Pure arithmetic, after qwen-vl-utils.

use super::image::Image;
use super::smart_resize::{PixelLimits, target_size};
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};

/// Fewest pixels of a video frame.
const MIN_FRAME_PIXELS: usize = 128 * 28 * 28;
/// Pixels that all frames of a video together may have: nine tenths of a context of 128,000 tokens.
pub(crate) const MAX_VIDEO_PIXELS: f64 = 128_000.0 * 28.0 * 28.0 * 0.9;

/// Two frames share one step in time, so their number is even.
const FRAME_FACTOR: usize = 2;
/// Frames taken from a second of video.
const FPS: f64 = 2.0;
/// Fewest and most frames taken from a video.
const MIN_FRAMES: usize = 4;
const MAX_FRAMES: usize = 768;
/// Most pixels of a frame, however few frames there are.
const FRAME_MAX_PIXELS: f64 = 768.0 * 28.0 * 28.0;
/// What a frame may have however many frames there are: 1.05 times the fewest pixels, cut to a whole number.
const FRAME_FLOOR_PIXELS: f64 = 105_369.0;

/// How to pick frames from a video: by default 2 a second, at least 4 and at most 768.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct FrameSampling {
    /// Exactly this many frames, rounded to even (a half to the multiple of 4); the other counts are then not used.
    pub frames: Option<usize>,
    /// Frames to take from a second of video.
    pub fps: Option<f64>,
    /// Fewest frames, rounded up to even.
    pub min_frames: Option<usize>,
    /// Most frames, rounded down to even; they hold against the fewest, too, as the reference has it.
    pub max_frames: Option<usize>,
    /// Where to start, in seconds from the video's beginning.
    pub start: Option<f64>,
    /// Where to stop, in seconds from the video's beginning.
    pub end: Option<f64>,
}

impl FrameSampling {
    /// The default: 2 frames a second, at least 4 and at most 768, of the whole video.
    pub fn new() -> Self {
        Self::default()
    }

    /// Take exactly this many frames, rounded to even.
    #[must_use]
    pub fn frames(mut self, frames: usize) -> Self {
        self.frames = Some(frames);
        self
    }

    /// Take this many frames from a second of video.
    #[must_use]
    pub fn fps(mut self, fps: f64) -> Self {
        self.fps = Some(fps);
        self
    }

    /// Take at least this many frames.
    #[must_use]
    pub fn min_frames(mut self, frames: usize) -> Self {
        self.min_frames = Some(frames);
        self
    }

    /// Take at most this many frames.
    #[must_use]
    pub fn max_frames(mut self, frames: usize) -> Self {
        self.max_frames = Some(frames);
        self
    }

    /// Start this many seconds after the video's beginning.
    #[must_use]
    pub fn start(mut self, seconds: f64) -> Self {
        self.start = Some(seconds);
        self
    }

    /// Stop this many seconds after the video's beginning.
    #[must_use]
    pub fn end(mut self, seconds: f64) -> Self {
        self.end = Some(seconds);
        self
    }
}

/// The frames that were picked.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampledFrames {
    /// Their numbers in the video, ascending, an even count.
    pub indices: Vec<usize>,
    /// How many of them make one second: the rate that belongs to [`crate::media::Video::from_frames`].
    pub fps: f64,
}

impl SampledFrames {
    /// Seconds between two steps in time.
    pub fn second_per_grid(&self) -> f64 {
        FRAME_FACTOR as f64 / self.fps
    }
}

/// Pick frames, evenly spaced from the first to the last, from a video of `total` frames at `video_fps`.
///
/// # Errors
/// [`Error::Option`] when a rate or a time is not usable, when `start` does not lie before `end`, and when fewer
/// than 2 frames, or more than there are, would be picked.
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

/// Most pixels of each of `frames` frames that share `total_pixels`.
///
/// Half of the frames share each step in time, so a frame gets twice its part; never more than 768 tokens, and
/// never less than 1.05 times the fewest pixels of a frame, even when that breaks the budget.
pub fn frame_pixels(frames: usize, total_pixels: f64) -> f64 {
    let part = total_pixels / frames.max(1) as f64 * FRAME_FACTOR as f64;
    part.clamp(FRAME_FLOOR_PIXELS, FRAME_MAX_PIXELS)
}

fn positive(option: &'static str, value: f64) -> Result<()> {
    if value.is_finite() && value > 0.0 {
        Ok(())
    } else {
        Err(Error::option(option, format!("{value}; it must be finite and above 0")))
    }
}

/// First and last frame of the stretch between `start` and `end`.
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

/// How many frames to pick from `total`.
fn count(total: usize, video_fps: f64, sampling: &FrameSampling) -> Result<usize> {
    let factor = FRAME_FACTOR as f64;
    let wanted = if let Some(frames) = sampling.frames {
        (frames as f64 / factor).round_ties_even() * factor
    } else {
        let fps = sampling.fps.unwrap_or(FPS);
        positive("fps", fps)?;
        let min = sampling.min_frames.unwrap_or(MIN_FRAMES).div_ceil(FRAME_FACTOR).saturating_mul(FRAME_FACTOR);
        let max = sampling.max_frames.unwrap_or(MAX_FRAMES.min(total)) / FRAME_FACTOR * FRAME_FACTOR;
        let frames = (total as f64 / video_fps * fps).max(min as f64).min(max as f64).min(total as f64);
        (frames / factor).floor() * factor
    };
    if wanted < factor || wanted > total as f64 {
        return Err(Error::option(
            "frames",
            format!("{wanted} frames were asked of {total}; from {FRAME_FACTOR} to all of them can be taken"),
        ));
    }
    Ok(wanted as usize)
}

/// Element `index` of `count` evenly spaced frames, rounded, a half to even.
///
/// In 32-bit floats from whichever end is nearer, as torch's `linspace`: in long videos 64 bits pick other frames.
fn spaced(first: usize, last: usize, count: usize, index: usize) -> usize {
    let step = (last as f32 - first as f32) / (count - 1) as f32;
    let at = if index < count / 2 {
        first as f32 + step * index as f32
    } else {
        last as f32 - step * (count - 1 - index) as f32
    };
    at.round_ties_even() as usize
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
    let most = frame_pixels(count, total.map_or(MAX_VIDEO_PIXELS, |total| total as f64));
    let max = max.map(|max| max.min(most as u32));
    let limits = PixelLimits::new(min, max, MIN_FRAME_PIXELS, most);
    limits
        .and_then(|limits| target_size(first.height() as usize, first.width() as usize, config.factor(), limits))
        .map_err(|reason| Error::image(format!("video of frames like {}", first.name()), reason))
}
