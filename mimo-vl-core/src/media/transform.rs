//! The transform between the caller's pixels and those of the model.

use super::crop::CropFrame;
use super::image::Image;
use super::page::PageFrame;

/// Transform between the pixels of the caller's image and those that the model saw.
///
/// Three coordinate frames, all with the origin at the top left corner, x to the right and y down:
/// - the *model's*: pixels of the resized image, in which the model answers;
/// - the *caller's*: pixels of the full image as a viewer shows it, after the EXIF orientation;
/// - the *stored*: pixels of the file, before the EXIF orientation.
///
/// Coordinates are continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Transform {
    /// Width and height of the full image, in the caller's frame.
    pub full_size: (usize, usize),
    /// EXIF orientation, 1 to 8, that maps the stored image to the caller's.
    pub orientation: u8,
    /// Left and top edge of the part that the model saw, in the caller's frame.
    pub crop_offset: (usize, usize),
    /// Width and height of that part, in the caller's frame.
    pub crop_size: (usize, usize),
    /// Width and height of the resized image, in the model's frame.
    pub resized: (usize, usize),
    /// Position of the caller's frame on a page of a PDF file, if the image shows one.
    pub page: Option<PageFrame>,
}

impl Transform {
    /// The transform of an image that is resized to this width and height.
    pub(crate) fn new(image: &Image, resized: (usize, usize)) -> Self {
        let pair = |(x, y): (u32, u32)| (x as usize, y as usize);
        let CropFrame { orientation, full_size, offset, size, page } = image.crop_frame();
        Self {
            full_size: pair(full_size),
            orientation,
            crop_offset: pair(offset),
            crop_size: pair(size),
            resized,
            page,
        }
    }

    /// Maps a point of the model's frame to the caller's.
    pub fn to_original(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = scale(x, y, self.resized, self.crop_size);
        (x + self.crop_offset.0 as f64, y + self.crop_offset.1 as f64)
    }

    /// Maps a point of the caller's frame to the model's.
    pub fn to_model(&self, x: f64, y: f64) -> (f64, f64) {
        scale(x - self.crop_offset.0 as f64, y - self.crop_offset.1 as f64, self.crop_size, self.resized)
    }

    /// Maps a point of the caller's frame to the stored one.
    pub fn to_stored(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (self.full_size.0 as f64, self.full_size.1 as f64);
        match self.orientation {
            2 => (width - x, y),
            3 => (width - x, height - y),
            4 => (x, height - y),
            5 => (y, x),
            6 => (y, width - x),
            7 => (height - y, width - x),
            8 => (height - y, x),
            _ => (x, y),
        }
    }

    /// Corners of the part that the model saw, in the caller's frame: (left, top) and (right, bottom).
    pub fn crop_corners(&self) -> [(f64, f64); 2] {
        let (left, top) = (self.crop_offset.0 as f64, self.crop_offset.1 as f64);
        [(left, top), (left + self.crop_size.0 as f64, top + self.crop_size.1 as f64)]
    }
}

fn scale(x: f64, y: f64, from: (usize, usize), to: (usize, usize)) -> (f64, f64) {
    (x * to.0 as f64 / from.0 as f64, y * to.1 as f64 / from.1 as f64)
}
