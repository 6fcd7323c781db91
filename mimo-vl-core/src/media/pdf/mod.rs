//! PDF files: pages rendered as images, and the transform between the pixels of an image and the points of its page.
//!
//! A page is rendered on white as a viewer shows it: the part in its crop box, with the rotation of the file,
//! annotations and filled forms. The standard 14 fonts are built in; other fonts that a file does not embed are
//! replaced by the most similar of those, without the characters that these lack, such as Chinese. Content that cannot
//! be rendered, such as a damaged image, is left out with a warning in the log.
//!
//! Files are untrusted. A file has at most 512 MiB, the size of an image is bounded before it is allocated, and pages
//! are rendered on a separate thread, so that a defect of the renderer is an error of that page and does not end the
//! process. A page that takes longer than 60 seconds, or a file that takes so long to open, is an error. The renderer
//! cannot be interrupted: after such an error, and after a cancellation, the thread continues until that page is
//! rendered. Until then, for ever if the page has no end, it keeps a processor core busy and the file in memory. The
//! renderer's own memory is not bounded: a small file may unpack to a large one, have millions of pages, or draw
//! without end. To be safe from that, limit the memory of the process.

mod file;
mod options;
mod render;
mod worker;

use std::path::Path;

use hayro::kurbo::{Affine, Point};

pub use options::PdfOptions;

use crate::cancel::Stage;
use crate::error::Result;
use crate::media::{Image, PageFrame};
use render::RenderedPage;
use worker::Worker;

/// A page of a PDF file as an image.
///
/// Two coordinate frames belong to it, both continuous:
/// - *pixels* of the image, from its top left corner, with y downwards: pixel (0, 0) covers the square from (0, 0) to
///   (1, 1);
/// - *points* of the page, the unit of the file (1/72 inch), before the page is cropped and rotated: y goes upwards,
///   and the origin is usually the bottom left corner of the sheet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PdfPage {
    /// Number of the page in its file, from 1.
    pub number: usize,
    /// The rendered page.
    pub image: Image,
    /// Width and height in points, after the page was cropped and rotated.
    pub size: (f64, f64),
    to_pixels: Affine,
    frame: PageFrame,
}

impl PdfPage {
    fn new(number: usize, rendered: RenderedPage) -> Result<Self> {
        let RenderedPage { width, height, pixels, size, to_pixels, time } = rendered;
        let frame = PageFrame { number, to_points: to_pixels.inverse().as_coeffs() };
        let image = Image::from_rgb_owned(width.into(), height.into(), pixels)?.with_page(frame, time);
        Ok(Self { number, image, size, to_pixels, frame })
    }

    /// Maps a point of the image, in pixels, to points of the page.
    pub fn to_points(&self, x: f64, y: f64) -> (f64, f64) {
        self.frame.map_point([x, y]).into()
    }

    /// Maps a box of the image, in pixels (left, top, right, bottom), to points of the page (smaller x, smaller y,
    /// larger x, larger y).
    pub fn box_to_points(&self, pixels: [f64; 4]) -> [f64; 4] {
        self.frame.map(pixels)
    }

    /// Maps a point of the page, in points, to pixels of the image. A point that was cropped away lies outside the
    /// image.
    pub fn to_pixels(&self, x: f64, y: f64) -> (f64, f64) {
        let point = self.to_pixels * Point::new(x, y);
        (point.x, point.y)
    }
}

/// Renders the pages of a PDF file.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read. [`Error::Image`] when it is not a PDF file, is too large, cut short or
/// damaged, has no pages, or is encrypted and the password is missing or wrong; or when a page has no area, is damaged,
/// makes the renderer fail or takes too long. [`Error::Option`] when an option is out of its range, the file does not
/// have the requested pages, or there are more than allowed. [`Error::Cancelled`] and [`Error::Timeout`] by the call
/// options.
///
/// [`Error::Cancelled`]: crate::error::Error::Cancelled
/// [`Error::Timeout`]: crate::error::Error::Timeout
/// [`Error::Io`]: crate::error::Error::Io
/// [`Error::Image`]: crate::error::Error::Image
/// [`Error::Option`]: crate::error::Error::Option
pub fn open_pdf(path: impl AsRef<Path>, options: &PdfOptions) -> Result<Vec<PdfPage>> {
    options.check()?;
    let path = path.as_ref();
    let _span = tracing::info_span!("pdf", path = %path.display()).entered();
    render_pages(&path.display().to_string(), file::read(path)?, options)
}

/// Renders the pages of a PDF file in memory.
///
/// # Errors
/// Those of [`open_pdf`], without [`Error::Io`](crate::error::Error::Io).
pub fn open_pdf_bytes(bytes: Vec<u8>, options: &PdfOptions) -> Result<Vec<PdfPage>> {
    options.check()?;
    render_pages(&format!("PDF file of {} bytes in memory", bytes.len()), bytes, options)
}

fn render_pages(name: &str, bytes: Vec<u8>, options: &PdfOptions) -> Result<Vec<PdfPage>> {
    file::check(name, &bytes)?;
    let control = options.call.start();
    control.check()?;
    let worker = Worker::start(name, bytes, options)?;
    let numbers = worker.pages(&control)?;
    let count = numbers.len() as u64;
    control.step(Stage::Decode, 0, count)?;
    let mut pages = Vec::with_capacity(numbers.len());
    for number in numbers {
        pages.push(PdfPage::new(number, worker.render(number, &control)?)?);
        control.step(Stage::Decode, pages.len() as u64, count)?;
    }
    Ok(pages)
}
