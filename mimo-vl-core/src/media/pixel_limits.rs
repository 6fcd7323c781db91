//! Limits of the number of pixels of an image or a video frame.

/// Limits that the caller set for an image or for each frame of a video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct PixelLimits {
    pub(crate) min: Option<u32>,
    pub(crate) max: Option<u32>,
}

impl PixelLimits {
    /// The same limits with the maximum set to `max`, and the minimum lowered to it.
    pub(super) fn limited_to(self, max: u32) -> Self {
        Self { min: self.min.map(|min| min.min(max)), max: Some(max) }
    }

    /// The range of pixels: the caller's limits, and defaults for those not set. A default that contradicts a limit of
    /// the caller is ignored.
    ///
    /// The error is a reason that names the option.
    pub(crate) fn resolve(self, default_min: usize, default_max: f64) -> Result<PixelRange, String> {
        let (min, max) = (self.min.map(f64::from), self.max.map(f64::from));
        let default_min = Some(default_min as f64).filter(|&limit| limit <= max.unwrap_or(f64::INFINITY));
        let default_max = Some(default_max).filter(|&limit| limit >= min.unwrap_or(0.0));
        let range =
            PixelRange { min: min.or(default_min).unwrap_or(0.0), max: max.or(default_max).unwrap_or(f64::INFINITY) };
        range.check()
    }
}

/// Minimum and maximum number of pixels of a resized image. The maximum may be a fraction, of a budget of several
/// frames.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelRange {
    pub(super) min: f64,
    pub(super) max: f64,
}

impl PixelRange {
    /// Returns the range, or the reason why it is invalid.
    pub(super) fn check(self) -> Result<Self, String> {
        if self.max < 1.0 {
            Err("max_pixels is 0; it must be at least 1".to_owned())
        } else if self.min > self.max {
            Err(format!("min_pixels {} is above max_pixels {}", self.min, self.max))
        } else {
            Ok(self)
        }
    }
}
