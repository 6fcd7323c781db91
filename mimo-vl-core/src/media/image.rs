//! A decoded image: its pixels, its size, and its position in the image that it was cropped from.

mod decode;
mod open;
mod raw;
mod record;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::crop::{CropFrame, lies_within};
use super::page::PageFrame;
use super::pixel_limits::PixelLimits;
use crate::error::{Error, Result};

pub(crate) use record::ImageRecord;

/// A decoded image: 8-bit RGB, rows from the top, as a viewer shows it. Clones share the pixels.
///
/// - Files: PNG, JPEG, GIF and WebP (first frame), BMP and TIFF, recognised by their content. At most 16,384
///   pixels per side and 512 MiB of decoded pixels; larger files are rejected by their header.
/// - The EXIF orientation is applied, so that the model sees the image as the caller does. (The reference's utilities
///   do not apply it, and show the model a portrait photo of a phone lying on its side.)
/// - Transparency is blended with white, in every format that has it, with Pillow's 8-bit arithmetic. (The reference
///   does so for RGBA only, and drops the alpha of palette and grey images.)
/// - Grey becomes equal red, green and blue; 16-bit and float samples are scaled and rounded to 8 bits; colour
///   profiles are not applied.
#[derive(Clone)]
pub struct Image {
    /// The path, or a description, for errors.
    name: Arc<str>,
    width: u32,
    height: u32,
    /// `[height, width, 3]`, without gaps between the rows.
    pixels: Arc<dyn AsRef<[u8]> + Send + Sync>,
    crop: CropFrame,
    limits: PixelLimits,
    decode_time: Duration,
}

impl Image {
    /// An uncropped image without limits. `pixels` must have `3 * width * height` bytes.
    fn new(name: String, width: u32, height: u32, pixels: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self {
            name: name.into(),
            width,
            height,
            pixels: Arc::new(pixels),
            crop: CropFrame::full(width, height),
            limits: PixelLimits::default(),
            decode_time: Duration::ZERO,
        }
    }

    /// Returns the part of `width` × `height` pixels at `(left, top)`. Boxes and points of answers stay in the pixels
    /// of the full image.
    ///
    /// # Errors
    /// [`Error::Image`] when the part has no pixels or does not lie in the image.
    pub fn crop(&self, left: u32, top: u32, width: u32, height: u32) -> Result<Self> {
        if !lies_within(left, width, self.width) || !lies_within(top, height, self.height) {
            let reason = format!(
                "the part of {width}x{height} pixels at ({left}, {top}) does not lie in its {}x{} pixels",
                self.width, self.height
            );
            return Err(Error::image(&*self.name, reason));
        }
        let rows = self.pixels().chunks_exact(self.width as usize * 3).skip(top as usize).take(height as usize);
        let pixels: Vec<u8> = rows.flat_map(|row| &row[left as usize * 3..][..width as usize * 3]).copied().collect();
        let crop = self.crop.crop((self.width, self.height), (left, top), (width, height));
        Ok(Self { width, height, crop, pixels: Arc::new(pixels), ..self.clone() })
    }

    /// The same image at another size, with these pixels.
    pub(crate) fn with_size(&self, width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self { width, height, pixels: Arc::new(pixels), ..self.clone() }
    }

    /// Encodes the image as a PNG file.
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

    /// Sets the minimum number of pixels: a smaller image is enlarged to it before it is split into patches. Default: 4
    /// tokens of 784 pixels, or the checkpoint's setting.
    #[must_use]
    pub fn min_pixels(mut self, pixels: u32) -> Self {
        self.limits.min = Some(pixels);
        self
    }

    /// Sets the maximum number of pixels: a larger image is shrunk to it before it is split into patches. One token
    /// covers 784 pixels. Default: 4096 tokens, or less if the checkpoint sets less.
    #[must_use]
    pub fn max_pixels(mut self, pixels: u32) -> Self {
        self.limits.max = Some(pixels);
        self
    }

    /// Width in pixels, with the orientation applied.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, with the orientation applied.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `[height, width, 3]` without gaps between the rows.
    pub fn pixels(&self) -> &[u8] {
        (*self.pixels).as_ref()
    }

    /// The EXIF orientation that was applied, 1 to 8; 1 if the image is stored upright.
    pub fn orientation(&self) -> u8 {
        self.crop.orientation
    }

    /// Width and height of the full image that this one was [cropped](Self::crop) from; its own size if it was not.
    pub fn full_size(&self) -> (u32, u32) {
        self.crop.full_size
    }

    /// Left and top edge of this image in the full one, in pixels; (0, 0) if it was not cropped.
    pub fn crop_offset(&self) -> (u32, u32) {
        self.crop.offset
    }

    /// Width and height of this image in pixels of the full one: its own size, unless it is a video frame that was
    /// shrunk while it was decoded.
    pub fn crop_size(&self) -> (u32, u32) {
        self.crop.size
    }

    /// Position on a page of a PDF file, if the image shows one.
    pub fn page(&self) -> Option<PageFrame> {
        self.crop.page
    }

    /// Position in the full image.
    pub(crate) fn crop_frame(&self) -> CropFrame {
        self.crop
    }

    /// The same image, rendered from a page within this time.
    #[cfg(feature = "pdf")]
    pub(crate) fn with_page(mut self, page: PageFrame, render_time: Duration) -> Self {
        (self.crop.page, self.decode_time) = (Some(page), render_time);
        self
    }

    /// Time that reading and decoding took; zero for the caller's pixels.
    pub(crate) fn decode_time(&self) -> Duration {
        self.decode_time
    }

    /// The path, or a description, for errors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same image with at most `max` pixels; its minimum is lowered to that.
    pub(crate) fn limit_pixels(mut self, max: u32) -> Self {
        self.limits = self.limits.limited_to(max);
        self
    }

    /// Limits that the caller set.
    pub(crate) fn limits(&self) -> PixelLimits {
        self.limits
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("name", &self.name)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("orientation", &self.crop.orientation)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
