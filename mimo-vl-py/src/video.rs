//! `mimo_vl.Video`.

use mimo_vl_core::VideoOptions;
use pyo3::prelude::*;

use crate::call::{CancelToken, call_options, run_call};
use crate::error::{OrRaise, no_pickle};
use crate::image::as_image;
use crate::number::unsigned;
use crate::text;

/// Video frames of equal size.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Video {
    video: mimo_vl_core::Video,
}

impl Video {
    /// The core's video; its clones share the pixels.
    pub(crate) fn core(&self) -> mimo_vl_core::Video {
        self.video.clone()
    }
}

#[pymethods]
impl Video {
    /// Makes a video of `frames`, an iterable of images in any form that a prompt takes, at `fps` frames per second.
    #[staticmethod]
    #[pyo3(signature = (frames, fps, *, min_pixels=None, max_pixels=None))]
    fn from_frames(
        frames: &Bound<'_, PyAny>,
        fps: f64,
        min_pixels: Option<i64>,
        max_pixels: Option<i64>,
    ) -> PyResult<Self> {
        let images = frames.try_iter()?.map(|frame| as_image(&frame?)).collect::<PyResult<Vec<_>>>()?;
        let mut video = mimo_vl_core::Video::from_frames(images, fps).or_raise(frames.py())?;
        if let Some(pixels) = unsigned(frames.py(), "min_pixels", min_pixels)? {
            video = video.min_pixels(pixels);
        }
        if let Some(pixels) = unsigned(frames.py(), "max_pixels", max_pixels)? {
            video = video.max_pixels(pixels);
        }
        Ok(Self { video })
    }

    /// Decodes frames of a video file with ffprobe and ffmpeg, which must be installed: `fps` per second, at least
    /// `min_frames` and at most `max_frames`, or exactly `frames`; from `start` to `end`, in seconds. `total_pixels`
    /// limits all frames together, `max_pixels` each. The nearest frame that can be decoded stands in for one that is
    /// missing or damaged, if no more than the share `max_missing_frames` of the sampled ones is (default 0.2).
    /// `cancel` is a CancelToken, `timeout` the time limit in seconds. `progress` is called with the frames that are
    /// done and their total.
    #[staticmethod]
    #[pyo3(signature = (
        path, *, fps=None, frames=None, min_frames=None, max_frames=None, start=None, end=None, total_pixels=None,
        max_pixels=None, max_missing_frames=None, cancel=None, timeout=None, progress=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn open(
        path: &Bound<'_, PyAny>,
        fps: Option<f64>,
        frames: Option<i64>,
        min_frames: Option<i64>,
        max_frames: Option<i64>,
        start: Option<f64>,
        end: Option<f64>,
        total_pixels: Option<i64>,
        max_pixels: Option<i64>,
        max_missing_frames: Option<f64>,
        cancel: Option<&Bound<'_, CancelToken>>,
        timeout: Option<f64>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = path.py();
        let mut options = VideoOptions::new();
        options.sampling.fps = fps;
        options.sampling.frames = unsigned(py, "frames", frames)?;
        options.sampling.min_frames = unsigned(py, "min_frames", min_frames)?;
        options.sampling.max_frames = unsigned(py, "max_frames", max_frames)?;
        (options.sampling.start, options.sampling.end) = (start, end);
        options.total_pixels = unsigned(py, "total_pixels", total_pixels)?;
        options.max_pixels = unsigned(py, "max_pixels", max_pixels)?;
        options.max_missing_frames = max_missing_frames.unwrap_or(options.max_missing_frames);
        let path = text::path(path)?;
        let video = run_call(py, call_options(py, cancel, timeout)?, progress, move |call| {
            options.call = call;
            mimo_vl_core::Video::open(path, &options)
        })?;
        Ok(Self { video })
    }

    /// Time of each frame in seconds.
    #[getter]
    fn timestamps(&self) -> Vec<f64> {
        self.video.timestamps()
    }

    /// Number of frames that stand in for one of the file that is missing or damaged.
    #[getter]
    fn replaced_frames(&self) -> usize {
        self.video.replaced_frames()
    }

    /// Number of frames.
    fn __len__(&self) -> usize {
        self.video.frames().len()
    }

    /// Frames per second.
    #[getter]
    fn fps(&self) -> f64 {
        self.video.fps()
    }

    fn __repr__(&self) -> String {
        let size = self.video.frames().first().map_or((0, 0), |frame| (frame.width(), frame.height()));
        format!("<mimo_vl.Video {} frames of {}x{} at {} fps>", self.__len__(), size.0, size.1, self.fps())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Video", "send its frames, and build it there")
    }
}
