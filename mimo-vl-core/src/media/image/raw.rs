//! Images from raw pixels.

use super::Image;
use super::decode::{blend_with_white, check_size};
use crate::error::{Error, Result};

impl Image {
    /// Takes over raw pixels without a copy: red, green, blue, 1 byte each, without gaps between the rows. `pixels`, a
    /// `Vec` or another owner of bytes, lives as long as the image and its clones.
    ///
    /// # Errors
    /// [`Error::Image`] when a side is 0 or above 16,384, or `pixels` does not have `3 * width * height` bytes.
    pub fn from_rgb_owned(width: u32, height: u32, pixels: impl AsRef<[u8]> + Send + Sync + 'static) -> Result<Self> {
        let name = raw_name(width, height);
        check_size(width, height).map_err(|reason| Error::image(name.as_str(), reason))?;
        let (actual, expected) = (pixels.as_ref().len(), width as usize * height as usize * 3);
        if actual != expected {
            return Err(Error::image(name, format!("{actual} bytes; its pixels take {expected}")));
        }
        Ok(Self::new(name, width, height, pixels))
    }

    /// Copies raw pixels: red, green, blue, 1 byte each.
    ///
    /// `stride` is the distance between the starts of two rows in bytes, at least `3 * width`; the last row may end
    /// after its pixels.
    ///
    /// # Errors
    /// [`Error::Image`] when a side is 0 or above 16,384, the stride is shorter than a row, or `pixels` is too short.
    pub fn from_rgb(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        Self::from_rows(width, height, stride, pixels, 3, |row, out| out.extend_from_slice(row))
    }

    /// Copies raw pixels: red, green, blue, alpha (not premultiplied), 1 byte each, blended with white.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`], with rows of `4 * width` bytes.
    pub fn from_rgba(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        Self::from_rows(width, height, stride, pixels, 4, blend_with_white)
    }

    /// Copies raw pixels: blue, green, red, 1 byte each.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`].
    pub fn from_bgr(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        let swapped = |&[blue, green, red]: &[u8; 3]| [red, green, blue];
        let append = |row: &[u8], out: &mut Vec<u8>| out.extend(row.as_chunks().0.iter().flat_map(swapped));
        Self::from_rows(width, height, stride, pixels, 3, append)
    }

    /// Copies raw pixels: blue, green, red, alpha (not premultiplied), 1 byte each, blended with white.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::from_rgb`], with rows of `4 * width` bytes.
    pub fn from_bgra(width: u32, height: u32, stride: usize, pixels: &[u8]) -> Result<Self> {
        let append = |row: &[u8], out: &mut Vec<u8>| {
            let start = out.len();
            blend_with_white(row, out);
            out[start..].as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
        };
        Self::from_rows(width, height, stride, pixels, 4, append)
    }

    /// Checks the size of raw pixels, and converts each row to RGB with `append`.
    fn from_rows(
        width: u32,
        height: u32,
        stride: usize,
        pixels: &[u8],
        channels: usize,
        append: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<Self> {
        let name = raw_name(width, height);
        check_size(width, height).map_err(|reason| Error::image(name.as_str(), reason))?;
        let row = width as usize * channels;
        if stride < row {
            let reason = format!("the stride is {stride} bytes, and a row of {width} pixels takes {row}");
            return Err(Error::image(name, reason));
        }
        let needed = stride.checked_mul(height as usize - 1).and_then(|bytes| bytes.checked_add(row));
        if needed.is_none_or(|needed| pixels.len() < needed) {
            let reason = format!("{} bytes are too few for {height} rows of stride {stride}", pixels.len());
            return Err(Error::image(name, reason));
        }
        let mut rgb = Vec::with_capacity(width as usize * height as usize * 3);
        for line in pixels.chunks(stride).take(height as usize) {
            append(&line[..row], &mut rgb);
        }
        Ok(Self::new(name, width, height, rgb))
    }
}

/// Name of raw pixels in errors.
fn raw_name(width: u32, height: u32) -> String {
    format!("image of {width}x{height} raw pixels")
}
