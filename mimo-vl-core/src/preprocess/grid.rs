//! How many patches a picture or a video has along each axis.

/// The patches of one picture or video, counted along time, height and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grid {
    /// Pairs of frames; 1 for a picture.
    pub t: usize,
    /// Rows of patches, even.
    pub h: usize,
    /// Columns of patches, even.
    pub w: usize,
}

impl Grid {
    /// How many patches there are.
    pub fn patches(&self) -> usize {
        self.t.saturating_mul(self.h).saturating_mul(self.w)
    }

    /// How many tokens the language model sees: one for every 2×2 patches.
    pub fn tokens(&self) -> usize {
        self.patches() / 4
    }
}
