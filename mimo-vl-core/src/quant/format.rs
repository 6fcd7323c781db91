//! Formats of quantized weights: a codebook and a group size. `docs/kernels/quantized.md` draws the layout.

use serde::{Deserialize, Serialize};

/// Rows of the matrix that lie interleaved, so that a register holds one column's weights of several of them.
pub const PANEL_ROWS: usize = 32;

/// The values that codes stand for; a weight is its level times the scale of its group, divided by 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codebook {
    /// Sixteen levels, close together near 0, where weights are frequent.
    Normal4,
    /// −128 to 112 in steps of 16.
    Linear4,
    /// −128 to 127; what this library rounds has none of −128.
    Linear8,
}

impl Codebook {
    /// Bits of a code.
    pub fn bits(self) -> usize {
        match self {
            Self::Normal4 | Self::Linear4 => 4,
            Self::Linear8 => 8,
        }
    }

    /// The levels of the sixteen codes of four bits, in increasing order.
    ///
    /// Those of `Normal4` minimise the squared error over groups of 64 weights drawn from normal and Student
    /// distributions, with one of them held at 0 (found with Lloyd's algorithm).
    pub fn lookup_table(self) -> Option<&'static [i8; 16]> {
        match self {
            Self::Normal4 => Some(&[-127, -96, -74, -57, -44, -31, -20, -10, 0, 11, 22, 33, 46, 61, 78, 102]),
            Self::Linear4 => Some(&[-128, -112, -96, -80, -64, -48, -32, -16, 0, 16, 32, 48, 64, 80, 96, 112]),
            Self::Linear8 => None,
        }
    }

    /// The code of level 0.
    pub(crate) fn zero_point(self) -> u8 {
        if self.bits() == 4 { 8 } else { 128 }
    }
}

/// How the weights of a matrix are quantized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuantFormat {
    /// What the codes stand for.
    #[serde(rename = "levels")]
    pub codebook: Codebook,
    /// Neighbours in a row that share a scale: 32, 64 or 128.
    pub group: usize,
}

impl QuantFormat {
    /// Whether the kernels know groups of that size.
    pub fn is_known(self) -> bool {
        matches!(self.group, 32 | 64 | 128)
    }

    /// # Panics
    /// When the group is none of those that the kernels know.
    pub(crate) fn check(self) {
        assert!(self.is_known(), "groups of {}, not 32, 64 or 128", self.group);
    }

    /// The shapes of codes and scales of a quantized matrix.
    pub fn shapes(self, rows: usize, width: usize) -> [[usize; 3]; 2] {
        let (panels, groups) = (rows.div_ceil(PANEL_ROWS), width.div_ceil(self.group));
        [[panels, groups, self.block_bytes()], [panels, groups, PANEL_ROWS]]
    }

    /// Bytes of the codes of one group in [`PANEL_ROWS`] rows.
    pub fn block_bytes(self) -> usize {
        PANEL_ROWS * self.group * self.codebook.bits() / 8
    }

    /// Bytes of a quantized matrix, scales included.
    pub fn bytes(self, rows: usize, width: usize) -> usize {
        rows.div_ceil(PANEL_ROWS) * width.div_ceil(self.group) * (self.block_bytes() + 2 * PANEL_ROWS)
    }
}
