//! Segments of patches that attend to each other, and the row order in which they are contiguous.

use crate::preprocess::Grid;

/// Window order of tokens (2×2 blocks of patches), as `get_window_index` of Qwen2.5-VL in transformers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowOrder {
    /// Index in image order of each token in window order.
    pub index: Vec<usize>,
    /// Cumulative number of patches after each non-empty window, starting with 0 (`cu_window_seqlens`).
    pub cumulative_patches: Vec<usize>,
}

/// Divides every temporal patch of every grid into windows of `side` × `side` tokens, row by row. The last row and
/// column of windows may be smaller.
pub fn window_order(grids: &[Grid], side: usize) -> WindowOrder {
    let mut index = Vec::new();
    let mut cumulative_patches = vec![0];
    for_each_window(grids, side, |window| {
        index.extend_from_slice(window);
        cumulative_patches.push(4 * index.len());
    });
    WindowOrder { index, cumulative_patches }
}

/// Calls `visit` with the token indices of each window, in image order.
fn for_each_window(grids: &[Grid], side: usize, mut visit: impl FnMut(&[usize])) {
    let mut start = 0;
    let mut window = Vec::new();
    for grid in grids {
        let (height, width) = (grid.h / 2, grid.w / 2);
        for _ in 0..grid.t {
            for top in (0..height).step_by(side) {
                for left in (0..width).step_by(side) {
                    window.clear();
                    for row in top..(top + side).min(height) {
                        window.extend((left..(left + side).min(width)).map(|column| start + row * width + column));
                    }
                    visit(&window);
                }
            }
            start += height * width;
        }
    }
}

/// A run of consecutive rows: `count` segments of `len` rows each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segments {
    pub(super) start: usize,
    pub(super) count: usize,
    pub(super) len: usize,
}

/// Row orders of one forward pass through the tower.
///
/// In image order, each temporal patch is contiguous. In window order, each window is, and windows of equal size are
/// adjacent, so that each size is one batched attention without padding.
#[derive(Debug, Clone)]
pub(super) struct AttentionPlan {
    /// Row in image order of each row in window order.
    pub(super) order: Vec<usize>,
    /// Windows, in window order.
    pub(super) windows: Vec<Segments>,
    /// Full temporal patches, in image order.
    pub(super) full: Vec<Segments>,
}

impl AttentionPlan {
    pub(super) fn new(grids: &[Grid], side: usize) -> Self {
        let mut windows: Vec<Vec<usize>> = Vec::new();
        for_each_window(grids, side, |window| windows.push(window.to_vec()));
        windows.sort_by_key(|window| std::cmp::Reverse(window.len()));
        let full = grids.iter().flat_map(|grid| std::iter::repeat_n(grid.h * grid.w, grid.t));
        Self {
            windows: runs(windows.iter().map(|window| 4 * window.len())),
            full: runs(full),
            order: windows.concat().into_iter().flat_map(|token| 4 * token..4 * token + 4).collect(),
        }
    }

    /// Row in window order of each row in image order.
    pub(super) fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.order.len()];
        for (row, &from) in self.order.iter().enumerate() {
            inverse[from] = row;
        }
        inverse
    }

    /// True if both orders are equal.
    pub(super) fn is_identity(&self) -> bool {
        self.order.iter().enumerate().all(|(row, &from)| row == from)
    }
}

/// Groups adjacent segments of equal length.
fn runs(lengths: impl Iterator<Item = usize>) -> Vec<Segments> {
    let mut runs: Vec<Segments> = Vec::new();
    let mut start = 0;
    for len in lengths {
        match runs.last_mut() {
            Some(run) if run.len == len => run.count += 1,
            _ => runs.push(Segments { start, count: 1, len }),
        }
        start += len;
    }
    runs
}

/// Row and column of every patch, in image order (2×2 blocks together).
pub(super) fn patch_coords(grids: &[Grid]) -> Vec<[u32; 2]> {
    let mut coords = Vec::new();
    for grid in grids {
        for _ in 0..grid.t {
            for (top, left) in
                (0..grid.h).step_by(2).flat_map(|top| (0..grid.w).step_by(2).map(move |left| (top, left)))
            {
                let (top, left) = (top as u32, left as u32);
                coords.extend([[top, left], [top, left + 1], [top + 1, left], [top + 1, left + 1]]);
            }
        }
    }
    coords
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_covers_every_row_once() {
        let grids = [Grid { t: 2, h: 12, w: 20 }, Grid { t: 1, h: 10, w: 6 }];
        let plan = AttentionPlan::new(&grids, 4);
        let rows: usize = grids.iter().map(Grid::patches).sum();
        let mut seen = plan.order.clone();
        seen.sort_unstable();
        assert_eq!(seen, (0..rows).collect::<Vec<_>>());
        for runs in [&plan.windows, &plan.full] {
            assert_eq!(runs.iter().map(|run| run.count * run.len).sum::<usize>(), rows);
        }
        assert_eq!(plan.full[0], Segments { start: 0, count: 2, len: 240 });
        let inverse = plan.inverse();
        assert!((0..rows).all(|row| plan.order[inverse[row]] == row));
    }

    #[test]
    fn a_small_image_is_one_window() {
        assert!(AttentionPlan::new(&[Grid { t: 1, h: 8, w: 8 }], 4).is_identity());
    }
}
