//! The role of each weight in the network. Quantization, initialisation and training decide by it.

/// The layer that a weight or bias belongs to, by its function in the network.
///
/// Layers of one kind share a role; [`TensorId`](crate::checkpoint::TensorId) adds the number of the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TensorRole {
    /// Token embedding; with tied embeddings also the output layer.
    Embedding,
    /// Output layer of the language model, to the scores of the vocabulary.
    Head,
    /// Norm after the last layer of the language model.
    FinalNorm,
    /// Norms inside a layer of the language model.
    Norm(NormPart),
    /// Attention of the language model.
    Attention(AttentionPart),
    /// Gated feed-forward layer of the language model.
    Mlp(MlpPart),
    /// Patch embedding of the vision tower.
    VisionPatch,
    /// Norms inside a block of the vision tower.
    VisionNorm(NormPart),
    /// Attention of the vision tower.
    VisionAttention(VisionAttentionPart),
    /// Gated feed-forward layer of the vision tower.
    VisionMlp(MlpPart),
    /// Projector from the vision tower to the language model.
    Projector(ProjectorPart),
    /// Linear layer of a training objective, by its name; no checkpoint has it.
    Probe(&'static str),
}

/// The norms of a layer, each before the part of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NormPart {
    /// Before the attention.
    Attention,
    /// Before the feed-forward layer.
    Mlp,
}

/// The linear layers of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttentionPart {
    /// Query projection.
    Query,
    /// Key projection.
    Key,
    /// Value projection.
    Value,
    /// Output projection.
    Output,
}

/// The linear layers of an attention whose query, key and value are one matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VisionAttentionPart {
    /// Query, key and value projections, one below the other.
    Qkv,
    /// Output projection.
    Output,
}

/// The linear layers of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MlpPart {
    /// Gate, the input of the activation.
    Gate,
    /// Factor of the activated gate.
    Up,
    /// Output projection.
    Down,
}

/// The layers of the projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProjectorPart {
    /// Norm of the patch features.
    Norm,
    /// First linear layer.
    First,
    /// Second linear layer, to the width of the language model.
    Second,
}

/// The components of the model, which are trained or frozen as units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Component {
    /// Vision tower.
    Vision,
    /// Projector.
    Projector,
    /// Language model, with embedding and output layer.
    Language,
    /// Layers of a training objective.
    Probe,
}

impl TensorRole {
    /// Every role in a checkpoint.
    pub const ALL: [Self; 23] = [
        Self::Embedding,
        Self::Head,
        Self::FinalNorm,
        Self::Norm(NormPart::Attention),
        Self::Norm(NormPart::Mlp),
        Self::Attention(AttentionPart::Query),
        Self::Attention(AttentionPart::Key),
        Self::Attention(AttentionPart::Value),
        Self::Attention(AttentionPart::Output),
        Self::Mlp(MlpPart::Gate),
        Self::Mlp(MlpPart::Up),
        Self::Mlp(MlpPart::Down),
        Self::VisionPatch,
        Self::VisionNorm(NormPart::Attention),
        Self::VisionNorm(NormPart::Mlp),
        Self::VisionAttention(VisionAttentionPart::Qkv),
        Self::VisionAttention(VisionAttentionPart::Output),
        Self::VisionMlp(MlpPart::Gate),
        Self::VisionMlp(MlpPart::Up),
        Self::VisionMlp(MlpPart::Down),
        Self::Projector(ProjectorPart::Norm),
        Self::Projector(ProjectorPart::First),
        Self::Projector(ProjectorPart::Second),
    ];

    /// The component that the layer is part of.
    pub fn component(self) -> Component {
        match self {
            Self::Embedding | Self::Head | Self::FinalNorm | Self::Norm(_) | Self::Attention(_) | Self::Mlp(_) => {
                Component::Language
            }
            Self::VisionPatch | Self::VisionNorm(_) | Self::VisionAttention(_) | Self::VisionMlp(_) => {
                Component::Vision
            }
            Self::Projector(_) => Component::Projector,
            Self::Probe(_) => Component::Probe,
        }
    }

    /// True for norms, whose weights are vectors around 1.
    pub fn is_norm(self) -> bool {
        matches!(self, Self::FinalNorm | Self::Norm(_) | Self::VisionNorm(_) | Self::Projector(ProjectorPart::Norm))
    }

    /// True for layers whose output is added to the residual stream.
    pub fn writes_residual(self) -> bool {
        matches!(
            self,
            Self::Attention(AttentionPart::Output)
                | Self::Mlp(MlpPart::Down)
                | Self::VisionAttention(VisionAttentionPart::Output)
                | Self::VisionMlp(MlpPart::Down)
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_has_every_role_of_a_checkpoint() {
        // Without wildcards: a new variant does not compile until it is counted.
        let norms = match NormPart::Mlp {
            NormPart::Attention | NormPart::Mlp => 2,
        };
        let attentions = match AttentionPart::Key {
            AttentionPart::Query | AttentionPart::Key | AttentionPart::Value | AttentionPart::Output => 4,
        };
        let mlps = match MlpPart::Up {
            MlpPart::Gate | MlpPart::Up | MlpPart::Down => 3,
        };
        let vision_attentions = match VisionAttentionPart::Qkv {
            VisionAttentionPart::Qkv | VisionAttentionPart::Output => 2,
        };
        let projectors = match ProjectorPart::Norm {
            ProjectorPart::Norm | ProjectorPart::First | ProjectorPart::Second => 3,
        };
        let roles = |role| match role {
            TensorRole::Embedding | TensorRole::Head | TensorRole::FinalNorm | TensorRole::VisionPatch => 1,
            TensorRole::Norm(_) | TensorRole::VisionNorm(_) => norms,
            TensorRole::Attention(_) => attentions,
            TensorRole::Mlp(_) | TensorRole::VisionMlp(_) => mlps,
            TensorRole::VisionAttention(_) => vision_attentions,
            TensorRole::Projector(_) => projectors,
            TensorRole::Probe(_) => 0,
        };
        let kinds: HashSet<_> = TensorRole::ALL.iter().map(std::mem::discriminant).collect();
        let first = |kind| *TensorRole::ALL.iter().find(|role| std::mem::discriminant(*role) == kind).unwrap();
        assert_eq!(kinds.len(), 11);
        assert_eq!(TensorRole::ALL.len(), kinds.into_iter().map(|kind| roles(first(kind))).sum::<usize>());
        assert_eq!(TensorRole::ALL.iter().collect::<HashSet<_>>().len(), TensorRole::ALL.len());
    }
}
