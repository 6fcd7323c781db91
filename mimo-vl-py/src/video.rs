//! `mimo_vl.Video`.

use mimo_vl_core::prompt;
use pyo3::prelude::*;

use crate::error::{OrRaise, no_pickle};
use crate::image::as_image;
use crate::prompt::unsigned;

/// A video given as frames of equal size, a fixed time apart.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Video {
    video: prompt::Video,
}

impl Video {
    /// The core's video; its clones share the pixels.
    pub(crate) fn core(&self) -> prompt::Video {
        self.video.clone()
    }
}

#[pymethods]
impl Video {
    /// A video of `frames` (an iterable of images in any form that a prompt takes), `fps` of which make one second.
    #[staticmethod]
    #[pyo3(signature = (frames, fps, *, min_pixels=None, max_pixels=None))]
    fn from_frames(
        frames: &Bound<'_, PyAny>,
        fps: f64,
        min_pixels: Option<i64>,
        max_pixels: Option<i64>,
    ) -> PyResult<Self> {
        let images = frames.try_iter()?.map(|frame| as_image(&frame?)).collect::<PyResult<Vec<_>>>()?;
        let mut video = prompt::Video::from_frames(images, fps).or_raise(frames.py())?;
        if let Some(pixels) = unsigned(frames.py(), "min_pixels", min_pixels)? {
            video = video.min_pixels(pixels);
        }
        if let Some(pixels) = unsigned(frames.py(), "max_pixels", max_pixels)? {
            video = video.max_pixels(pixels);
        }
        Ok(Self { video })
    }

    /// How many frames it has.
    fn __len__(&self) -> usize {
        self.video.frames().len()
    }

    /// How many of the frames make one second.
    #[getter]
    fn fps(&self) -> f64 {
        self.video.fps()
    }

    fn __repr__(&self) -> String {
        let size = self.video.frames().first().map_or((0, 0), |frame| (frame.width(), frame.height()));
        format!("<mimo_vl.Video {} frames of {}x{}, {} a second>", self.__len__(), size.0, size.1, self.fps())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Video", "send its frames, and build it there")
    }
}
