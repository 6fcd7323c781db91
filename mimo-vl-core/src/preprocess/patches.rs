//! Resized frames cut into patches, in the order in which the vision tower reads them.

use rayon::prelude::*;

use super::grid::Grid;
use super::layout::{Layout, image_layout, video_layout};
use crate::cancel::TaskControl;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::media::{Bicubic, Image, Transform, Video, resize};

/// The patches of one picture or video.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Patches {
    /// How many patches there are along each axis.
    pub grid: Grid,
    /// `[patches, 1176]`, not normalised: one row per patch, in it (colour, frame of the pair, row, column) =
    /// (3, 2, 14, 14). Rows go through time, then through the blocks of 2×2 patches that become one token
    /// (block row, block column), then through the patches of the block (row, column).
    pub pixels: Vec<u8>,
    /// Seconds between two steps in time; `None` for a picture.
    pub second_per_grid: Option<f64>,
    /// From the caller's pixels to the resized ones and back.
    pub transform: Transform,
}

impl Patches {
    /// The patches as the vision tower gets them: `[patches, 1176]`, each value `(level/255 − mean) / std` of its colour.
    pub fn values(&self, config: &PreprocessConfig) -> Vec<f32> {
        let tables = config.normalised();
        let planes = self.pixels.chunks(config.patch_values() / 3).zip(tables.iter().cycle());
        planes.flat_map(|(plane, table)| plane.iter().map(|&level| table[usize::from(level)])).collect()
    }

    /// Patches from what [`values`](Self::values) gives, or what others made in the same layout: `[patches, 1176]`, row by
    /// row, rounded to levels from 0 to 255. `second_per_grid` is `None`, and pixels of the caller are those of the
    /// resized picture.
    ///
    /// # Errors
    /// [`Error::Image`] when `grid` has an odd or no height or width, or no time; when there are more or fewer values than
    /// it says; when one is not finite.
    pub fn from_values(values: &[f32], grid: Grid, config: &PreprocessConfig) -> Result<Self> {
        let Grid { t, h, w } = grid;
        let refused = |reason: String| Err(Error::image("pixel values", reason));
        if t == 0 || h == 0 || w == 0 || h % config.merge_size != 0 || w % config.merge_size != 0 {
            return refused(format!("a grid of {t}×{h}×{w} patches: h and w must be even, none may be 0"));
        }
        if grid.patches().checked_mul(config.patch_values()) != Some(values.len()) {
            let (count, each) = (values.len(), config.patch_values());
            return refused(format!("{count} values, and the grid is {t}×{h}×{w} patches of {each}"));
        }
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            return refused(format!("value {index} is {}", values[index]));
        }
        let planes = values.chunks(config.patch_values() / 3).zip((0..3).cycle());
        let levels = planes.flat_map(|(plane, colour)| {
            let (mean, std) = (config.image_mean[colour], config.image_std[colour]);
            // The cast keeps to 0 and 255.
            plane.iter().map(move |value| ((value * std + mean) * 255.0).round() as u8)
        });
        let size = (w * config.patch_size, h * config.patch_size);
        let transform =
            Transform { full_size: size, orientation: 1, crop_offset: (0, 0), crop_size: size, resized: size, page: None };
        Ok(Self { grid, pixels: levels.collect(), second_per_grid: None, transform })
    }
}

/// Resize `frames`, all of one size, as `layout` says, and patchify them; the last frame stands in for a missing one.
///
/// [`Error::ContextTooLong`] when that would be more tokens than `config` allows: before anything is resized;
/// [`Error::Cancelled`] and [`Error::Timeout`], asked for before each group of frames.
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

/// Write one resized frame, `[height, width, 3]`, as frame `index` of its group into the rows of all its patches.
fn write_frame(rows: &mut [u8], frame: &[u8], index: usize, grid: Grid, config: &PreprocessConfig) {
    let (patch, merge, frames) = (config.patch_size, config.merge_size, config.temporal_patch_size);
    let line = grid.w * patch * 3;
    for (number, row) in rows.chunks_exact_mut(config.patch_values()).enumerate() {
        let (block, inner) = (number / (merge * merge), number % (merge * merge));
        let blocks_wide = grid.w / merge;
        let top = (block / blocks_wide * merge + inner / merge) * patch;
        let left = (block % blocks_wide * merge + inner % merge) * patch;
        for (colour, plane) in row.chunks_exact_mut(frames * patch * patch).enumerate() {
            let plane = &mut plane[index * patch * patch..][..patch * patch];
            for (y, out) in plane.chunks_exact_mut(patch).enumerate() {
                let source = &frame[(top + y) * line + left * 3..][..patch * 3];
                for (value, pixel) in out.iter_mut().zip(source.chunks_exact(3)) {
                    *value = pixel[colour];
                }
            }
        }
    }
}

