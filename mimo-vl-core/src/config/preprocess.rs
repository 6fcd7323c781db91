//! `preprocessor_config.json`: how pixels become patches.

use serde::Deserialize;

use super::{CheckpointFiles, read_json};
use crate::error::{Error, Result};

/// Resizing, patches and normalisation of images.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PreprocessConfig {
    /// Side of a patch, in pixels.
    pub patch_size: usize,
    /// Frames that share one patch.
    pub temporal_patch_size: usize,
    /// Side of the block of patches that becomes one token.
    pub merge_size: usize,
    /// Minimum number of pixels of a resized image.
    pub min_pixels: usize,
    /// Maximum number of pixels of a resized image, unless the image has a limit of its own.
    pub max_pixels: usize,
    /// Maximum number of tokens of one image or video; larger ones are refused before memory is allocated.
    pub max_tokens: usize,
    /// Mean of each colour channel, in values from 0 to 1.
    pub image_mean: [f32; 3],
    /// Standard deviation of each colour channel, in the same values.
    pub image_std: [f32; 3],
}

impl Default for PreprocessConfig {
    /// MiMo-VL-7B's values; `max_pixels` is the documented cap of 4096 tokens.
    fn default() -> Self {
        Self {
            patch_size: 14,
            temporal_patch_size: 2,
            merge_size: 2,
            min_pixels: 4 * 28 * 28,
            max_pixels: 4096 * 28 * 28,
            max_tokens: 32_768,
            image_mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            image_std: [0.268_629_55, 0.261_302_6, 0.275_777_1],
        }
    }
}

#[derive(Deserialize)]
struct RawPreprocessConfig {
    patch_size: Option<usize>,
    temporal_patch_size: Option<usize>,
    merge_size: Option<usize>,
    min_pixels: Option<usize>,
    max_pixels: Option<usize>,
    resample: Option<u32>,
    rescale_factor: Option<f64>,
    image_mean: Option<[f32; 3]>,
    image_std: Option<[f32; 3]>,
}

impl PreprocessConfig {
    /// Reads `preprocessor_config.json` of a checkpoint directory; an absent file gives the defaults.
    ///
    /// `max_pixels` of the file applies where it is below the documented cap of 4096 tokens: published files have
    /// more than the model was evaluated with. The limits of an image take precedence over both.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read, [`Error::Checkpoint`] when a value is not supported.
    pub fn load(files: impl Into<CheckpointFiles>) -> Result<Self> {
        let files = files.into();
        let Some(raw): Option<RawPreprocessConfig> = read_json(&files, "preprocessor_config.json")? else {
            return Ok(Self::default());
        };
        let default = Self::default();
        let config = Self {
            patch_size: raw.patch_size.unwrap_or(default.patch_size),
            temporal_patch_size: raw.temporal_patch_size.unwrap_or(default.temporal_patch_size),
            merge_size: raw.merge_size.unwrap_or(default.merge_size),
            min_pixels: raw.min_pixels.unwrap_or(default.min_pixels),
            max_pixels: raw.max_pixels.map_or(default.max_pixels, |pixels| pixels.min(default.max_pixels)),
            image_mean: raw.image_mean.unwrap_or(default.image_mean),
            image_std: raw.image_std.unwrap_or(default.image_std),
            ..default
        };
        let steps = check_steps(raw.resample, raw.rescale_factor);
        steps
            .and_then(|()| config.validate())
            .map_err(|reason| Error::checkpoint(files.directory().join("preprocessor_config.json"), reason))?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), String> {
        let sizes = [
            ("patch_size", self.patch_size, 14),
            ("temporal_patch_size", self.temporal_patch_size, 2),
            ("merge_size", self.merge_size, 2),
        ];
        for (field, value, supported) in sizes {
            if value != supported {
                return Err(format!("{field} is {value}; only {supported} is supported"));
            }
        }
        if self.min_pixels > self.max_pixels {
            return Err(format!("min_pixels {} is above max_pixels {}", self.min_pixels, self.max_pixels));
        }
        if self.image_std.iter().any(|&std| !(std.is_finite() && std > 0.0)) {
            return Err(format!("image_std is {:?}; every value must be above 0", self.image_std));
        }
        Ok(())
    }

    /// The normalised value of each level of each colour channel: `(level/255 − mean) / std`.
    pub(crate) fn normalised(&self) -> [[f32; 256]; 3] {
        let value = |channel: usize, level| (level as f32 / 255.0 - self.image_mean[channel]) / self.image_std[channel];
        std::array::from_fn(|channel| std::array::from_fn(|level| value(channel, level)))
    }

    /// Side of the pixel square that becomes one token.
    pub fn factor(&self) -> usize {
        self.patch_size * self.merge_size
    }

    /// Number of values of one patch: channels × frames × rows × columns.
    pub fn patch_values(&self) -> usize {
        3 * self.temporal_patch_size * self.patch_size * self.patch_size
    }
}

/// Checks that resampling is bicubic and values are scaled to 0 to 1.
fn check_steps(resample: Option<u32>, rescale_factor: Option<f64>) -> Result<(), String> {
    const BICUBIC: u32 = 3;
    if let Some(other) = resample.filter(|&resample| resample != BICUBIC) {
        return Err(format!("resample is {other}; only {BICUBIC} (bicubic) is supported"));
    }
    match rescale_factor.filter(|factor| (factor - 1.0 / 255.0).abs() > 1e-9) {
        Some(other) => Err(format!("rescale_factor is {other}; only 1/255 is supported")),
        None => Ok(()),
    }
}
