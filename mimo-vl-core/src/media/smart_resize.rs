//! The size to which a picture is resized: multiples of a factor, near its own shape, within limits of pixels.

use crate::error::{Error, Result};

/// Most times that one side may be longer than the other.
const MAX_RATIO: f64 = 200.0;

/// Fewest and most pixels of a resized picture; the most may be a fraction when a budget was divided.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelLimits {
    min: f64,
    max: f64,
}

impl PixelLimits {
    /// The caller's limits, and defaults for those not stated; a default that contradicts a stated limit is dropped.
    pub(crate) fn new(
        min: Option<u32>,
        max: Option<u32>,
        default_min: usize,
        default_max: f64,
    ) -> std::result::Result<Self, String> {
        let stated_min = min.map_or(0.0, f64::from);
        let stated_max = max.map_or(f64::INFINITY, f64::from);
        let default_min = Some(default_min as f64).filter(|&limit| limit <= stated_max).unwrap_or(0.0);
        let default_max = Some(default_max).filter(|&limit| limit >= stated_min).unwrap_or(f64::INFINITY);
        let limits = Self { min: min.map_or(default_min, f64::from), max: max.map_or(default_max, f64::from) };
        limits.check()
    }

    fn check(self) -> std::result::Result<Self, String> {
        if self.max < 1.0 {
            Err("max_pixels is 0; it must be at least 1".to_owned())
        } else if self.min > self.max {
            Err(format!("min_pixels {} is above max_pixels {}", self.min, self.max))
        } else {
            Ok(self)
        }
    }
}

/// The size, as (height, width), to which a picture of `height` × `width` pixels is resized.
///
/// Each side is rounded to a multiple of `factor` (a half goes to the even multiple), and is at least one
/// factor. A picture of more than `max_pixels` is then shrunk, rounding down, and one of fewer than `min_pixels`
/// enlarged, rounding up, with both sides scaled alike. This is `smart_resize` of qwen-vl-utils; the copy in
/// transformers differs for sides shorter than half a factor.
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
    let limits = PixelLimits { min: min_pixels as f64, max: max_pixels as f64 };
    let limits = limits.check().map_err(|reason| Error::option("max_pixels", reason))?;
    target_size(height, width, factor, limits)
        .map_err(|reason| Error::image(format!("image of {width}x{height} pixels"), reason))
}

/// [`smart_resize`] with checked limits; the error is a reason without the picture's name.
pub(crate) fn target_size(
    height: usize,
    width: usize,
    factor: usize,
    limits: PixelLimits,
) -> std::result::Result<(usize, usize), String> {
    let (short, long) = (height.min(width), height.max(width));
    if short == 0 || long > u32::MAX as usize {
        return Err(format!("{width}x{height} pixels: both sides must be between 1 and {}", u32::MAX));
    }
    if long as f64 / short as f64 > MAX_RATIO {
        return Err(format!(
            "{width}x{height} pixels: one side is more than {MAX_RATIO} times the other; crop the picture"
        ));
    }
    let (h, w, unit) = (height as f64, width as f64, factor as f64);
    let round = |side: f64| unit.max((side / unit).round_ties_even() * unit);
    let (mut new_h, mut new_w) = (round(h), round(w));
    if new_h * new_w > limits.max {
        let shrink = (h * w / limits.max).sqrt();
        let down = |side: f64| unit.max((side / shrink / unit).floor() * unit);
        (new_h, new_w) = (down(h), down(w));
    } else if new_h * new_w < limits.min {
        let grow = (limits.min / (h * w)).sqrt();
        let up = |side: f64| (side * grow / unit).ceil() * unit;
        (new_h, new_w) = (up(h), up(w));
    }
    Ok((new_h as usize, new_w as usize))
}
