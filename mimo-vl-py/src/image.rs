//! `mimo_vl.Image`.

use mimo_vl_core::Error;
use mimo_vl_core::expert::{self, Bicubic, PreprocessConfig, RegionParser, image_layout};
use mimo_vl_core::gui::zoom_crop;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::{OrRaise, no_pickle};
use crate::pixels;
use crate::prompt::unsigned;

/// Most pixels of a side.
const LONGEST: u32 = 16_384;

/// A decoded picture: 8-bit RGB, as a viewer would show it.
///
/// Files (png, jpeg, gif, webp, bmp, tiff) are turned by their EXIF orientation. PIL images and arrays are taken as
/// they are. Transparency is laid on white. `min_pixels` and `max_pixels` bound the size at which the model sees the
/// picture; one token covers 28x28 = 784 pixels.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Image {
    image: mimo_vl_core::Image,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
}

impl Image {
    fn new(
        py: Python<'_>,
        mut image: mimo_vl_core::Image,
        min_pixels: Option<i64>,
        max_pixels: Option<i64>,
    ) -> PyResult<Self> {
        let min_pixels = unsigned(py, "min_pixels", min_pixels)?;
        let max_pixels = unsigned(py, "max_pixels", max_pixels)?;
        if let Some(pixels) = min_pixels {
            image = image.min_pixels(pixels);
        }
        if let Some(pixels) = max_pixels {
            image = image.max_pixels(pixels);
        }
        Ok(Self { image, min_pixels, max_pixels })
    }

    /// A picture of the core's.
    pub(crate) fn of(image: mimo_vl_core::Image) -> Self {
        Self { image, min_pixels: None, max_pixels: None }
    }

    /// The core's picture; its clones share the pixels.
    pub(crate) fn core(&self) -> mimo_vl_core::Image {
        self.image.clone()
    }
}

#[pymethods]
impl Image {
    /// Open and decode the image file at `path`, a str or a path object.
    #[staticmethod]
    #[pyo3(signature = (path, *, min_pixels=None, max_pixels=None))]
    fn open(path: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(path.py(), pixels::from_path(path)?, min_pixels, max_pixels)
    }

    /// Decode an image file that is in memory: bytes, bytearray, memoryview, ...
    #[staticmethod]
    #[pyo3(signature = (data, *, min_pixels=None, max_pixels=None))]
    fn from_bytes(data: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(data.py(), pixels::from_encoded(data)?, min_pixels, max_pixels)
    }

    /// Copy raw pixels: a numpy array, or any buffer, of uint8 and shape (height, width, 3 or 4).
    #[staticmethod]
    #[pyo3(signature = (array, *, min_pixels=None, max_pixels=None))]
    fn from_array(array: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(array.py(), pixels::from_array(array)?, min_pixels, max_pixels)
    }

    /// Copy the pixels of a PIL image of any 8-bit mode.
    #[staticmethod]
    #[pyo3(signature = (image, *, min_pixels=None, max_pixels=None))]
    fn from_pil(image: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(image.py(), pixels::from_pil(image)?, min_pixels, max_pixels)
    }

    /// Width in pixels, after the orientation was applied.
    #[getter]
    fn width(&self) -> u32 {
        self.image.width()
    }

    /// Height in pixels, after the orientation was applied.
    #[getter]
    fn height(&self) -> u32 {
        self.image.height()
    }

    /// The EXIF orientation that was applied, 1 to 8; 1 when nothing had to be turned.
    #[getter]
    fn orientation(&self) -> u8 {
        self.image.orientation()
    }

    /// The caller's lower limit of pixels, if any.
    #[getter]
    fn min_pixels(&self) -> Option<u32> {
        self.min_pixels
    }

    /// The caller's upper limit of pixels, if any.
    #[getter]
    fn max_pixels(&self) -> Option<u32> {
        self.max_pixels
    }

