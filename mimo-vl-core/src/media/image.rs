//! A picture of the prompt: opened from a file, decoded from memory, or taken from raw pixels.

mod decode;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::{Deserialize, Serialize};

use crate::cancel::{CallOptions, TaskControl};
use crate::error::{Error, Result};

/// Time between two checks for cancellation while an image is decoded.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Most bytes of an encoded image file.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// A decoded picture: 8-bit RGB, rows from the top, as a viewer would show it. Clones share the pixels.
///
/// - Files: PNG, JPEG, GIF and WebP (first frame), BMP and TIFF, recognised by their content. At most 16,384
///   pixels a side and 512 MiB of decoded pixels; larger ones are refused from their header.
/// - The EXIF orientation is applied, so that the model sees what the caller sees. (The reference's utilities
///   do not apply it, and show the model a phone's portrait photo lying on its side.)
/// - Transparency is laid on white, in every format that has it, with Pillow's 8-bit arithmetic. (The reference
///   does so for RGBA only, and drops the alpha of palette and grey images.)
/// - Grey becomes equal red, green and blue; 16-bit and float samples are scaled and rounded to 8 bits; colour
///   profiles are not applied.
#[derive(Clone)]
pub struct Image {
    name: Arc<str>,
    width: u32,
    height: u32,
    orientation: u8,
    /// Width and height of the picture that this one was cut from, and where its top left corner was.
    whole: (u32, u32),
    offset: (u32, u32),
    /// Width and height of what it shows, in pixels of `whole`: its own size, unless it was resized.
    part: (u32, u32),
    /// `[height, width, 3]`, tight.
    pixels: Arc<dyn AsRef<[u8]> + Send + Sync>,
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    /// Of a page of a PDF file.
    page: Option<PageFrame>,
    /// How long reading and decoding took.
    decoding: Duration,
}

/// Where on a page of a PDF file a picture of it lies.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageFrame {
    /// The number of the page in its file, from 1 on.
    pub number: usize,
    /// `[a, b, c, d, e, f]`: the pixel (x, y) of the whole picture is the point (a·x + c·y + e, b·x + d·y + f) of the page.
    pub to_points: [f64; 6],
}

impl PageFrame {
    /// A point of the picture, in pixels, in points of the page.
    pub fn point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [a, b, c, d, e, f] = self.to_points;
        [a * x + c * y + e, b * x + d * y + f]
    }

    /// A box of the picture (left, top, right, bottom, in pixels) or a point of it in points of the page; of a box, the smaller
    /// x and y, and the larger ones.
    pub(crate) fn place<const N: usize>(&self, pixels: [f64; N]) -> [f64; N] {
        let mut points = pixels;
        for point in points.chunks_exact_mut(2) {
            point.copy_from_slice(&self.point([point[0], point[1]]));
        }
        if let [x1, y1, x2, y2] = &mut points[..] {
            (*x1, *x2) = (x1.min(*x2), x1.max(*x2));
            (*y1, *y2) = (y1.min(*y2), y1.max(*y2));
        }
        points
    }
}

/// All of a picture but its pixels.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    name: String,
    orientation: u8,
    whole: (u32, u32),
    offset: (u32, u32),
    part: (u32, u32),
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    #[serde(default)]
    page: Option<PageFrame>,
}

impl ImageRecord {
    /// The picture with these pixels.
    ///
    /// # Errors
    /// [`Error::Image`] as for [`Image::from_rgb`].
    pub(crate) fn image(self, width: usize, height: usize, pixels: &[u8]) -> Result<Image> {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let image = Image::from_rgb(side(width), side(height), width.saturating_mul(3), pixels)?;
        let Self { name, orientation, whole, offset, part, min_pixels, max_pixels, page } = self;
        let inside =
            |start: u32, size: u32, limit: u32| start.checked_add(size).is_some_and(|end| size > 0 && end <= limit);
        if !inside(offset.0, part.0, whole.0) || !inside(offset.1, part.1, whole.1) {
            return Err(Error::image(name, format!("the part {part:?} at {offset:?} does not lie in {whole:?}")));
        }
        Ok(Image { name: name.into(), orientation, whole, offset, part, min_pixels, max_pixels, page, ..image })
    }
}

