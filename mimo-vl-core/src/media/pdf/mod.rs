//! PDF files: their pages as pictures, and the way back from a picture to its page.
//!
//! A page is drawn on white as a viewer shows it: the part in its crop box, turned as the file says, with notes and
//! filled forms. The standard 14 fonts are built in; other fonts that a file lacks are replaced by the most similar of
//! those, without the letters that these do not have, Chinese ones among them. What cannot be drawn of a page, such as
//! a picture in it that is damaged, is left out with a warning in the log.
//!
//! Files come from strangers. A file has at most 512 MiB, the size of a picture is bounded before it is made, and a
//! page is drawn on a thread of its own, so that a defect of the renderer is an error of that page and not the end of
//! the process. A page that takes longer than 60 seconds, or a file that takes so long to open, is an error, too. The
//! renderer cannot be interrupted: after such an error, and after a cancellation, the thread goes on until that page is
//! drawn. It keeps a processor core busy and the file in memory meanwhile, for ever if the page has no end. The memory
//! that the renderer takes for itself is not bounded: a small file may unpack to a large one, have millions of pages,
//! or draw without end. Whoever must be safe from that gives the process a limit of memory.

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
use render::Drawn;
use worker::Worker;

/// A page of a PDF file as a picture.
///
/// Two frames of coordinates belong to it, both continuous:
/// - *pixels* of the picture, from its top left corner, with y downwards: pixel (0, 0) covers the square from (0, 0) to
///   (1, 1);
/// - *points* of the page, in which the file places things, before the page is cropped and turned: y goes upwards, and the
///   origin is mostly the bottom left corner of the sheet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PdfPage {
    /// The number of the page in its file, from 1 on.
    pub number: usize,
    /// What the page shows.
    pub image: Image,
    /// Width and height in points, as shown: after the page was cropped and turned.
    pub size: (f64, f64),
    to_pixels: Affine,
    frame: PageFrame,
}

impl PdfPage {
    fn new(number: usize, drawn: Drawn) -> Result<Self> {
        let frame = PageFrame { number, to_points: drawn.to_pixels.inverse().as_coeffs() };
        let image = Image::keep_rgb(drawn.width.into(), drawn.height.into(), drawn.pixels)?.of_page(frame, drawn.time);
        Ok(Self { number, image, size: drawn.size, to_pixels: drawn.to_pixels, frame })
    }

    /// A point of the picture, in pixels, in points of the page.
    pub fn to_points(&self, x: f64, y: f64) -> (f64, f64) {
        self.frame.point([x, y]).into()
    }

    /// A box of the picture, in pixels (left, top, right, bottom), in points of the page: the smaller x and y, and the larger
    /// ones.
    pub fn box_to_points(&self, pixels: [f64; 4]) -> [f64; 4] {
        self.frame.place(pixels)
    }

    /// A point of the page, in points, in pixels of the picture. It lies outside the picture when it was cropped away.
    pub fn to_pixels(&self, x: f64, y: f64) -> (f64, f64) {
        let point = self.to_pixels * Point::new(x, y);
        (point.x, point.y)
    }
}

/// Draw the pages of a PDF file.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read. [`Error::Image`] when it is not a PDF file, is too large, cut short or
/// damaged, has no pages, or is encrypted and the password is missing or wrong; or when a page has no area, is damaged,
/// makes the renderer fail or takes too long. [`Error::Option`] when an option is out of its range, the file does not
/// have the pages, or they are more than allowed. [`Error::Cancelled`] and [`Error::Timeout`] as the options say.
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
        pages.push(PdfPage::new(number, worker.draw(number, &control)?)?);
        control.step(Stage::Decode, pages.len() as u64, count)?;
    }
    Ok(pages)
}
