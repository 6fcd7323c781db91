//! The size to which an image is resized: multiples of a factor, close to its aspect ratio, within limits of pixels.

use super::pixel_limits::PixelRange;
use crate::error::{Error, Result};

/// Maximum ratio of the longer side to the shorter one.
const MAX_RATIO: f64 = 200.0;

/// Returns the size (height, width) to which an image of `height` × `width` pixels is resized.
///
/// Each side is rounded to a multiple of `factor` (a half goes to the even multiple), and is at least one factor. A
/// size of more than `max_pixels` is then shrunk, rounding down, and one of fewer than `min_pixels` enlarged, rounding
/// up, with both sides scaled equally. This is `smart_resize` of qwen-vl-utils; the copy in transformers differs for
/// sides shorter than half a factor.
///
/// # Errors
/// [`Error::Image`] when a side is 0 or above 2³² − 1, or one is more than 200 times the other;
/// [`Error::Option`] when `factor` or `max_pixels` is 0, or `min_pixels` is above `max_pixels`.
pub fn smart_resize(
    height: usize,
    width: usize,
    factor: usize,
    min_pixels: usize,
    max_pixels: usize,
) -> Result<(usize, usize)> {
    if factor == 0 || factor > u32::MAX as usize {
        return Err(Error::option("factor", format!("{factor}; it must be between 1 and {}", u32::MAX)));
    }
    let range = PixelRange { min: min_pixels as f64, max: max_pixels as f64 };
    let range = range.check().map_err(|reason| Error::option("max_pixels", reason))?;
    target_size(height, width, factor, range)
        .map_err(|reason| Error::image(format!("image of {width}x{height} pixels"), reason))
}

/// [`smart_resize`] with a checked range. The error is a reason without the image's name.
pub(crate) fn target_size(
    height: usize,
    width: usize,
    factor: usize,
    range: PixelRange,
) -> std::result::Result<(usize, usize), String> {
    let (short, long) = (height.min(width), height.max(width));
    if short == 0 || long > u32::MAX as usize {
        return Err(format!("{width}x{height} pixels: both sides must be between 1 and {}", u32::MAX));
    }
    if long as f64 / short as f64 > MAX_RATIO {
        return Err(format!(
            "{width}x{height} pixels: one side is more than {MAX_RATIO} times the other; crop the image"
        ));
    }
    let (h, w, unit) = (height as f64, width as f64, factor as f64);
    let round = |side: f64| unit.max((side / unit).round_ties_even() * unit);
    let (mut new_h, mut new_w) = (round(h), round(w));
    if new_h * new_w > range.max {
        let shrink = (h * w / range.max).sqrt();
        let down = |side: f64| unit.max((side / shrink / unit).floor() * unit);
        (new_h, new_w) = (down(h), down(w));
    } else if new_h * new_w < range.min {
        let grow = (range.min / (h * w)).sqrt();
        let up = |side: f64| (side * grow / unit).ceil() * unit;
        (new_h, new_w) = (up(h), up(w));
    }
    Ok((new_h as usize, new_w as usize))
}