impl Image {
    /// Open and decode an image file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Image`] when it is not an image of a supported
    /// format, is damaged or cut short, has no pixels, or exceeds the limits of [`Image`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        let _span = tracing::debug_span!("image", path = %path.display()).entered();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| Error::io(path, error))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::image(name, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)));
        }
        Self::decoded(name, &bytes, start)
    }

    /// [`open`](Self::open) that can be cancelled and timed out; it reports no progress. Decoders cannot be interrupted:
    /// after a cancel, a thread goes on until the image is decoded.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), [`Error::Cancelled`] and [`Error::Timeout`].
    pub fn open_with(path: impl AsRef<Path>, call: &CallOptions) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        run_detached(move || Self::open(path), &call.start())
    }

    /// Decode an image file that is in memory.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::decoded(format!("image of {} bytes in memory", bytes.len()), bytes, Instant::now())
    }

    fn decoded(name: String, bytes: &[u8], start: Instant) -> Result<Self> {
        let decoded = decode::decode(bytes).map_err(|reason| Error::image(name.as_str(), reason))?;
        Ok(Self {
            orientation: decoded.orientation,
            decoding: start.elapsed(),
            ..Self::from_tight(name, decoded.width, decoded.height, decoded.pixels)
        })
    }

    fn from_tight(name: String, width: u32, height: u32, pixels: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            width,
            height,
            orientation: 1,
            whole: (width, height),
            offset: (0, 0),
            part: (width, height),
            pixels: Arc::new(pixels),
            min_pixels: None,
            max_pixels: None,
            page: None,
            decoding: Duration::ZERO,
        }
    }

    /// Keep raw pixels, 3 bytes each: red, green, blue, without gaps between the rows. They are not copied: `pixels`, a `Vec`
    /// or whatever else holds bytes, lives as long as the picture and everything that was made of it.
    ///
    /// # Errors
    /// [`Error::Image`] when a side is 0 or above 16,384, or `pixels` does not have `3 * width * height` bytes.
    pub fn keep_rgb(width: u32, height: u32, pixels: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self> {
        let name = raw(width, height);
        decode::check_size(width, height).map_err(|reason| Error::image(name.as_str(), reason))?;
        let (given, needed) = (pixels.as_ref().len(), width as usize * height as usize * 3);
        if given != needed {
            return Err(Error::image(name, format!("{given} bytes were given; its pixels are {needed}")));
        }
        Ok(Self::from_tight(name, width, height, pixels))
    }

    /// Copy raw pixels, 3 bytes each: red, green, blue.
    ///
    /// `stride` is the distance between the starts of two rows in bytes, at least `3 * width`; the last row
    /// may end after its pixels.
    ///
    /// # Errors
    /// [`Error::Image`] when a side is 0 or above 16,384, the stride is shorter than a row, or `pixels` is too short.
    pub fn from_rgb(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        Self::from_rows(width, height, stride, pixels, 3, |row, out| out.extend_from_slice(row))
    }

    /// Copy raw pixels, 4 bytes each: red, green, blue, alpha (not premultiplied); the picture is laid on white.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`], with rows of `4 * width` bytes.
    pub fn from_rgba(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        Self::from_rows(width, height, stride, pixels, 4, decode::over_white)
    }

    /// Copy raw pixels, 3 bytes each: blue, green, red.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`].
    pub fn from_bgr(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        let swapped = |&[blue, green, red]: &[u8; 3]| [red, green, blue];
        let append = |row: &[u8], out: &mut Vec<u8>| out.extend(row.as_chunks().0.iter().flat_map(swapped));
        Self::from_rows(width, height, stride, pixels, 3, append)
    }

    /// Copy raw pixels, 4 bytes each: blue, green, red, alpha (not premultiplied); the picture is laid on white.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`], with rows of `4 * width` bytes.
    pub fn from_bgra(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        let append = |row: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            decode::over_white(row, out);
            out[start..].as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        };
        Self::from_rows(width, height, stride, pixels, 4, append)
    }

    /// Check the layout of raw pixels and append every row, as RGB, with `append`.
    fn from_rows(
        width: u32,
        height: u32,
        stride: usize,
        pixels: &[u8],
        channels: usize,
        append: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<Self> {
        let name = raw(width, height);
        decode::check_size(width, height).map_err(|reason| Error::image(name.as_str(), reason))?;
        let row = width as usize * channels;
        if stride < row {
            return Err(Error::image(
                name,
                format!("the stride is {stride} bytes, and a row of {width} pixels takes {row}"),
            ));
        }
        let needed = stride.checked_mul(height as usize - 1).and_then(|bytes| bytes.checked_add(row));
        if needed.is_none_or(|needed| pixels.len() < needed) {
            return Err(Error::image(
                name,
                format!("{} bytes were given, too few for {height} rows of stride {stride}", pixels.len()),
            ));
        }
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for line in pixels.chunks(stride).take(height as usize) {
            append(&line[..row], &mut rgb);
        }
        Ok(Self::from_tight(name, width, height, rgb))
    }

    /// The part from `(left, top)` on, `width` by `height` pixels. Boxes and points of answers stay in the pixels of the
    /// whole picture.
    ///
    /// # Errors
    /// [`Error::Image`] when the part has no pixels or does not lie in the picture.
    pub fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Result<Self> {
        let fits =
            |start: u32, size: u32, limit: u32| size > 0 && start.checked_add(size).is_some_and(|end| end <= limit);
        if !fits(left, width, self.width) || !fits(top, height, self.height) {
            let reason = format!(
                "the part of {width}x{height} pixels at ({left}, {top}) does not lie in its {}x{} pixels",
                self.width, self.height
            );
            return Err(Error::image(&*self.name, reason));
        }
        let rows = self.pixels().chunks_exact(self.width as usize * 3).skip(top as usize).take(height as usize);
        let pixels: Vec<u8> = rows.flat_map(|row| &row[left as usize * 3..][..width as usize * 3]).copied().collect();
        // A part of what was resized is a picture of its own.
        let resized = self.part != (self.width, self.height);
        let (whole, offset) = if resized { ((self.width, self.height), (0, 0)) } else { (self.whole, self.offset) };
        Ok(Self {
            width,
            height,
            whole,
            offset: (offset.0 + left, offset.1 + top),
            part: (width, height),
            pixels: Arc::new(pixels),
            page: self.page.filter(|_| !resized),
            ..self.clone()
        })
    }

    /// The same picture at another size, with the pixels given.
    pub(crate) fn with_size(&self, width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self { width, height, pixels: Arc::new(pixels), ..self.clone() }
    }

    /// All but the pixels.
    pub(crate) fn record(&self) -> ImageRecord {
        ImageRecord {
            name: self.name.to_string(),
            orientation: self.orientation,
            whole: self.whole,
            offset: self.offset,
            part: self.part,
            min_pixels: self.min_pixels,
            max_pixels: self.max_pixels,
            page: self.page,
        }
    }

    /// The picture as a PNG file.
    ///
    /// # Errors
    /// [`Error::Internal`] for a defect of this library.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let encoder = PngEncoder::new(&mut bytes);
        let written = encoder.write_image(self.pixels(), self.width, self.height, ExtendedColorType::Rgb8);
        written.map_err(|error| Error::internal(format!("writing a PNG file: {error}")))?;
        Ok(bytes)
    }

    /// Enlarge the picture to at least `pixels` pixels before it is cut into patches.
    #[must_use]
    pub fn min_pixels(mut self, pixels: u32) -> Self {
        self.min_pixels = Some(pixels);
        self
    }

    /// Shrink the picture to at most `pixels` pixels before it is cut into patches; one token covers 784.
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.max_pixels = Some(pixels);
        self
    }

    /// Width in pixels, after the orientation was applied.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, after the orientation was applied.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `[height, width, 3]` without gaps between the rows.
    pub fn pixels(&self) -> &[u8] {
        (*self.pixels).as_ref()
    }

    /// The EXIF orientation that was applied, 1 to 8; 1 when nothing had to be turned.
    pub fn orientation(&self) -> u8 {
        self.orientation
    }

    /// Width and height of the picture that this one was [cut](Self::crop) from; its own if it was not.
    pub fn whole(&self) -> (u32, u32) {
        self.whole
    }

    /// Where the left and top edge of this picture lie in the [whole](Self::whole) one.
    pub fn offset(&self) -> (u32, u32) {
        self.offset
    }

    /// Width and height of what this picture shows, in pixels of the [whole](Self::whole) one: its own, unless it is a frame
    /// of a file, which was made smaller.
    pub fn part(&self) -> (u32, u32) {
        self.part
    }

    /// Where it lies on a page of a PDF file, if it shows one.
    pub fn page(&self) -> Option<PageFrame> {
        self.page
    }

    /// A picture of a page, which took so long to draw.
    #[cfg(feature = "pdf")]
    pub(crate) fn of_page(self, page: PageFrame, decoding: Duration) -> Self {
        Self { page: Some(page), decoding, ..self }
    }

    /// How long reading and decoding took; zero for pixels that the caller gave.
    pub(crate) fn decoding(&self) -> Duration {
        self.decoding
    }

    /// What to call this picture in an error: its path, or what is known of it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// At most `pixels` pixels, whatever the least was.
    pub(crate) fn at_most(mut self, pixels: u32) -> Self {
        self.min_pixels = self.min_pixels.map(|least| least.min(pixels));
        self.max_pixels(pixels)
    }

    /// The limits that the caller set for this picture: fewest and most pixels.
    pub(crate) fn limits(&self) -> (Option<u32>, Option<u32>) {
        (self.min_pixels, self.max_pixels)
    }
}

/// Runs `work` on a thread of its own, which is left behind when the call is cancelled.
fn run_detached(work: impl FnOnce() -> Result<Image> + Send + 'static, control: &TaskControl) -> Result<Image> {
    control.check()?;
    let (sender, receiver) = sync_channel(1);
    // Who asked may have left.
    let started = Builder::new().name("image".into()).spawn(move || drop(sender.send(work())));
    started.map_err(|error| Error::internal(format!("no thread to decode a picture with: {error}")))?;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(image) => return image,
            Err(RecvTimeoutError::Timeout) => control.check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("a picture's decoder panicked")),
        }
    }
}

/// What to call raw pixels in an error.
fn raw(width: u32, height: u32) -> String {
    format!("image of {width}x{height} raw pixels")
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("orientation", &self.orientation)
            .field("min_pixels", &self.min_pixels)
            .field("max_pixels", &self.max_pixels)
            .finish_non_exhaustive()
    }
}
