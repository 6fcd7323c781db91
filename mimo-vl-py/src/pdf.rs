//! `mimo_vl.open_pdf` and its pages.

use mimo_vl_core::{PdfOptions, open_pdf_bytes, open_pdf_watched};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::no_pickle;
use crate::image::Image;
use crate::prompt::unsigned;
use crate::text;
use crate::worker::watched;

/// A page of a PDF file as a picture. Points of the page have their origin mostly at the bottom left corner, with y upwards.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct PdfPage {
    page: mimo_vl_core::PdfPage,
}

#[pymethods]
impl PdfPage {
    /// The number of the page in its file, from 1 on.
    #[getter]
    fn number(&self) -> usize {
        self.page.number
    }

    /// What the page shows.
    #[getter]
    fn image(&self) -> Image {
        Image::of(self.page.image.clone())
    }

    /// Width and height in points, as shown.
    #[getter]
    fn size(&self) -> (f64, f64) {
        self.page.size
    }

    /// A point of the picture, in pixels, in points of the page.
    fn to_points(&self, x: f64, y: f64) -> (f64, f64) {
        self.page.to_points(x, y)
    }

    /// A box of the picture (left, top, right, bottom), in pixels, in points of the page: the smaller x and y, and the
    /// larger ones.
    fn box_to_points(&self, left: f64, top: f64, right: f64, bottom: f64) -> (f64, f64, f64, f64) {
        self.page.box_to_points([left, top, right, bottom]).into()
    }

    /// A point of the page, in points, in pixels of the picture.
    fn to_pixels(&self, x: f64, y: f64) -> (f64, f64) {
        self.page.to_pixels(x, y)
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.PdfPage {} of {}x{} points>", self.page.number, self.page.size.0, self.page.size.1)
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("PdfPage", "send the path of its file, and open it there")
    }
}

/// Draw the pages of a PDF file, `source`: its path, or its bytes. `first` and `last` bound the pages, from 1 on. `dpi` is the
/// wanted number of pixels per inch; `max_pixels` lowers it for large pages, and more than `max_pages` pages are an error.
/// `progress` is called with the pages that are done and those there are.
#[pyfunction]
#[pyo3(signature = (
    source, *, first=None, last=None, dpi=None, max_pixels=None, max_pages=None, password=None, progress=None
))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub(crate) fn open_pdf(
    source: &Bound<'_, PyAny>,
    first: Option<i64>,
    last: Option<i64>,
    dpi: Option<f32>,
    max_pixels: Option<i64>,
    max_pages: Option<i64>,
    password: Option<String>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<PdfPage>> {
    let py = source.py();
    let mut options = PdfOptions::new();
    if first.is_some() || last.is_some() {
        let first = unsigned(py, "first", first)?.unwrap_or(1);
        options = options.pages(first..=unsigned(py, "last", last)?.unwrap_or(usize::MAX));
    }
    if let Some(dpi) = dpi {
        options = options.dpi(dpi);
    }
    if let Some(pixels) = unsigned(py, "max_pixels", max_pixels)? {
        options = options.max_pixels(pixels);
    }
    if let Some(pages) = unsigned(py, "max_pages", max_pages)? {
        options = options.max_pages(pages);
    }
    if let Some(password) = password {
        options = options.password(password);
    }
    let pages = match source.cast::<PyBytes>() {
        Ok(bytes) => {
            let bytes = bytes.as_bytes().to_vec();
            watched(py, progress, move |watch| open_pdf_bytes(bytes, &options, watch))?
        }
        Err(_) => {
            let path = text::path(source)?;
            watched(py, progress, move |watch| open_pdf_watched(path, &options, watch))?
        }
    };
    Ok(pages.into_iter().map(|page| PdfPage { page }).collect())
}
