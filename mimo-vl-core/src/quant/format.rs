//! Formats of quantized weights: a codebook and a group size. `docs/kernels/quantized.md` shows the layout.

use serde::{Deserialize, Serialize};

/// Rows of the matrix that are interleaved, so that a register holds the weights of one column in several rows.
pub const PANEL_ROWS: usize = 32;

/// The levels of a format's codes. A weight is level · scale / 128, with one scale for each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Codebook {
    /// Sixteen uneven levels for normally distributed weights, as those of NF4 are (Dettmers et al., "QLoRA", 2023).
    Normal4,
    /// Sixteen levels, −128 to 112 in steps of 16; those of GGML's Q4_0.
    Linear4,
    /// −128 to 127; this library writes none of −128.
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

    /// The levels of the sixteen codes of four bits, in increasing order; `None` for codes of eight bits.
    ///
    /// Those of `Normal4` minimise the squared error over groups of 64 weights drawn from normal and Student
    /// distributions, with one level fixed at 0 (Lloyd's algorithm).
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

/// The format of a quantized matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QuantFormat {
    /// Codebook, the levels of the codes.
    #[serde(rename = "levels")]
    pub codebook: Codebook,
    /// Consecutive weights of a row that share a scale: 32, 64 or 128.
    pub group: usize,
}

impl QuantFormat {
    /// True when the kernels support the group size.
    pub fn is_supported(self) -> bool {
        matches!(self.group, 32 | 64 | 128)
    }

    /// Checks the group size.
    ///
    /// # Panics
    /// If the kernels do not support it.
    pub(crate) fn check(self) {
        assert!(self.is_supported(), "groups of {}, not 32, 64 or 128", self.group);
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
