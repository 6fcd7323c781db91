//! The quantization policy: the format of each weight of the model.

use super::format::{Codebook, QuantFormat};
use crate::config::{Component, TensorRole};

/// Level of quantization: the bits of most of the language model's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bits {
    /// Four bits for the language model's layers and output; eight for the vision tower and the projector.
    Four,
    /// Eight bits for all.
    Eight,
}

/// The format of a matrix with this role; `None` for the patch embedding, which is small and stays dense, and for
/// norms, which are no matrices.
///
/// The token embedding has the format of the output layer, which it is where embeddings are tied. As an embedding the
/// language model loads it dense, whatever its format, because a pass reads few of its rows. Layers of a training
/// objective, [`Component::Probe`], are never quantized: no checkpoint has them.
pub fn quant_format(role: TensorRole, bits: Bits) -> Option<QuantFormat> {
    let four = QuantFormat { codebook: Codebook::Normal4, group: 64 };
    let eight = QuantFormat { codebook: Codebook::Linear8, group: 64 };
    match (role.component(), bits) {
        _ if role.is_norm() || role == TensorRole::VisionPatch => None,
        (Component::Language, Bits::Four) => Some(four),
        (Component::Language, Bits::Eight) | (Component::Vision | Component::Projector, _) => Some(eight),
        (Component::Probe, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AttentionPart, MlpPart, NormPart, ProjectorPart};

    #[test]
    fn four_bits_are_for_the_language_model_only() {
        let levels = |role, bits| quant_format(role, bits).map(|format| format.codebook);
        for role in [TensorRole::Head, TensorRole::Embedding, TensorRole::Attention(AttentionPart::Output)] {
            assert_eq!(levels(role, Bits::Four), Some(Codebook::Normal4), "{role:?}");
            assert_eq!(levels(role, Bits::Eight), Some(Codebook::Linear8), "{role:?}");
        }
        for role in [TensorRole::VisionMlp(MlpPart::Down), TensorRole::Projector(ProjectorPart::First)] {
            assert_eq!(levels(role, Bits::Four), Some(Codebook::Linear8), "{role:?}");
        }
        for role in [TensorRole::VisionPatch, TensorRole::FinalNorm, TensorRole::VisionNorm(NormPart::Mlp)] {
            assert_eq!(levels(role, Bits::Eight), None, "{role:?}");
        }
    }
}
