//! The mapping between the pixels of a screenshot and a desktop.

use crate::error::{Error, Result};
use crate::media::Image;

/// A monitor: position and scale of its screenshot on the desktop.
///
/// Operating systems place windows and pointers in desktop units; one unit covers `scale` pixels of a monitor.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Screen {
    /// Left edge, in desktop units.
    pub left: f64,
    /// Top edge, in desktop units.
    pub top: f64,
    /// Width of its screenshot, in pixels.
    pub width: u32,
    /// Height of its screenshot, in pixels.
    pub height: u32,
    /// Pixels per desktop unit: 1, or for example 1.25, 1.5 or 2 on high-density monitors.
    pub scale: f64,
}

impl Screen {
    /// Creates a monitor from its left and top edge in desktop units, the width and height of its screenshot in pixels,
    /// and the pixels per desktop unit.
    ///
    /// # Errors
    /// [`Error::Option`] when an edge is not finite, a side is 0, or the scale is not a finite number above 0.
    pub fn new([left, top]: [f64; 2], [width, height]: [u32; 2], scale: f64) -> Result<Self> {
        if !(left.is_finite() && top.is_finite()) {
            return Err(Error::option("screen", format!("its edges are at ({left}, {top}); both must be finite")));
        }
        if width == 0 || height == 0 {
            return Err(Error::option("screen", format!("{width}x{height} pixels; both sides must be at least 1")));
        }
        if !(scale.is_finite() && scale > 0.0) {
            return Err(Error::option("scale", format!("{scale} pixels a unit; it must be a finite number above 0")));
        }
        Ok(Self { left, top, width, height, scale })
    }

    /// Converts a point of the screenshot, in pixels, to desktop units.
    pub fn to_desktop(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [self.left + x / self.scale, self.top + y / self.scale]
    }

    /// Converts a point of the desktop to pixels of the screenshot.
    pub fn to_pixels(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x - self.left) * self.scale, (y - self.top) * self.scale]
    }

    /// Returns `true` if this monitor contains a point of the desktop.
    pub fn contains(&self, point: [f64; 2]) -> bool {
        let [x, y] = self.to_pixels(point);
        (0.0..f64::from(self.width)).contains(&x) && (0.0..f64::from(self.height)).contains(&y)
    }
}

/// The index of the monitor that contains a point of the desktop.
pub fn screen_at(screens: &[Screen], point: [f64; 2]) -> Option<usize> {
    screens.iter().position(|screen| screen.contains(point))
}

/// Crops a screenshot around a point (in pixels) to `1 / zoom` of each side, for a second prompt about small details.
/// Coordinates in answers stay in the pixels of the full screenshot. At the edges the crop is moved inwards.
///
/// # Errors
/// [`Error::Option`] when `zoom` is not a finite number of at least 1.
pub fn zoom_crop(screenshot: &Image, [x, y]: [f64; 2], zoom: f64) -> Result<Image> {
    if !(zoom.is_finite() && zoom >= 1.0) {
        return Err(Error::option("zoom", format!("{zoom}; it must be a finite number of at least 1")));
    }
    let side = |center: f64, size: u32| {
        let part = ((f64::from(size) / zoom).round() as u32).clamp(1, size);
        let start = (center - f64::from(part) / 2.0).round().clamp(0.0, f64::from(size - part));
        (start as u32, part)
    };
    let (offset, part) = (screenshot.offset(), screenshot.part());
    let local = |at: f64, start: u32, size: u32, part: u32| (at - f64::from(start)) * f64::from(size) / f64::from(part);
    let (left, width) = side(local(x, offset.0, screenshot.width(), part.0), screenshot.width());
    let (top, height) = side(local(y, offset.1, screenshot.height(), part.1), screenshot.height());
    screenshot.crop(left, top, width, height)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn points_map_to_their_monitor_and_back() {
        let left = Screen::new([0.0, 0.0], [2880, 1800], 2.0).unwrap();
        let right = Screen::new([1440.0, -100.0], [1920, 1080], 1.0).unwrap();
        let screens = [left, right];
        assert_eq!(left.to_desktop([2879.0, 900.0]), [1439.5, 450.0]);
        assert_eq!(screen_at(&screens, [1439.5, 450.0]), Some(0));
        assert_eq!(screen_at(&screens, right.to_desktop([0.0, 0.0])), Some(1));
        assert_eq!(screen_at(&screens, [1440.0, -101.0]), None);
        assert_eq!(right.to_pixels(right.to_desktop([7.0, 9.0])), [7.0, 9.0]);
        let refused = |edges, size, scale| matches!(Screen::new(edges, size, scale), Err(Error::Option { .. }));
        assert!([0.0, -1.0, f64::NAN, f64::INFINITY].into_iter().all(|scale| refused([0.0; 2], [9, 9], scale)));
        assert!(refused([f64::NAN, 0.0], [9, 9], 1.0) && refused([0.0; 2], [9, 0], 1.0));
    }

    #[test]
    fn a_zoom_crop_stays_inside_the_screenshot() {
        let screenshot = Image::from_rgb(100, 50, 300, &vec![7; 100 * 50 * 3]).unwrap();
        let part = |center, zoom| {
            let part = zoom_crop(&screenshot, center, zoom).unwrap();
            (part.offset(), part.width(), part.height(), part.whole())
        };
        assert_eq!(part([50.0, 25.0], 2.0), ((25, 13), 50, 25, (100, 50)));
        assert_eq!(part([0.0, 0.0], 4.0), ((0, 0), 25, 13, (100, 50)));
        assert_eq!(part([999.0, 49.0], 4.0), ((75, 37), 25, 13, (100, 50)));
        assert_eq!(part([5.0, 5.0], 1e9), ((5, 5), 1, 1, (100, 50)));
        let twice = zoom_crop(&zoom_crop(&screenshot, [60.0, 30.0], 2.0).unwrap(), [60.0, 30.0], 2.0).unwrap();
        assert_eq!((twice.offset(), twice.width(), twice.height()), ((48, 24), 25, 13));
        for zoom in [0.5, f64::NAN, f64::INFINITY] {
            assert!(matches!(zoom_crop(&screenshot, [0.0, 0.0], zoom), Err(Error::Option { option: "zoom", .. })));
        }
    }
}
