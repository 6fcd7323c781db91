//! Video files, read by the installed `ffprobe` and `ffmpeg`.
//!
//! Frames are sampled as in the model's training and evaluation (see [`FrameSampling`]), by index in the order of their
//! presentation times, so that variable frame rates and streams that start late are sampled correctly. The rotation of
//! the file is applied, and each frame is resized while it is decoded, so that long videos take little memory.

mod decode;
mod probe;
mod replace;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Instant;

use decode::{decode, frame_times, video_error};
use probe::probe;
use replace::{Choice, choose, match_times};

use crate::cancel::{CallOptions, Stage, TaskControl, call_setters};
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{
    Bicubic, FrameSampling, Image, PixelLimits, SampledFrames, Video, check_fps, frame_size, resize, sample_frames,
};

/// Options for reading a video file.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Choice of frames. Default: 2 per second of the entire video, at least 4 and at most 768.
    pub sampling: FrameSampling,
    /// Maximum pixels of all frames together; each frame keeps at least 134 tokens. Default: nine tenths of a context
    /// of 128,000 tokens.
    pub total_pixels: Option<u64>,
    /// Maximum pixels of a frame. Default: its share of `total_pixels`, at most 768 tokens.
    pub max_pixels: Option<u32>,
    /// Largest share of the sampled frames that may be missing or damaged, from 0 to 1. The nearest frame that can be
    /// decoded stands in for each of them. Default 0.2.
    pub max_missing_frames: f64,
    /// Program that decodes. Default: `ffmpeg`, from `PATH`.
    pub ffmpeg: OsString,
    /// Program that reads the streams of a file. Default: `ffprobe`, from `PATH`.
    pub ffprobe: OsString,
    /// Cancellation, time limit and progress, in frames, of each call with these options.
    pub call: CallOptions,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            sampling: FrameSampling::new(),
            total_pixels: None,
            max_pixels: None,
            max_missing_frames: 0.2,
            ffmpeg: "ffmpeg".into(),
            ffprobe: "ffprobe".into(),
            call: CallOptions::new(),
        }
    }
}

impl VideoOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`VideoOptions::sampling`](#structfield.sampling).
    #[must_use]
    pub fn sampling(mut self, sampling: FrameSampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Sets [`VideoOptions::total_pixels`](#structfield.total_pixels).
    #[must_use]
    pub fn total_pixels(mut self, pixels: u64) -> Self {
        self.total_pixels = Some(pixels);
        self
    }

    /// Sets [`VideoOptions::max_pixels`](#structfield.max_pixels).
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = Some(pixels);
        self
    }

    /// Sets [`VideoOptions::max_missing_frames`](#structfield.max_missing_frames).
    #[must_use]
    pub fn max_missing_frames(mut self, share: f64) -> Self {
        self.max_missing_frames = share;
        self
    }

    /// Sets [`VideoOptions::ffmpeg`](#structfield.ffmpeg).
    #[must_use]
    pub fn ffmpeg(mut self, program: impl Into<OsString>) -> Self {
        self.ffmpeg = program.into();
        self
    }

    /// Sets [`VideoOptions::ffprobe`](#structfield.ffprobe).
    #[must_use]
    pub fn ffprobe(mut self, program: impl Into<OsString>) -> Self {
        self.ffprobe = program.into();
        self
    }

    call_setters!();
}

impl Video {
    /// Reads sampled frames of a video file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file does not exist; [`Error::Image`] when `ffmpeg` or `ffprobe` is missing, or the file
    /// has no video, or lacks more of the sampled frames than [`VideoOptions::max_missing_frames`]; [`Error::Option`]
    /// when the sampling does not fit the video or `max_missing_frames` is not from 0 to 1; and [`Error::Cancelled`]
    /// and [`Error::Timeout`] by the call options.
    pub fn open(path: impl AsRef<Path>, options: &VideoOptions) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
        if !metadata.is_file() {
            return Err(Error::image(path.display().to_string(), "not a file"));
        }
        let _span = tracing::info_span!("video", path = %path.display()).entered();
        let share = options.max_missing_frames;
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::option("max_missing_frames", format!("{share}; it must be from 0 to 1")));
        }
        let control = options.call.start();
        let stream = probe(path, &options.ffprobe, &control)?;
        let sampled = match (stream.times.len(), options.sampling.frames) {
            // The sampling of the reference needs two frames; its processor takes one, and shows it twice.
            (1, None | Some(1 | 2)) => {
                // Two frames are sampled to check the options.
                sample_frames(2, stream.fps, &options.sampling)?;
                SampledFrames { indices: vec![0], fps: stream.fps }
            }
            (total, _) => sample_frames(total, stream.fps, &options.sampling)?,
        };
        let count = sampled.indices.len();
        if count > MAX_FILE_FRAMES {
            return Err(Error::option("frames", format!("{count} frames of a file; at most {MAX_FILE_FRAMES}")));
        }
        let mut resizer = FrameResizer::new(count, options, &control);
        let mut is_refused = false;
        let decoded = decode(path, &options.ffmpeg, &sampled.indices, &control, |frame| {
            let pushed = resizer.push(&frame);
            is_refused = pushed.is_err();
            pushed
        });
        let decoded = match decoded {
            Err(error) if is_refused || matches!(error, Error::Cancelled | Error::Timeout) => return Err(error),
            decoded => decoded,
        };
        let complete = decoded.as_ref().is_ok_and(|times| match_times(&stream.times, &sampled.indices, times));
        let mut choice = Choice::all(&stream.times, &sampled.indices);
        if !complete || resizer.frames.len() < count {
            // Frames are missing, or their times are not those of the packets.
            let times = frame_times(path, &options.ffmpeg, &control)?;
            choice = choose(&stream.times, &sampled.indices, &times).ok_or_else(|| {
                decoded.err().unwrap_or_else(|| video_error(path, "none of its frames can be decoded"))
            })?;
            if choice.replaced as f64 > options.max_missing_frames * count as f64 {
                let replaced = choice.replaced;
                return Err(video_error(path, &format!("{replaced} of the {count} sampled frames cannot be decoded")));
            }
            resizer = FrameResizer::new(count, options, &control);
            let mut repeats = choice.repeats().into_iter();
            decode(path, &options.ffmpeg, &choice.distinct(), &control, |frame| {
                (0..repeats.next().unwrap_or(1)).try_for_each(|_| resizer.push(&frame))
            })?;
        }
        let video = resizer.finish(sampled.fps)?.with_timestamps(choice.times)?;
        Ok(video.with_replaced_frames(choice.replaced).with_decode_time(start.elapsed()))
    }

    /// Creates a video from the frames of the caller's decoder. Each frame is resized as it arrives, so that long
    /// videos take little memory.
    ///
    /// `count` is the number of frames, and `fps` their rate in frames per second. [`sample_frames`] chooses frames as
    /// in the model's evaluation; [`with_timestamps`](Self::with_timestamps) sets times that are not evenly spaced.
    /// Only the pixel limits and the call options of `options` are used.
    ///
    /// # Errors
    /// The first error of the iterator; [`Error::Image`] when it yields fewer or more frames, or frames of another size
    /// than the first; [`Error::Option`] when `fps` is not a number above 0, or `count` is 0 or above a million;
    /// [`Error::Cancelled`] and [`Error::Timeout`] by the call options.
    pub fn from_decoder(
        frames: impl IntoIterator<Item = Result<Image>>,
        count: usize,
        fps: f64,
        options: &VideoOptions,
    ) -> Result<Self> {
        if !(1..=MAX_DECODER_FRAMES).contains(&count) {
            return Err(Error::option("count", format!("{count} frames; it must be from 1 to {MAX_DECODER_FRAMES}")));
        }
        check_fps(fps)?;
        let control = options.call.start();
        let mut resizer = FrameResizer::new(count, options, &control);
        control.step(Stage::Decode, 0, count as u64)?;
        for frame in frames {
            resizer.push(&frame?)?;
        }
        resizer.finish(fps)
    }
}

