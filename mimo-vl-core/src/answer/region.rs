//! Boxes and points of an answer in the caller's pixels.

use super::region_scanner::{RawGeometry, RawRegion};
use crate::media::Transform;

/// A labelled box, or labelled points, in an image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// Name of the object, from the key `label`.
    pub label: Option<String>,
    /// Text in the region, from the key `text_content`.
    pub text: Option<String>,
    /// The image or video of the conversation: an index into the answer's transforms.
    pub image: usize,
    /// Page number in its PDF file, from 1, if the image is a page.
    pub page: Option<usize>,
    /// Shape and coordinates.
    pub geometry: Geometry,
    /// Geometric mean of the probabilities of the region's tokens, from 0 to 1; `None` unless logprobs were requested.
    /// It is not calibrated: use it to rank regions, not as the probability that one is correct.
    pub confidence: Option<f32>,
}

/// The shape of a [`Region`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Geometry {
    /// A rectangle.
    Box(Coordinates<4>),
    /// Points, at least one.
    Points(Vec<Coordinates<2>>),
}

/// A box (`N` = 4: left, top, right, bottom) or a point (`N` = 2: x, y), in several coordinate systems.
///
/// The origin of an image is its top left corner, x grows to the right and y downwards, and pixel (0, 0) covers the
/// square from (0, 0) to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Coordinates<const N: usize> {
    /// The model's output: pixels of the resized image.
    pub model: [f64; N],
    /// Pixels of the caller's image as a viewer shows it, clamped to the part that the model saw.
    pub pixels: [f64; N],
    /// `pixels` divided by the size of the caller's image: from 0 to 1.
    pub normalized: [f64; N],
    /// Points of the PDF page, if the image is one: y grows upwards, and a box has its smaller values first.
    pub page: Option<[f64; N]>,
    /// `true` if the model's values lay outside the image, or a box had its sides swapped.
    pub clamped: bool,
}

impl<const N: usize> Coordinates<N> {
    fn new(model: [f64; N], transform: &Transform) -> Self {
        let [(left, top), (right, bottom)] = transform.seen();
        let mut clamped = false;
        let mut pixels = model;
        for point in pixels.chunks_exact_mut(2) {
            let (x, y) = transform.to_original(point[0], point[1]);
            let inside = [x.clamp(left, right), y.clamp(top, bottom)];
            // The tolerance excludes the rounding error of the transform.
            clamped |= (inside[0] - x).abs() > 1e-6 || (inside[1] - y).abs() > 1e-6;
            point.copy_from_slice(&inside);
        }
        if let [x1, y1, x2, y2] = &mut pixels[..] {
            for (start, end) in [(x1, x2), (y1, y2)] {
                if start > end {
                    std::mem::swap(start, end);
                    clamped = true;
                }
            }
        }
        let size = [transform.original.0 as f64, transform.original.1 as f64];
        let normalized = std::array::from_fn(|index| pixels[index] / size[index % 2]);
        let page = transform.page.map(|page| page.place(pixels));
        Self { model, pixels, normalized, page, clamped }
    }
}

impl Coordinates<4> {
    /// The center, in the caller's pixels.
    pub fn center(&self) -> [f64; 2] {
        let [left, top, right, bottom] = self.pixels;
        [(left + right) / 2.0, (top + bottom) / 2.0]
    }
}

impl Region {
    /// Converts a region to the caller's pixels. `transform` belongs to image number `image`.
    pub(super) fn new(raw: RawRegion, image: usize, transform: &Transform) -> Self {
        let RawRegion { geometry, label, text, .. } = raw;
        let geometry = match geometry {
            RawGeometry::Box(edges) => Geometry::Box(Coordinates::new(edges, transform)),
            RawGeometry::Points(points) => {
                Geometry::Points(points.into_iter().map(|point| Coordinates::new(point, transform)).collect())
            }
        };
        Self { label, text, image, page: page_number(transform), geometry, confidence: None }
    }

    /// The box; `None` for points.
    pub fn as_box(&self) -> Option<&Coordinates<4>> {
        match &self.geometry {
            Geometry::Box(coordinates) => Some(coordinates),
            Geometry::Points(_) => None,
        }
    }

    /// The points; empty for a box.
    pub fn points(&self) -> &[Coordinates<2>] {
        match &self.geometry {
            Geometry::Box(_) => &[],
            Geometry::Points(points) => points,
        }
    }

    /// Reinterprets the model's coordinates as those of another image of the conversation.
    #[must_use]
    pub fn in_image(&self, image: usize, transform: &Transform) -> Self {
        let geometry = match &self.geometry {
            Geometry::Box(coordinates) => Geometry::Box(Coordinates::new(coordinates.model, transform)),
            Geometry::Points(points) => {
                Geometry::Points(points.iter().map(|point| Coordinates::new(point.model, transform)).collect())
            }
        };
        Self { image, page: page_number(transform), geometry, ..self.clone() }
    }
}

fn page_number(transform: &Transform) -> Option<usize> {
    transform.page.map(|page| page.number)
}
