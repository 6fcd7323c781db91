//! The grid of patches of an image or a video.

/// The number of patches of one image or video along time, height and width (`image_grid_thw` in transformers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Pairs of frames; 1 for an image.
    pub t: usize,
    /// Rows of patches, even.
    pub h: usize,
    /// Columns of patches, even.
    pub w: usize,
}

impl Grid {
    /// Total number of patches.
    pub fn patches(&self) -> usize {
        self.t.saturating_mul(self.h).saturating_mul(self.w)
    }

    /// Number of tokens in the language model: one per 2×2 patches.
    pub fn tokens(&self) -> usize {
        self.patches() / 4
    }
}
