//! Video files: the frames that the model is to see, read by the user's own `ffprobe` and `ffmpeg`.
//!
//! Frames are picked as the model was trained and evaluated (see [`FrameSampling`]), by number from the list of all frames in
//! the order of their times, so that variable rates and streams that start late do no harm. They are turned as the file
//! says, and made as small as the model will see them while they come in, so that long videos take little memory.

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
use crate::media::{Bicubic, FrameSampling, Image, Video, check_fps, resize, sample_frames};

/// How a video file is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Which frames are taken. Default: 2 a second, at least 4 and at most 768, of the whole video.
    pub sampling: FrameSampling,
    /// Most pixels that all frames together may have; a frame keeps at least 134 tokens however many there are. Default: as
    /// many as nine tenths of a context of 128,000 tokens.
    pub total_pixels: Option<u64>,
    /// Most pixels of a frame. Default: its part of `total_pixels`, at most 768 tokens.
    pub max_pixels: Option<u32>,
    /// The program that decodes. Default: `ffmpeg`, looked for in `PATH`.
    pub ffmpeg: OsString,
    /// The program that tells what a file holds. Default: `ffprobe`, looked for in `PATH`.
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

    /// Set [`VideoOptions::sampling`](#structfield.sampling).
    #[must_use]
    pub fn sampling(mut self, sampling: FrameSampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// Set [`VideoOptions::total_pixels`](#structfield.total_pixels).
    #[must_use]
    pub fn total_pixels(mut self, pixels: u64) -> Self {
        self.total_pixels = Some(pixels);
        self
    }

    /// Set [`VideoOptions::max_pixels`](#structfield.max_pixels).
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = Some(pixels);
        self
    }

    /// Set [`VideoOptions::ffmpeg`](#structfield.ffmpeg).
    #[must_use]
    pub fn ffmpeg(mut self, program: impl Into<OsString>) -> Self {
        self.ffmpeg = program.into();
        self
    }

    /// Set [`VideoOptions::ffprobe`](#structfield.ffprobe).
    #[must_use]
    pub fn ffprobe(mut self, program: impl Into<OsString>) -> Self {
        self.ffprobe = program.into();
        self
    }

    call_setters!();
}

impl Video {
    /// Read the frames of a video file that the model is to see.
    ///
    /// # Errors
    /// [`Error::Io`] when there is no such file, [`Error::Image`] when `ffmpeg` or `ffprobe` is missing, or the file has no
    /// video, is damaged or ends early, [`Error::Option`] when the sampling does not fit the video,
    /// [`Error::Cancelled`] and [`Error::Timeout`] as the options of the call say.
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
        let mut shrinking = Shrinking::new(sampled.indices.len(), options, &control);
        decode(path, &options.ffmpeg, &sampled.indices, &control, |frame| shrinking.push(&frame))?;
        let times = sampled.indices.iter().map(|&index| stream.times[index]).collect();
        Ok(shrinking.video(sampled.fps)?.with_times(Some(times), None).decoded_in(start.elapsed()))
    }

    /// The frames that a decoder of the caller's gives, made as small as the model will see them while they come in, so that
    /// long videos take little memory.
    ///
    /// `count` is how many will come, and `fps` how many of them make one second. [`sample_frames`] picks them as the model was
    /// evaluated; [`timed`](Self::timed) adds times that are not evenly spaced. Of the options, those on pixels count.
    ///
    /// # Errors
    /// Those of the iterator, which end it; [`Error::Image`] when it gives fewer or more frames, or frames of another size
    /// than the first; [`Error::Option`] for a rate that is no number above 0, no frame or more than a million;
    /// [`Error::Cancelled`], [`Error::Timeout`].
    pub fn from_decoder(
        frames: impl IntoIterator<Item = Result<Image>>,
        count: usize,
        fps: f64,
        options: &VideoOptions,
    ) -> Result<Self> {
        if !(1..=MOST_FRAMES).contains(&count) {
            return Err(Error::option("count", format!("{count} frames; from 1 to {MOST_FRAMES} can be given")));
        }
        check_fps(fps)?;
        let control = options.call.start();
        let mut shrinking = Shrinking::new(count, options, &control);
        control.step(Stage::Decode, 0, count as u64)?;
        for frame in frames {
            shrinking.push(&frame?)?;
        }
        shrinking.video(fps)
    }
}

/// Most frames that a decoder can give.
const MOST_FRAMES: usize = 1_000_000;

/// Frames that are made as small as the model will see them.
struct Shrinking<'a> {
    frames: Vec<Image>,
    count: usize,
    options: &'a VideoOptions,
    control: &'a TaskControl,
    /// Width and height of the first frame, and as the model sees it.
    size: Option<[(u32, u32); 2]>,
}

impl<'a> Shrinking<'a> {
    fn new(count: usize, options: &'a VideoOptions, control: &'a TaskControl) -> Self {
        Self { frames: Vec::new(), count, options, control, size: None }
    }

    fn push(&mut self, frame: &Image) -> Result<()> {
        let own = (frame.width(), frame.height());
        let [first, (width, height)] = match self.size {
            Some(sizes) => sizes,
            None => *self.size.insert([own, self.target(frame)?]),
        };
        let refused =
            |reason: String| Err(Error::image(format!("video frame {} ({})", self.frames.len(), frame.name()), reason));
        if self.frames.len() == self.count {
            return refused(format!("{} frames were announced, and more come", self.count));
        }
        if own != first {
            return refused(format!("{}x{} pixels, and the first frame has {}x{}", own.0, own.1, first.0, first.1));
        }
        let (from, to) = ((own.1 as usize, own.0 as usize), (height as usize, width as usize));
        let pixels = resize(frame.pixels(), from, to, Bicubic::Torchvision)?.into_owned();
        self.frames.push(frame.with_size(width, height, pixels));
        self.control.step(Stage::Decode, self.frames.len() as u64, self.count as u64)
    }

    /// The width and height at which the model sees frames like this one.
    fn target(&self, frame: &Image) -> Result<(u32, u32)> {
        let (limits, config) = ((None, self.options.max_pixels), PreprocessConfig::default());
        let (height, width) = super::frames::frame_size(frame, self.count, limits, self.options.total_pixels, &config)?;
        Ok((width as u32, height as u32))
    }

    fn video(self, fps: f64) -> Result<Video> {
        let (there, count) = (self.frames.len(), self.count);
        if there < count {
            return Err(Error::image("video", format!("it ends early: {there} of its {count} frames are there")));
        }
        let video = Video::from_frames(self.frames, fps)?;
        Ok(video.with_limits(self.options.total_pixels, self.options.max_pixels))
    }
}
