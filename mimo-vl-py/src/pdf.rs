//! `mimo_vl.open_pdf` and `mimo_vl.PdfPage`.

use mimo_vl_core::PdfOptions;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::call::{CancelToken, call_options, run_call};
use crate::error::no_pickle;
use crate::image::Image;
use crate::number::unsigned;
use crate::text;

/// A page of a PDF file as an image. The origin of its points is usually the bottom left corner, with y upwards.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct PdfPage {
    page: mimo_vl_core::PdfPage,
}

#[pymethods]
impl PdfPage {
    /// Number of the page in its file, from 1.
    #[getter]
    fn number(&self) -> usize {
        self.page.number
    }

    /// The rendered page.
    #[getter]
    fn image(&self) -> Image {
        Image::of(self.page.image.clone())
    }

    /// Width and height in points, as shown.
    #[getter]
    fn size(&self) -> (f64, f64) {
        self.page.size
    }

    /// Converts a point of the image, in pixels, to points of the page.
    fn to_points(&self, x: f64, y: f64) -> (f64, f64) {
        self.page.to_points(x, y)
    }

    /// Converts a box of the image (left, top, right, bottom), in pixels, to points of the page: the smaller x and y,
    /// then the larger ones.
    fn box_to_points(&self, left: f64, top: f64, right: f64, bottom: f64) -> (f64, f64, f64, f64) {
        self.page.box_to_points([left, top, right, bottom]).into()
    }

    /// Converts a point of the page, in points, to pixels of the image.
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

/// Renders the pages of a PDF file; `source` is its path or its bytes. `pages` is the first and the last page, from 1;
/// a last page of None is that of the file. `dpi` is the resolution in pixels per inch; `max_pixels` lowers it for
/// large pages. More than `max_pages` pages are an error. `cancel` is a CancelToken, `timeout` the time limit in
/// seconds; `progress` is called with the pages that are done and their total.
#[pyfunction]
#[pyo3(signature = (
    source, *, pages=None, dpi=None, max_pixels=None, max_pages=None, password=None, cancel=None, timeout=None,
    progress=None
))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub(crate) fn open_pdf(
    source: &Bound<'_, PyAny>,
    pages: Option<(i64, Option<i64>)>,
    dpi: Option<f32>,
    max_pixels: Option<i64>,
    max_pages: Option<i64>,
    password: Option<String>,
    cancel: Option<&Bound<'_, CancelToken>>,
    timeout: Option<f64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Vec<PdfPage>> {
    let py = source.py();
    let mut options = PdfOptions::new();
    if let Some((first, last)) = pages {
        let first = unsigned(py, "pages", Some(first))?.unwrap_or(1);
        options = options.pages(first..=unsigned(py, "pages", last)?.unwrap_or(usize::MAX));
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
    let call = call_options(py, cancel, timeout)?;
    let pages = match source.cast::<PyBytes>() {
        Ok(bytes) => {
            let bytes = bytes.as_bytes().to_vec();
            run_call(py, call, progress, move |call| {
                options.call = call;
                mimo_vl_core::open_pdf_bytes(bytes, &options)
            })?
        }
        Err(_) => {
            let path = text::path(source)?;
            run_call(py, call, progress, move |call| {
                options.call = call;
                mimo_vl_core::open_pdf(path, &options)
            })?
        }
    };
    Ok(pages.into_iter().map(|page| PdfPage { page }).collect())
}
