//! The position of an image on a page of a PDF file.

use serde::{Deserialize, Serialize};

/// Position of an image on a page of a PDF file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageFrame {
    /// Number of the page in its file, from 1.
    pub number: usize,
    /// Affine map `[a, b, c, d, e, f]` from pixels of the full image to points of the page: pixel (x, y) is the point
    /// (a·x + c·y + e, b·x + d·y + f).
    pub to_points: [f64; 6],
}

impl PageFrame {
    /// Maps a point of the image, in pixels, to points of the page.
    pub fn map_point(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [a, b, c, d, e, f] = self.to_points;
        [a * x + c * y + e, b * x + d * y + f]
    }

    /// Maps a box (left, top, right, bottom) or a point of the image, in pixels, to points of the page. The box becomes
    /// (smaller x, smaller y, larger x, larger y).
    pub(crate) fn map<const N: usize>(&self, pixels: [f64; N]) -> [f64; N] {
        let mut points = pixels;
        for point in points.chunks_exact_mut(2) {
            point.copy_from_slice(&self.map_point([point[0], point[1]]));
        }
        if let [x1, y1, x2, y2] = &mut points[..] {
            (*x1, *x2) = (x1.min(*x2), x1.max(*x2));
            (*y1, *y2) = (y1.min(*y2), y1.max(*y2));
        }
        points
    }
}
