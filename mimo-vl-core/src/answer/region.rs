//! Boxes and points of an answer, in the caller's pixels.

use super::region_scanner::{RawGeometry, RawRegion};
use crate::media::Transform;

/// Something that the answer locates in a picture, with its name.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Region {
    /// What it is called, under the key `label`.
    pub label: Option<String>,
    /// The text that is written there, under the key `text_content`.
    pub text: Option<String>,
    /// In which picture or video of the conversation: an index into the answer's transforms.
    pub image: usize,
    /// On which page of its PDF file, from 1 on, if the picture shows one.
    pub page: Option<usize>,
    /// Where it is.
    pub geometry: Geometry,
    /// The geometric mean of the probabilities that the model gave to the tokens in which it wrote this; `None` unless
    /// logprobs were asked for. It is not calibrated: use it to sort, not as a probability of being right.
    pub confidence: Option<f32>,
}

/// Where a [`Region`] is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Geometry {
    /// A rectangle.
    Box(Coordinates<4>),
    /// One or several points.
    Points(Vec<Coordinates<2>>),
}

/// A box (`N` = 4: left, top, right, bottom) or a point (`N` = 2: x, y), in several frames.
///
/// In those of pictures the origin is the top left corner, x goes to the right, and pixel (0, 0) covers the square from (0, 0)
/// to (1, 1).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Coordinates<const N: usize> {
    /// As the model wrote it: pixels of the picture that it saw.
    pub model: [f64; N],
    /// Pixels of the caller's picture as a viewer shows it, within the part that the model saw.
    pub pixels: [f64; N],
    /// `pixels` over the size of the caller's picture: from 0 to 1.
    pub normalized: [f64; N],
    /// In points of the page of a PDF file, if the picture shows one: y goes upwards, and a box has the smaller values first.
    pub page: Option<[f64; N]>,
    /// Whether the model's values lay outside the picture, or a box had its sides the wrong way round.
    pub clamped: bool,
}

impl<const N: usize> Coordinates<N> {
    fn new(model: [f64; N], transform: &Transform) -> Self {
        let [(left, top), (right, bottom)] = transform.crop_corners();
        let mut clamped = false;
        let mut pixels = model;
        for point in pixels.chunks_exact_mut(2) {
            let (x, y) = transform.to_original(point[0], point[1]);
            let inside = [x.clamp(left, right), y.clamp(top, bottom)];
            // RoundingError of the way back is no fault of the model's.
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
        let size = [transform.full_size.0 as f64, transform.full_size.1 as f64];
        let normalized = std::array::from_fn(|index| pixels[index] / size[index % 2]);
        let page = transform.page.map(|page| page.map(pixels));
        Self { model, pixels, normalized, page, clamped }
    }
}

impl Coordinates<4> {
    /// The middle, in the caller's pixels.
    pub fn center(&self) -> [f64; 2] {
        let [left, top, right, bottom] = self.pixels;
        [(left + right) / 2.0, (top + bottom) / 2.0]
    }
}

impl Region {
    /// What was found, in the picture `image` of those that `transform` belongs to.
    pub(super) fn new(found: RawRegion, image: usize, transform: &Transform) -> Self {
        let RawRegion { geometry, label, text, .. } = found;
        let geometry = match geometry {
            RawGeometry::Box(edges) => Geometry::Box(Coordinates::new(edges, transform)),
            RawGeometry::Points(points) => {
                Geometry::Points(points.into_iter().map(|point| Coordinates::new(point, transform)).collect())
            }
        };
        Self { label, text, image, page: page_of(transform), geometry, confidence: None }
    }

    /// The rectangle, if it is one.
    pub fn as_box(&self) -> Option<&Coordinates<4>> {
        match &self.geometry {
            Geometry::Box(located) => Some(located),
            Geometry::Points(_) => None,
        }
    }

    /// The points; none for a rectangle.
    pub fn points(&self) -> &[Coordinates<2>] {
        match &self.geometry {
            Geometry::Box(_) => &[],
            Geometry::Points(points) => points,
        }
    }

    /// The same as if it were meant for another picture of the conversation.
    #[must_use]
    pub fn in_image(&self, image: usize, transform: &Transform) -> Self {
        let geometry = match &self.geometry {
            Geometry::Box(located) => Geometry::Box(Coordinates::new(located.model, transform)),
            Geometry::Points(points) => {
                Geometry::Points(points.iter().map(|point| Coordinates::new(point.model, transform)).collect())
            }
        };
        Self { image, page: page_of(transform), geometry, ..self.clone() }
    }
}

fn page_of(transform: &Transform) -> Option<usize> {
    transform.page.map(|page| page.number)
}
