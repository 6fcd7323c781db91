//! The quantization policy: the format that each weight of the model gets.

use super::format::{Codebook, QuantFormat};

/// How many bits most of the language model's weights get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bits {
    /// Sixteen levels for the language model's layers and output; eight bits for the vision tower and the projector.
    Four,
    /// Eight bits for all.
    Eight,
}

/// The format of the matrix called `name`, in the older family of names; `None` for the patch embedding, which is small
/// and stays as it is.
///
/// So does the token embedding, of which few rows are read; this is not asked for it unless it is the output layer too.
pub fn quant_format(name: &str, bits: Bits) -> Option<QuantFormat> {
    let eight = QuantFormat { codebook: Codebook::Linear8, group: 64 };
    if name.starts_with("visual.patch_embed.") {
        return None;
    }
    match bits {
        Bits::Four if !name.starts_with("visual.") => Some(QuantFormat { codebook: Codebook::Normal4, group: 64 }),
        Bits::Four | Bits::Eight => Some(eight),
    }
}
