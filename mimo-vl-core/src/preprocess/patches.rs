//! Patches: resized frames split into patches, in the order of the vision tower.

use rayon::prelude::*;

use super::grid::Grid;
use super::layout::{Layout, image_layout, video_layout};
use crate::cancel::TaskControl;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Bicubic, Image, Transform, Video, resize};

/// The patches of one image or video.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Patches {
    /// Number of patches along each axis.
    pub grid: Grid,
    /// 8-bit pixels, `[patches, 1176]`, not normalised. Each row is one patch: (channel, frame of the pair, row,
    /// column) = (3, 2, 14, 14). Rows are ordered by time, then by the blocks of 2×2 patches that become one token
    /// (block row, block column), then by the patches of the block (row, column).
    pub pixels: Vec<u8>,
    /// Seconds per step of the grid in time; `None` for an image.
    pub second_per_grid: Option<f64>,
    /// Transform between the caller's pixels and the resized ones.
    pub transform: Transform,
}

impl Patches {
    /// The normalised input of the vision tower: `[patches, 1176]`, each value `(pixel / 255 − mean) / std` of its
    /// channel.
    pub fn values(&self, config: &PreprocessConfig) -> Vec<f32> {
        let tables = config.normalised();
        let planes = self.pixels.chunks(config.patch_values() / 3).zip(tables.iter().cycle());
        planes.flat_map(|(plane, table)| plane.iter().map(|&pixel| table[usize::from(pixel)])).collect()
    }

    /// Creates patches from normalised values in the layout of [`values`](Self::values), `[patches, 1176]`, rounded to
    /// 8 bits. `second_per_grid` is `None`, and the caller's pixels are those of the resized image.
    ///
    /// # Errors
    /// [`Error::Image`] when the height or width of `grid` is odd or 0, or its time is 0; when the number of values
    /// does not match it; or when a value is not finite.
    pub fn from_values(values: &[f32], grid: Grid, config: &PreprocessConfig) -> Result<Self> {
        let Grid { t, h, w } = grid;
        let invalid = |reason: String| Err(Error::image("pixel values", reason));
        if t == 0 || h == 0 || w == 0 || h % config.merge_size != 0 || w % config.merge_size != 0 {
            return invalid(format!("a grid of {t}×{h}×{w} patches: h and w must be even, none may be 0"));
        }
        if grid.patches().checked_mul(config.patch_values()) != Some(values.len()) {
            let (count, each) = (values.len(), config.patch_values());
            return invalid(format!("{count} values do not match a grid of {t}×{h}×{w} patches of {each} values"));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return invalid(format!("value {index} is {}", values[index]));
        }
        let planes = values.chunks(config.patch_values() / 3).zip((0..3).cycle());
        let pixels = planes.flat_map(|(plane, channel)| {
            let (mean, std) = (config.image_mean[channel], config.image_std[channel]);
            // The cast saturates at 0 and 255.
            plane.iter().map(move |value| ((value * std + mean) * 255.0).round() as u8)
        });
        let size = (w * config.patch_size, h * config.patch_size);
        let transform =
            Transform { original: size, orientation: 1, offset: (0, 0), part: size, resized: size, page: None };
        Ok(Self { grid, pixels: pixels.collect(), second_per_grid: None, transform })
    }
}

/// Resizes `frames`, all of one size, to `layout` and splits them into patches. The last frame fills up an incomplete
/// group.
///
/// # Errors
/// [`Error::ContextTooLong`], before anything is resized, when the layout has more tokens than `config` allows;
/// [`Error::Cancelled`] and [`Error::Timeout`], checked before each group of frames.
fn patchify(
    frames: &[Image],
    layout: Layout,
    bicubic: Bicubic,
    config: &PreprocessConfig,
    control: &TaskControl,
) -> Result<Patches> {
    let Layout { grid, second_per_grid, transform } = layout;
    if grid.tokens() > config.max_tokens {
        return Err(Error::ContextTooLong { tokens: grid.tokens(), limit: config.max_tokens });
    }
    let step = grid.h * grid.w * config.patch_values();
    let mut pixels = vec![0; grid.t * step];
    pixels.par_chunks_mut(step).zip(frames.par_chunks(config.temporal_patch_size)).try_for_each(|(rows, group)| {
        control.check()?;
        let mut resized = group.iter().map(|frame| {
            resize(frame.pixels(), (frame.height() as usize, frame.width() as usize), layout.size(), bicubic)
        });
        let mut last = None;
        for index in 0..config.temporal_patch_size {
            let next = resized.next().transpose()?;
            last = next.or(last);
            if let Some(frame) = &last {
                write_frame(rows, frame, index, grid, config);
            }
        }
        Ok(())
    })?;
    Ok(Patches { grid, pixels, second_per_grid, transform })
}

