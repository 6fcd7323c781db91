//! From the caller's pixels to those that the model saw, and back.

use crate::media::{Image, PageFrame};

/// How a picture was brought to the size that the model saw.
///
/// Three frames of coordinates, all with the origin at the top left corner and x to the right:
/// - the *model's*: pixels of the resized picture, in which the model answers;
/// - the *caller's*: pixels of the whole picture as a viewer shows it, after the EXIF orientation;
/// - the *stored* one: pixels as they lie in the file, before the EXIF orientation.
///
/// Coordinates are continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Transform {
    /// Width and height in the caller's frame.
    pub original: (usize, usize),
    /// The EXIF orientation, 1 to 8, that leads from the stored picture to the caller's.
    pub orientation: u8,
    /// Left and top edge of the part that the model saw, in the caller's frame.
    pub offset: (usize, usize),
    /// Width and height of that part.
    pub part: (usize, usize),
    /// Width and height in the model's frame.
    pub resized: (usize, usize),
    /// Where the caller's frame lies on a page of a PDF file, if the picture shows one.
    pub page: Option<PageFrame>,
}

impl Transform {
    /// Of a picture that was resized to a width and height.
    pub(crate) fn new(image: &Image, resized: (usize, usize)) -> Self {
        let pair = |(x, y): (u32, u32)| (x as usize, y as usize);
        Self {
            original: pair(image.whole()),
            orientation: image.orientation(),
            offset: pair(image.offset()),
            part: pair(image.part()),
            resized,
            page: image.page(),
        }
    }

    /// A point of the model's frame in the caller's.
    pub fn to_original(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y) = scale(x, y, self.resized, self.part);
        (x + self.offset.0 as f64, y + self.offset.1 as f64)
    }

    /// A point of the caller's frame in the model's.
    pub fn to_model(&self, x: f64, y: f64) -> (f64, f64) {
        scale(x - self.offset.0 as f64, y - self.offset.1 as f64, self.part, self.resized)
    }

    /// A point of the caller's frame in the stored one.
    pub fn to_stored(&self, x: f64, y: f64) -> (f64, f64) {
        let (width, height) = (self.original.0 as f64, self.original.1 as f64);
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

    /// The corners of the part that the model saw, in the caller's frame: left and top, right and bottom.
    pub fn seen(&self) -> [(f64, f64); 2] {
        let (left, top) = (self.offset.0 as f64, self.offset.1 as f64);
        [(left, top), (left + self.part.0 as f64, top + self.part.1 as f64)]
    }
}

fn scale(x: f64, y: f64, from: (usize, usize), to: (usize, usize)) -> (f64, f64) {
    (x * to.0 as f64 / from.0 as f64, y * to.1 as f64 / from.1 as f64)
}
