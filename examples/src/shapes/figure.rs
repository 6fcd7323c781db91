//! Outlines of shapes, and their crossings with rows of an image.

use super::random::Random;
use super::scene::{Object, Shape};

/// An outline in pixels.
#[derive(Debug, Clone)]
pub(crate) enum Figure {
    /// A circle.
    Disc { x: f64, y: f64, radius: f64 },
    /// A simple polygon.
    Polygon(Vec<[f64; 2]>),
}

impl Figure {
    /// Draws a figure of the object's shape, inside its box.
    pub(crate) fn of(object: &Object, rng: &mut Random) -> Self {
        let radius = f64::from(object.size) / 2.0;
        let (x, y) = (f64::from(object.left) + radius, f64::from(object.top) + radius);
        let unit = match object.shape {
            Shape::Circle => return Self::Disc { x, y, radius },
            Shape::Square => square(rng),
            Shape::Triangle => triangle(rng),
            Shape::Star => star(rng),
        };
        Self::Polygon(unit.into_iter().map(|[a, b]| [x + a * radius, y + b * radius]).collect())
    }

    /// Left, top, right and bottom.
    pub(crate) fn bounds(&self) -> [f64; 4] {
        match self {
            Self::Disc { x, y, radius } => [x - radius, y - radius, x + radius, y + radius],
            Self::Polygon(points) => {
                let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
                points.iter().fold(start, |[left, top, right, bottom], &[x, y]| {
                    [left.min(x), top.min(y), right.max(x), bottom.max(y)]
                })
            }
        }
    }

    /// The figure shrunk by `margin` pixels on every side of its box.
    pub(crate) fn inset(&self, margin: f64) -> Self {
        match self {
            Self::Disc { x, y, radius } => Self::Disc { x: *x, y: *y, radius: radius - margin },
            Self::Polygon(points) => {
                let count = points.len() as f64;
                let centre = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f64>() / count);
                let reach = points.iter().map(|p| (p[0] - centre[0]).abs().max((p[1] - centre[1]).abs()));
                let scale = 1.0 - 1.5 * margin / reach.fold(1.0, f64::max);
                let moved = |p: &[f64; 2]| [0, 1].map(|axis| centre[axis] + (p[axis] - centre[axis]) * scale);
                Self::Polygon(points.iter().map(moved).collect())
            }
        }
    }

    /// Writes to `crossings` the x coordinates, ascending, at which the horizontal line at `line` enters and leaves the
    /// figure.
    pub(crate) fn crossings(&self, line: f64, crossings: &mut Vec<f64>) {
        crossings.clear();
        match self {
            Self::Disc { x, y, radius } => {
                let square = radius * radius - (line - y) * (line - y);
                if square > 0.0 {
                    let half = square.sqrt();
                    crossings.extend([x - half, x + half]);
                }
            }
            Self::Polygon(points) => {
                let next = points.iter().cycle().skip(1);
                for (a, b) in points.iter().zip(next) {
                    if (a[1] <= line) != (b[1] <= line) {
                        crossings.push(a[0] + (line - a[1]) / (b[1] - a[1]) * (b[0] - a[0]));
                    }
                }
                crossings.sort_by(f64::total_cmp);
            }
        }
    }
}

fn square(rng: &mut Random) -> Vec<[f64; 2]> {
    let corners = vec![[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]];
    match rng.weighted(&[86, 9, 5]) {
        0 => corners,
        1 => fitted(rotated(corners, rng.between(-15.0, 15.0))),
        _ => fitted(rotated(corners, rng.pick(&[45.0, 45.0, 30.0, 60.0]))),
    }
}

fn triangle(rng: &mut Random) -> Vec<[f64; 2]> {
    // Half the square root of 3.
    const HIGH: f64 = 0.866_025_403_784_438_6;
    let upright = match rng.weighted(&[50, 25, 22, 3]) {
        0 => vec![[0.0, -1.0], [1.0, 1.0], [-1.0, 1.0]],
        1 => vec![[0.0, -HIGH], [1.0, HIGH], [-1.0, HIGH]],
        2 => vec![[0.0, -1.0], [HIGH, 0.5], [-HIGH, 0.5]],
        _ => vec![[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]],
    };
    match rng.weighted(&[82, 6, 12]) {
        0 => upright,
        1 => upright.into_iter().map(|[x, y]| [x, -y]).collect(),
        _ => fitted(rotated(upright, rng.between(0.0, 360.0))),
    }
}

fn star(rng: &mut Random) -> Vec<[f64; 2]> {
    let (points, inner) = match rng.weighted(&[94, 3, 3]) {
        0 => (5, if rng.chance(0.3) { 0.382 } else { rng.between(0.36, 0.52) }),
        1 => (4, rng.between(0.3, 0.42)),
        _ => (6, rng.between(0.45, 0.577)),
    };
    let angle = if rng.chance(0.85) { 0.0 } else { rng.between(0.0, 360.0) };
    let corner = |k: usize| {
        let reach = if k.is_multiple_of(2) { 1.0 } else { inner };
        let (cos, sin) = direction(angle + 180.0 * k as f64 / points as f64);
        [sin * reach, -cos * reach]
    };
    let corners: Vec<_> = (0..2 * points).map(corner).collect();
    if rng.chance(0.5) { corners } else { fitted(corners) }
}

/// Centers the points in the box from -1 to 1 and scales their larger extent to it.
fn fitted(points: Vec<[f64; 2]>) -> Vec<[f64; 2]> {
    let range = |axis: usize| {
        let values = || points.iter().map(|point| point[axis]);
        (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    let scale = 2.0 / (right - left).max(bottom - top);
    let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    points.iter().map(|p| [(p[0] - x) * scale, (p[1] - y) * scale]).collect()
}

fn rotated(points: Vec<[f64; 2]>, degrees: f64) -> Vec<[f64; 2]> {
    let (cos, sin) = direction(degrees);
    points.into_iter().map(|[x, y]| [cos * x - sin * y, sin * x + cos * y]).collect()
}

/// Cosine and sine of an angle in degrees.
///
/// Those of the standard library differ between platforms in the last bit. Here the angle is reduced to at most 45
/// degrees, and the Taylor series is summed in a fixed order.
fn direction(degrees: f64) -> (f64, f64) {
    let quarter = (degrees / 90.0 + 0.5).floor();
    let x = (degrees - quarter * 90.0) * (std::f64::consts::PI / 180.0);
    let (mut cos, mut sin, mut term) = (0.0, 0.0, 1.0);
    for n in 0..16 {
        let sign = if n % 4 < 2 { 1.0 } else { -1.0 };
        if n % 2 == 0 {
            cos += sign * term
        } else {
            sin += sign * term
        }
        term = term * x / f64::from(n + 1);
    }
    match quarter.rem_euclid(4.0) as u8 {
        0 => (cos, sin),
        1 => (-sin, cos),
        2 => (-cos, -sin),
        _ => (sin, -cos),
    }
}