/// Maximum number of frames of a file. Their indices are an argument of ffmpeg, whose length is limited; no context has
/// room for more frames.
const MAX_FILE_FRAMES: usize = 2048;
/// Maximum number of frames of the caller's decoder.
const MAX_DECODER_FRAMES: usize = 1_000_000;

/// Resizes frames to the size at which the model sees them, as they arrive.
struct FrameResizer<'a> {
    frames: Vec<Image>,
    /// Number of frames that are expected.
    count: usize,
    options: &'a VideoOptions,
    control: &'a TaskControl,
    sizes: Option<FrameSizes>,
}

/// Width and height of all frames.
#[derive(Clone, Copy)]
struct FrameSizes {
    decoded: (u32, u32),
    resized: (u32, u32),
}

impl<'a> FrameResizer<'a> {
    fn new(count: usize, options: &'a VideoOptions, control: &'a TaskControl) -> Self {
        Self { frames: Vec::new(), count, options, control, sizes: None }
    }

    fn push(&mut self, frame: &Image) -> Result<()> {
        let size = (frame.width(), frame.height());
        let sizes = match self.sizes {
            Some(sizes) => sizes,
            None => *self.sizes.insert(FrameSizes { decoded: size, resized: self.target_size(frame)? }),
        };
        let invalid =
            |reason: String| Err(Error::image(format!("video frame {} ({})", self.frames.len(), frame.name()), reason));
        if self.frames.len() == self.count {
            return invalid(format!("{} frames were announced, and more come", self.count));
        }
        if size != sizes.decoded {
            let first = sizes.decoded;
            return invalid(format!("{}x{} pixels, and the first frame has {}x{}", size.0, size.1, first.0, first.1));
        }
        let (width, height) = sizes.resized;
        let (from, to) = ((size.1 as usize, size.0 as usize), (height as usize, width as usize));
        let pixels = resize(frame.pixels(), from, to, Bicubic::Torchvision)?.into_owned();
        self.frames.push(frame.with_size(width, height, pixels));
        self.control.step(Stage::Decode, self.frames.len() as u64, self.count as u64)
    }

    fn limits(&self) -> PixelLimits {
        PixelLimits { min: None, max: self.options.max_pixels }
    }

    /// Width and height at which the model sees frames like this one.
    fn target_size(&self, frame: &Image) -> Result<(u32, u32)> {
        let (total, config) = (self.options.total_pixels, PreprocessConfig::default());
        let (height, width) = frame_size(frame, self.count, self.limits(), total, &config)?;
        Ok((width as u32, height as u32))
    }

    fn finish(self, fps: f64) -> Result<Video> {
        let (found, count, limits) = (self.frames.len(), self.count, self.limits());
        if found < count {
            return Err(Error::image("video", format!("it ends early: {found} of its {count} frames are there")));
        }
        Ok(Video::from_frames(self.frames, fps)?.with_limits(self.options.total_pixels, limits))
    }
}
