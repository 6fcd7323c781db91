//! From the caller's pixels to those that the model saw, and back.

/// How a picture was brought to the size that the model saw.
///
/// Two frames of coordinates, both with the origin at the top left corner and x to the right:
/// - the *model's*: pixels of the resized picture, in which the model answers;
/// - the *caller's*: pixels of the picture as a viewer shows it, after the EXIF orientation.
///
/// Coordinates are continuous: pixel (0, 0) covers the square from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transform {
    /// Width and height in the caller's frame.
    pub original: (usize, usize),
    /// The EXIF orientation, 1 to 8, that leads from the stored picture to the caller's.
    pub orientation: u8,
    /// Width and height in the model's frame.
    pub resized: (usize, usize),
}

impl Transform {
    /// A point of the model's frame in the caller's.
    pub fn to_original(&self, x: f64, y: f64) -> (f64, f64) {
        scale(x, y, self.resized, self.original)
    }

    /// A point of the caller's frame in the model's.
    pub fn to_model(&self, x: f64, y: f64) -> (f64, f64) {
        scale(x, y, self.original, self.resized)
    }
}

fn scale(x: f64, y: f64, from: (usize, usize), to: (usize, usize)) -> (f64, f64) {
    (x * to.0 as f64 / from.0 as f64, y * to.1 as f64 / from.1 as f64)
}
