//! An image without its pixels, as a saved session stores it.

use serde::{Deserialize, Serialize};

use super::{CropFrame, Image, PageFrame, PixelLimits};
use crate::error::{Error, Result};

/// The fields of an image except for its pixels, under the names of the file format.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    name: String,
    orientation: u8,
    #[serde(rename = "whole")]
    full_size: (u32, u32),
    offset: (u32, u32),
    #[serde(rename = "part")]
    crop_size: (u32, u32),
    min_pixels: Option<u32>,
    max_pixels: Option<u32>,
    #[serde(default)]
    page: Option<PageFrame>,
}

impl ImageRecord {
    /// Returns the image with these pixels.
    ///
    /// # Errors
    /// [`Error::Image`] as for [`Image::from_rgb`], and when the crop does not lie in the full image.
    pub(crate) fn into_image(self, width: usize, height: usize, pixels: &[u8]) -> Result<Image> {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        let image = Image::from_rgb(side(width), side(height), width.saturating_mul(3), pixels)?;
        let Self { name, orientation, full_size, offset, crop_size, min_pixels, max_pixels, page } = self;
        let crop = CropFrame { orientation, full_size, offset, size: crop_size, page };
        if !crop.is_valid() {
            let reason = format!("the part {crop_size:?} at {offset:?} does not lie in {full_size:?}");
            return Err(Error::image(name, reason));
        }
        let limits = PixelLimits { min: min_pixels, max: max_pixels };
        Ok(Image { name: name.into(), crop, limits, ..image })
    }
}

impl Image {
    /// The fields of the image except for its pixels.
    pub(crate) fn to_record(&self) -> ImageRecord {
        let CropFrame { orientation, full_size, offset, size, page } = self.crop;
        ImageRecord {
            name: self.name.to_string(),
            orientation,
            full_size,
            offset,
            crop_size: size,
            min_pixels: self.limits.min,
            max_pixels: self.limits.max,
            page,
        }
    }
}
