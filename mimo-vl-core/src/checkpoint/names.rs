//! Names of files and tensors. The hub has two families of tensor names: the legacy one, `model.layers.*` and
//! `visual.*`, and the canonical one of transformers since 4.52, `model.language_model.layers.*` and `model.visual.*`.

use std::fmt;

use crate::config::{AttentionPart, MlpPart, NormPart, ProjectorPart, TensorRole, VisionAttentionPart};

/// Weights of a checkpoint that is not sharded.
pub(super) const SINGLE: &str = "model.safetensors";
/// Map from tensor names to shards.
pub(super) const INDEX: &str = "model.safetensors.index.json";

/// One tensor of the model. [`Display`](fmt::Display) gives its legacy name: `model.layers.3.self_attn.q_proj.weight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TensorId {
    /// Role of its layer.
    pub role: TensorRole,
    /// Number of the language model's layer or the vision tower's block, from 0; 0 for a role that exists once.
    pub index: usize,
    /// Weight or bias.
    pub kind: TensorKind,
}

/// The parameters of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TensorKind {
    /// Matrix of a linear layer, scale of a norm, or rows of an embedding.
    Weight,
    /// Vector that a linear layer adds.
    Bias,
}

impl TensorRole {
    /// The weight of this role in layer or block `index`.
    pub fn at(self, index: usize) -> TensorId {
        TensorId { role: self, index, kind: TensorKind::Weight }
    }
}

impl From<TensorRole> for TensorId {
    /// The weight of a role that exists once.
    fn from(role: TensorRole) -> Self {
        role.at(0)
    }
}

impl TensorId {
    /// The bias of the same layer.
    #[must_use]
    pub fn bias(self) -> Self {
        Self { kind: TensorKind::Bias, ..self }
    }

    /// The tensor with this name, of either family; `None` when the model has no such tensor.
    pub fn parse(name: &str) -> Option<Self> {
        Self::find(&legacy_name(name), module)
    }

    /// The tensor whose name is `pattern` of its role, with its index for `#`, followed by `.weight` or `.bias`.
    pub(super) fn find(name: &str, pattern: fn(TensorRole) -> &'static str) -> Option<Self> {
        let (name, kind) = match name.rsplit_once('.')? {
            (name, "weight") => (name, TensorKind::Weight),
            (name, "bias") => (name, TensorKind::Bias),
            _ => return None,
        };
        let index = |pattern: &str| match pattern.split_once('#') {
            None => (pattern == name).then_some(0),
            Some((before, after)) => name.strip_prefix(before)?.strip_suffix(after)?.parse().ok(),
        };
        TensorRole::ALL.into_iter().find_map(|role| Some(Self { role, index: index(pattern(role))?, kind }))
    }
}

impl fmt::Display for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match module(self.role).split_once('#') {
            None => f.write_str(module(self.role))?,
            Some((before, after)) => write!(f, "{before}{}{after}", self.index)?,
        }
        f.write_str(match self.kind {
            TensorKind::Weight => ".weight",
            TensorKind::Bias => ".bias",
        })
    }
}

/// The module of a role in the legacy family, with `#` for its index.
fn module(role: TensorRole) -> &'static str {
    match role {
        TensorRole::Embedding => "model.embed_tokens",
        TensorRole::Head => "lm_head",
        TensorRole::FinalNorm => "model.norm",
        TensorRole::Norm(NormPart::Attention) => "model.layers.#.input_layernorm",
        TensorRole::Norm(NormPart::Mlp) => "model.layers.#.post_attention_layernorm",
        TensorRole::Attention(AttentionPart::Query) => "model.layers.#.self_attn.q_proj",
        TensorRole::Attention(AttentionPart::Key) => "model.layers.#.self_attn.k_proj",
        TensorRole::Attention(AttentionPart::Value) => "model.layers.#.self_attn.v_proj",
        TensorRole::Attention(AttentionPart::Output) => "model.layers.#.self_attn.o_proj",
        TensorRole::Mlp(MlpPart::Gate) => "model.layers.#.mlp.gate_proj",
        TensorRole::Mlp(MlpPart::Up) => "model.layers.#.mlp.up_proj",
        TensorRole::Mlp(MlpPart::Down) => "model.layers.#.mlp.down_proj",
        TensorRole::VisionPatch => "visual.patch_embed.proj",
        TensorRole::VisionNorm(NormPart::Attention) => "visual.blocks.#.norm1",
        TensorRole::VisionNorm(NormPart::Mlp) => "visual.blocks.#.norm2",
        TensorRole::VisionAttention(VisionAttentionPart::Qkv) => "visual.blocks.#.attn.qkv",
        TensorRole::VisionAttention(VisionAttentionPart::Output) => "visual.blocks.#.attn.proj",
        TensorRole::VisionMlp(MlpPart::Gate) => "visual.blocks.#.mlp.gate_proj",
        TensorRole::VisionMlp(MlpPart::Up) => "visual.blocks.#.mlp.up_proj",
        TensorRole::VisionMlp(MlpPart::Down) => "visual.blocks.#.mlp.down_proj",
        TensorRole::Projector(ProjectorPart::Norm) => "visual.merger.ln_q",
        TensorRole::Projector(ProjectorPart::First) => "visual.merger.mlp.0",
        TensorRole::Projector(ProjectorPart::Second) => "visual.merger.mlp.2",
        TensorRole::Probe(name) => name,
    }
}

/// The canonical name of the tensor with this legacy name.
pub(super) fn canonical_name(name: &str) -> String {
    match name.strip_prefix("model.") {
        Some(rest) => format!("model.language_model.{rest}"),
        None if name.starts_with("visual.") => format!("model.{name}"),
        None => name.to_owned(),
    }
}

/// The legacy name of the tensor with this name, of either family.
fn legacy_name(name: &str) -> String {
    match name.strip_prefix("model.language_model.") {
        Some(rest) => format!("model.{rest}"),
        None => name.strip_prefix("model.").filter(|rest| rest.starts_with("visual.")).unwrap_or(name).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_found_by_its_name_in_both_families() {
        for role in TensorRole::ALL {
            let weight = if module(role).contains('#') { role.at(31) } else { role.into() };
            for id in [weight, weight.bias()] {
                assert_eq!(TensorId::parse(&id.to_string()), Some(id));
                assert_eq!(TensorId::parse(&canonical_name(&id.to_string())), Some(id));
            }
        }
    }

    #[test]
    fn names_follow_the_layout_of_the_hub() {
        let query = TensorRole::Attention(AttentionPart::Query).at(3);
        assert_eq!(query.to_string(), "model.layers.3.self_attn.q_proj.weight");
        assert_eq!(query.bias().to_string(), "model.layers.3.self_attn.q_proj.bias");
        assert_eq!(TensorId::from(TensorRole::Head).to_string(), "lm_head.weight");
        assert_eq!(canonical_name("visual.merger.ln_q.weight"), "model.visual.merger.ln_q.weight");
    }

    #[test]
    fn tensors_of_other_models_have_no_role() {
        for name in ["", "weight", "lm_head", "model.layers.x.mlp.up_proj.weight", "model.layers.0.mlp.fc1.weight"] {
            assert_eq!(TensorId::parse(name), None, "{name}");
        }
    }
}
