//! Resized frames cut into patches, in the order in which the vision tower reads them.

use rayon::prelude::*;

use super::Layout;
use super::grid::Grid;
use super::resize::{Bicubic, resize};
use super::transform::Transform;
use crate::config::PreprocessConfig;
use crate::error::{Error, Result};
use crate::prompt::Image;

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

/// Resize `frames`, all of one size, as `layout` says, and cut them; the last frame stands in for a missing one.
///
/// [`Error::ContextTooLong`] when that would be more tokens than `config` allows: before anything is resized.
pub(super) fn cut(frames: &[Image], layout: Layout, bicubic: Bicubic, config: &PreprocessConfig) -> Result<Patches> {
    let Layout { grid, second_per_grid, transform } = layout;
    if grid.tokens() > config.max_tokens {
        return Err(Error::ContextTooLong { tokens: grid.tokens(), limit: config.max_tokens });
    }
    let step = grid.h * grid.w * config.patch_values();
    let mut pixels = vec![0; grid.t * step];
    pixels.par_chunks_mut(step).zip(frames.par_chunks(config.temporal_patch_size)).try_for_each(|(rows, group)| {
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