/// Cut a picture into patches; it counts as two equal frames.
///
/// The size follows the picture's own limits where it has some, else those of `config` that do not contradict them.
///
/// # Errors
/// [`Error::Image`] when the sides differ by more than a factor of 200, or the limits contradict each other;
/// [`Error::ContextTooLong`] when it would be more than `config.max_tokens` tokens.
pub fn preprocess_image(image: &Image, config: &PreprocessConfig) -> Result<Patches> {
    preprocess_image_cancellable(image, config, &TaskControl::default())
}

/// [`preprocess_image`], unless a stop is asked for.
pub(crate) fn preprocess_image_cancellable(
    image: &Image,
    config: &PreprocessConfig,
    control: &TaskControl,
) -> Result<Patches> {
    patchify(std::slice::from_ref(image), image_layout(image, config)?, Bicubic::Pillow, config, control)
}

/// Cut a video into patches, two frames at a time; after an odd number of frames the last is repeated.
///
/// A frame has at most the pixels that the video states, and at most [`frame_pixels`] of its budget, which is 115,200
/// tokens for the whole video unless it states another; at least those that it states, else 128 tokens.
///
/// # Errors
/// [`Error::Image`] and [`Error::ContextTooLong`], as for [`preprocess_image`].
pub fn preprocess_video(video: &Video, config: &PreprocessConfig) -> Result<Patches> {
    preprocess_video_cancellable(video, config, &TaskControl::default())
}

/// [`preprocess_video`], unless a stop is asked for.
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

    /// Two patches by two of all levels, in an order without a pattern.
    fn patches(config: &PreprocessConfig) -> Patches {
        let levels = (0..4 * config.patch_values()).map(|index| (index * 97 / 5) as u8);
        let image = Image::from_rgb(28, 28, 84, &[0; 28 * 84]).unwrap();
        let grid = Grid { t: 1, h: 2, w: 2 };
        let transform = Transform::new(&image, (28, 28));
        Patches { grid, pixels: levels.collect(), second_per_grid: None, transform }
    }

    #[test]
    fn values_are_those_of_each_colour() {
        let config =
            PreprocessConfig { image_mean: [0.5, 0.25, 0.0], image_std: [0.5, 0.25, 2.0], ..Default::default() };
        let mut patches = patches(&config);
        patches.pixels[..1176].fill(255);
        patches.pixels[1176..2352].fill(0);
        let values = patches.values(&config);
        assert_eq!(values.len(), 4 * 1176);
        let (colours, expected) = ([0, 391, 392, 783, 784, 1175], [1.0, 1.0, 3.0, 3.0, 0.5, 0.5]);
        assert_eq!(colours.map(|place| values[place]), expected);
        assert_eq!(colours.map(|place| values[1176 + place]), [-1.0, -1.0, -1.0, -1.0, 0.0, 0.0]);
    }

    #[test]
    fn values_and_levels_are_exact_both_ways() {
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
    fn values_that_fit_no_grid_are_refused() {
        let config = PreprocessConfig::default();
        let refused = |values: &[f32], t, h, w| {
            let made = Patches::from_values(values, Grid { t, h, w }, &config);
            assert!(matches!(made, Err(Error::Image { .. })), "{t} {h} {w}");
        };
        let values = vec![0.0; 4 * 1176];
        for (t, h, w) in [(0, 2, 2), (1, 0, 2), (1, 4, 1), (1, 1, 4), (2, 2, 2), (1, 2, usize::MAX - 1)] {
            refused(&values, t, h, w);
        }
        refused(&values[1..], 1, 2, 2);
        refused(&[&values[1..], &[f32::NAN]].concat(), 1, 2, 2);
    }
}