    /// A copy of the pixels: red, green, blue, row by row from the top, without gaps.
    fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.image.pixels())
    }

    /// The part from (left, top) on, width by height pixels; boxes and points stay in pixels of the whole picture.
    fn crop(&self, py: Python<'_>, left: u32, top: u32, width: u32, height: u32) -> PyResult<Self> {
        let image = self.image.crop(left, top, width, height).or_raise(py)?;
        Ok(Self { image, min_pixels: self.min_pixels, max_pixels: self.max_pixels })
    }

    /// The part around (x, y) that is `zoom` times smaller on each side, for a second look at what is small; boxes and points stay
    /// in pixels of the whole picture. At the edges the part is moved inwards.
    fn zoom_crop(&self, py: Python<'_>, x: f64, y: f64, zoom: f64) -> PyResult<Self> {
        let image = zoom_crop(&self.image, [x, y], zoom).or_raise(py)?;
        Ok(Self { image, min_pixels: self.min_pixels, max_pixels: self.max_pixels })
    }

    /// The picture made width by height pixels, bicubic and antialiased. Boxes and points are in its own pixels.
    fn resize(&self, py: Python<'_>, width: u32, height: u32) -> PyResult<Self> {
        let resized = || {
            if ![width, height].iter().all(|side| (1..=LONGEST).contains(side)) {
                let reason = format!("{width}x{height} pixels asked for; each side must lie between 1 and {LONGEST}");
                return Err(Error::Image { what: "resized image".to_owned(), reason });
            }
            let image = &self.image;
            let [from, to] = [(image.height(), image.width()), (height, width)].map(|(h, w)| (h as usize, w as usize));
            let pixels = expert::resize(image.pixels(), from, to, Bicubic::Pillow)?;
            mimo_vl_core::Image::from_rgb(width, height, 3 * to.1, &pixels)
        };
        Ok(Self::of(py.detach(resized).or_raise(py)?))
    }

    /// The picture as a PNG file in memory.
    fn to_png<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let png = py.detach(|| self.image.to_png()).or_raise(py)?;
        Ok(PyBytes::new(py, &png))
    }

    /// How notebooks show it.
    fn _repr_png_<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.to_png(py)
    }

    fn __repr__(&self) -> String {
        let mut text = format!("<mimo_vl.Image {}x{}", self.width(), self.height());
        for (name, limit) in [("min_pixels", self.min_pixels), ("max_pixels", self.max_pixels)] {
            if let Some(limit) = limit {
                text += &format!(" {name}={limit}");
            }
        }
        text + ">"
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Image", "send its path or the bytes of its file, and open it there")
    }
}

/// A copy of a picture with regions of an answer drawn over it, with their names. `image` is any image that a prompt takes.
#[pyfunction]
pub(crate) fn draw(py: Python<'_>, image: &Bound<'_, PyAny>, regions: &Bound<'_, PyAny>) -> PyResult<Image> {
    let image = as_image(image)?;
    let transform = image_layout(&image, &PreprocessConfig::default()).or_raise(py)?.transform;
    let mut parser = RegionParser::new(&[transform]);
    let mut drawn = Vec::new();
    for region in regions.try_iter()? {
        let region = region?;
        let pixels = |place: Bound<'_, PyAny>| -> PyResult<Vec<f64>> {
            let pixels: Vec<f64> = place.getattr("pixels")?.extract()?;
            let seen = pixels.chunks_exact(2).map(|point| transform.to_model(point[0], point[1]));
            Ok(seen.flat_map(|(x, y)| [x, y]).collect())
        };
        let found = PyDict::new(py);
        let place = region.getattr("box")?;
        if place.is_none() {
            let points =
                region.getattr("points")?.try_iter()?.map(|point| pixels(point?)).collect::<PyResult<Vec<_>>>()?;
            found.set_item("points", points)?;
        } else {
            found.set_item("bbox_2d", pixels(place)?)?;
        }
        for (key, name) in [("label", "label"), ("text_content", "text")] {
            let name = region.getattr(name)?;
            if !name.is_none() {
                found.set_item(key, name)?;
            }
        }
        let json: String = py.import("json")?.call_method1("dumps", (found,))?.extract()?;
        drawn.extend(parser.push(&json).into_iter().map(|(region, _)| region));
    }
    let image = py.detach(|| mimo_vl_core::draw_regions(&image, &drawn)).or_raise(py)?;
    Ok(Image::of(image))
}

/// The height and width at which the model sees a picture: multiples of `factor` near its own shape, within the limits.
#[pyfunction]
#[pyo3(signature = (height, width, factor=28, min_pixels=3136, max_pixels=12845056))]
pub(crate) fn smart_resize(
    py: Python<'_>,
    height: usize,
    width: usize,
    factor: usize,
    min_pixels: usize,
    max_pixels: usize,
) -> PyResult<(usize, usize)> {
    expert::smart_resize(height, width, factor, min_pixels, max_pixels).or_raise(py)
}

/// A `mimo_vl.Image`, or anything that can become one.
pub(crate) fn as_image(source: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    match source.cast::<Image>() {
        Ok(image) => Ok(image.get().core()),
        Err(_) => pixels::from_any(source),
    }
}