/// Writes one resized frame, `[height, width, 3]`, as frame `index` of its group into the rows of its patches.
fn write_frame(rows: &mut [u8], frame: &[u8], index: usize, grid: Grid, config: &PreprocessConfig) {
    let (patch, merge, frames) = (config.patch_size, config.merge_size, config.temporal_patch_size);
    let stride = grid.w * patch * 3;
    for (number, row) in rows.chunks_exact_mut(config.patch_values()).enumerate() {
        let (block, inner) = (number / (merge * merge), number % (merge * merge));
        let blocks_wide = grid.w / merge;
        let top = (block / blocks_wide * merge + inner / merge) * patch;
        let left = (block % blocks_wide * merge + inner % merge) * patch;
        for (channel, plane) in row.chunks_exact_mut(frames * patch * patch).enumerate() {
            let plane = &mut plane[index * patch * patch..][..patch * patch];
            for (y, out) in plane.chunks_exact_mut(patch).enumerate() {
                let source = &frame[(top + y) * stride + left * 3..][..patch * 3];
                for (value, pixel) in out.iter_mut().zip(source.chunks_exact(3)) {
                    *value = pixel[channel];
                }
            }
        }
    }
}

/// Resizes an image and splits it into patches. It counts as two equal frames.
///
/// The image's own pixel limits take precedence over those of `config`.
///
/// # Errors
/// [`Error::Image`] when the sides differ by more than a factor of 200, or the limits contradict each other;
/// [`Error::ContextTooLong`] for more than `config.max_tokens` tokens.
pub fn preprocess_image(image: &Image, config: &PreprocessConfig) -> Result<Patches> {
    preprocess_image_cancellable(image, config, &TaskControl::default())
}

/// [`preprocess_image`] that `cancel` can stop.
pub(crate) fn preprocess_image_cancellable(
    image: &Image,
    config: &PreprocessConfig,
    control: &TaskControl,
) -> Result<Patches> {
    patchify(std::slice::from_ref(image), image_layout(image, config)?, Bicubic::Pillow, config, control)
}

/// Resizes a video and splits it into patches, two frames per step in time. The last of an odd number of frames is
/// repeated.
///
/// The pixels of a frame are limited by the video's `max_pixels` and by [`frame_pixels`](crate::expert::frame_pixels)
/// of its budget (default 115,200 tokens for the entire video), and are at least its `min_pixels` (default 128 tokens).
///
/// # Errors
/// [`Error::Image`] and [`Error::ContextTooLong`], as for [`preprocess_image`].
pub fn preprocess_video(video: &Video, config: &PreprocessConfig) -> Result<Patches> {
    preprocess_video_cancellable(video, config, &TaskControl::default())
}

/// [`preprocess_video`] that `cancel` can stop.
pub(crate) fn preprocess_video_cancellable(
    video: &Video,
    config: &PreprocessConfig,
    control: &TaskControl,
) -> Result<Patches> {
    patchify(video.frames(), video_layout(video, config)?, Bicubic::Torchvision, config, control)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Two by two patches with every pixel value, in an irregular order.
    fn patches(config: &PreprocessConfig) -> Patches {
        let pixels = (0..4 * config.patch_values()).map(|index| (index * 97 / 5) as u8);
        let image = Image::from_rgb(28, 28, 84, &[0; 28 * 84]).unwrap();
        let grid = Grid { t: 1, h: 2, w: 2 };
        let transform = Transform::new(&image, (28, 28));
        Patches { grid, pixels: pixels.collect(), second_per_grid: None, transform }
    }

    #[test]
    fn each_channel_is_normalised_by_its_own_mean_and_std() {
        let config =
            PreprocessConfig { image_mean: [0.5, 0.25, 0.0], image_std: [0.5, 0.25, 2.0], ..Default::default() };
        let mut patches = patches(&config);
        patches.pixels[..1176].fill(255);
        patches.pixels[1176..2352].fill(0);
        let values = patches.values(&config);
        assert_eq!(values.len(), 4 * 1176);
        let (offsets, expected) = ([0, 391, 392, 783, 784, 1175], [1.0, 1.0, 3.0, 3.0, 0.5, 0.5]);
        assert_eq!(offsets.map(|offset| values[offset]), expected);
        assert_eq!(offsets.map(|offset| values[1176 + offset]), [-1.0, -1.0, -1.0, -1.0, 0.0, 0.0]);
    }

    #[test]
    fn pixels_survive_normalisation_exactly() {
        let config = PreprocessConfig::default();
        let patches = patches(&config);
        let values = patches.values(&config);
        let half: Vec<f32> = values.iter().map(|&value| half::f16::from_f32(value).to_f32()).collect();
        for values in [values, half] {
            assert_eq!(Patches::from_values(&values, patches.grid, &config).unwrap(), patches);
        }
        let bright = Patches::from_values(&vec![9.0; 4 * 1176], patches.grid, &config).unwrap();
        assert_eq!(bright.pixels, [255; 4 * 1176]);
    }

    #[test]
    fn values_that_do_not_match_the_grid_are_errors() {
        let config = PreprocessConfig::default();
        let assert_error = |values: &[f32], t, h, w| {
            let result = Patches::from_values(values, Grid { t, h, w }, &config);
            assert!(matches!(result, Err(Error::Image { .. })), "{t} {h} {w}");
        };
        let values = vec![0.0; 4 * 1176];
        for (t, h, w) in [(0, 2, 2), (1, 0, 2), (1, 4, 1), (1, 1, 4), (2, 2, 2), (1, 2, usize::MAX - 1)] {
            assert_error(&values, t, h, w);
        }
        assert_error(&values[1..], 1, 2, 2);
        assert_error(&[&values[1..], &[f32::NAN]].concat(), 1, 2, 2);
    }
}
