//! `mimo_vl.Image`.

use mimo_vl_core::Error;
use mimo_vl_core::expert::{self, Bicubic, PreprocessConfig, RegionParser, image_layout};
use mimo_vl_core::gui::zoom_crop;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::error::{OrRaise, no_pickle};
use crate::number::unsigned;
use crate::pixels;

/// Largest side in pixels.
const MAX_SIDE: u32 = 16_384;

/// A decoded image: 8-bit RGB, as a viewer shows it.
///
/// The EXIF orientation of files (png, jpeg, gif, webp, bmp, tiff) is applied; PIL images and arrays are taken as they
/// are. Transparent pixels are blended with white. `min_pixels` and `max_pixels` limit the size at which the model sees
/// the image; one token covers 28x28 = 784 pixels.
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

    /// Wraps an image of the core.
    pub(crate) fn of(image: mimo_vl_core::Image) -> Self {
        Self { image, min_pixels: None, max_pixels: None }
    }

    /// The core's image; its clones share the pixels.
    pub(crate) fn core(&self) -> mimo_vl_core::Image {
        self.image.clone()
    }
}

#[pymethods]
impl Image {
    /// Opens and decodes the image file at `path`, a str or a path object.
    #[staticmethod]
    #[pyo3(signature = (path, *, min_pixels=None, max_pixels=None))]
    fn open(path: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(path.py(), pixels::from_path(path)?, min_pixels, max_pixels)
    }

    /// Decodes an image file in memory: bytes, bytearray, memoryview, ...
    #[staticmethod]
    #[pyo3(signature = (data, *, min_pixels=None, max_pixels=None))]
    fn from_bytes(data: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(data.py(), pixels::from_encoded(data)?, min_pixels, max_pixels)
    }

    /// Copies raw pixels: a numpy array, or any buffer, of uint8 and shape (height, width, 3 or 4).
    #[staticmethod]
    #[pyo3(signature = (array, *, min_pixels=None, max_pixels=None))]
    fn from_array(array: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(array.py(), pixels::from_array(array)?, min_pixels, max_pixels)
    }

    /// Copies the pixels of a PIL image of any 8-bit mode.
    #[staticmethod]
    #[pyo3(signature = (image, *, min_pixels=None, max_pixels=None))]
    fn from_pil(image: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Self> {
        Self::new(image.py(), pixels::from_pil(image)?, min_pixels, max_pixels)
    }

    /// Width in pixels, with the EXIF orientation applied.
    #[getter]
    fn width(&self) -> u32 {
        self.image.width()
    }

    /// Height in pixels, with the EXIF orientation applied.
    #[getter]
    fn height(&self) -> u32 {
        self.image.height()
    }

    /// The EXIF orientation that was applied, 1 to 8; 1 is upright.
    #[getter]
    fn orientation(&self) -> u8 {
        self.image.orientation()
    }

    /// The lower limit of pixels, if any.
    #[getter]
    fn min_pixels(&self) -> Option<u32> {
        self.min_pixels
    }

    /// The upper limit of pixels, if any.
    #[getter]
    fn max_pixels(&self) -> Option<u32> {
        self.max_pixels
    }

    /// Returns a copy of the pixels: red, green, blue, row by row from the top, without padding.
    fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.image.pixels())
    }

    /// Returns the crop of width by height pixels at (left, top). Boxes and points of answers stay in pixels of the
    /// uncropped image.
    fn crop(&self, py: Python<'_>, left: u32, top: u32, width: u32, height: u32) -> PyResult<Self> {
        let image = self.image.crop(left, top, width, height).or_raise(py)?;
        Ok(Self { image, min_pixels: self.min_pixels, max_pixels: self.max_pixels })
    }

    /// Returns the crop around (x, y) that is `zoom` times smaller on each side, so that the model sees small things
    /// larger; at the edges it is moved inwards. Boxes and points of answers stay in pixels of the uncropped image.
    fn zoom_crop(&self, py: Python<'_>, x: f64, y: f64, zoom: f64) -> PyResult<Self> {
        let image = zoom_crop(&self.image, [x, y], zoom).or_raise(py)?;
        Ok(Self { image, min_pixels: self.min_pixels, max_pixels: self.max_pixels })
    }

    /// Returns the image resized to width by height pixels, bicubic and antialiased. Boxes and points of answers are in
    /// the pixels of the result.
    fn resize(&self, py: Python<'_>, width: u32, height: u32) -> PyResult<Self> {
        let resized = || {
            if ![width, height].iter().all(|side| (1..=MAX_SIDE).contains(side)) {
                let reason = format!("{width}x{height} pixels; each side must be between 1 and {MAX_SIDE}");
                return Err(Error::Image { what: "resized image".to_owned(), reason });
            }
            let image = &self.image;
            let sizes = [(image.height(), image.width()), (height, width)].map(|(h, w)| (h as usize, w as usize));
            let pixels = expert::resize(image.pixels(), sizes[0], sizes[1], Bicubic::Pillow)?;
            mimo_vl_core::Image::from_rgb(width, height, 3 * width as usize, &pixels)
        };
        Ok(Self::of(py.detach(resized).or_raise(py)?))
    }

    /// Returns the image as a PNG file.
    fn to_png<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let png = py.detach(|| self.image.to_png()).or_raise(py)?;
        Ok(PyBytes::new(py, &png))
    }

    /// The image in notebooks.
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

/// Returns a copy of an image with the regions of an answer and their labels drawn over it. `image` is any image that a
/// prompt takes.
#[pyfunction]
pub(crate) fn draw_regions(py: Python<'_>, image: &Bound<'_, PyAny>, regions: &Bound<'_, PyAny>) -> PyResult<Image> {
    let image = as_image(image)?;
    let transform = image_layout(&image, &PreprocessConfig::default()).or_raise(py)?.transform;
    let mut parser = RegionParser::new(&[transform], false);
    let mut drawn = Vec::new();
    for region in regions.try_iter()? {
        let region = region?;
        let model_pixels = |coordinates: Bound<'_, PyAny>| -> PyResult<Vec<f64>> {
            let pixels: Vec<f64> = coordinates.getattr("pixels")?.extract()?;
            let points = pixels.chunks_exact(2).map(|point| transform.to_model(point[0], point[1]));
            Ok(points.flat_map(|(x, y)| [x, y]).collect())
        };
        let values = PyDict::new(py);
        let edges = region.getattr("box")?;
        if edges.is_none() {
            let points = region.getattr("points")?.try_iter()?.map(|point| model_pixels(point?));
            values.set_item("points", points.collect::<PyResult<Vec<_>>>()?)?;
        } else {
            values.set_item("bbox_2d", model_pixels(edges)?)?;
        }
        for (key, name) in [("label", "label"), ("text_content", "text")] {
            let name = region.getattr(name)?;
            if !name.is_none() {
                values.set_item(key, name)?;
            }
        }
        let json: String = py.import("json")?.call_method1("dumps", (values,))?.extract()?;
        drawn.extend(parser.push(&json).into_iter().map(|(region, _)| region));
    }
    let image = py.detach(|| mimo_vl_core::draw_regions(&image, &drawn)).or_raise(py)?;
    Ok(Image::of(image))
}

/// Returns the height and width at which the model sees an image: multiples of `factor` within the limits, at about the
/// same aspect ratio.
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

/// Converts a `mimo_vl.Image`, or anything that can become one.
pub(crate) fn as_image(source: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    match source.cast::<Image>() {
        Ok(image) => Ok(image.get().core()),
        Err(_) => pixels::from_any(source),
    }
}
