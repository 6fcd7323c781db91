//! Video files, read by the installed `ffprobe` and `ffmpeg`.
//!
//! Frames are sampled as in the model's training and evaluation (see [`FrameSampling`]), by index in the order of their
//! presentation times, so that variable frame rates and streams that start late are sampled correctly. The rotation of
//! the file is applied, and each frame is resized while it is decoded, so that long videos take little memory.

mod decode;
mod probe;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Instant;

use decode::decode;
use probe::probe;

use crate::cancel::{CallOptions, Stage, TaskControl, call_setters};
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Bicubic, FrameSampling, Image, PixelLimits, Video, check_fps, frame_size, resize, sample_frames};

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
    /// has no video, is damaged or ends early; [`Error::Option`] when the sampling does not fit the video; and
    /// [`Error::Cancelled`] and [`Error::Timeout`] by the call options.
    pub fn open(path: impl AsRef<Path>, options: &VideoOptions) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        let metadata = fs::metadata(path).map_err(|error| Error::io(path, error))?;
        if !metadata.is_file() {
            return Err(Error::image(path.display().to_string(), "not a file"));
        }
        let _span = tracing::info_span!("video", path = %path.display()).entered();
        let control = options.call.start();
        let stream = probe(path, &options.ffprobe, &control)?;
        let sampled = sample_frames(stream.times.len(), stream.fps, &options.sampling)?;
        let mut resizer = FrameResizer::new(sampled.indices.len(), options, &control);
        decode(path, &options.ffmpeg, &sampled.indices, &control, |frame| resizer.push(&frame))?;
        let timestamps = sampled.indices.iter().map(|&index| stream.times[index]).collect();
        Ok(resizer.finish(sampled.fps)?.with_timestamps(timestamps)?.with_decode_time(start.elapsed()))
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
