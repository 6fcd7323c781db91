//! Number formats of weights: in files and in memory.

use std::str::FromStr;

use burn::tensor::DType;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::quant::Bits;

/// The number format that weights have in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WeightFormat {
    /// As the checkpoint stores them, without a copy where the device allows it; f32 where it lacks their type.
    #[default]
    Native,
    /// Cast to f32 while loading.
    F32,
    /// Cast to f16 while loading.
    F16,
    /// Cast to bf16 while loading.
    Bf16,
    /// Quantized to eight bits while loading, by the policy of [`quant`](crate::quant).
    Int8,
    /// Quantized to four bits while loading, vision tower and projector to eight, by the policy of
    /// [`quant`](crate::quant).
    Int4,
}

impl WeightFormat {
    /// Every format.
    pub const ALL: [Self; 6] = [Self::Native, Self::F32, Self::F16, Self::Bf16, Self::Int8, Self::Int4];

    /// The name that [`from_str`](Self::from_str) takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
        }
    }

    /// The level of quantization; `None` for floating-point formats.
    pub(super) fn bits(self) -> Option<Bits> {
        match self {
            Self::Int4 => Some(Bits::Four),
            Self::Int8 => Some(Bits::Eight),
            Self::Native | Self::F32 | Self::F16 | Self::Bf16 => None,
        }
    }
}

impl FromStr for WeightFormat {
    type Err = Error;

    /// # Errors
    /// [`Error::Option`] for an unknown name.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("weights", format!("{name:?} is none of {names}"))
        })
    }
}

/// A floating-point format of stored tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of single precision.
    Bf16,
}

impl FloatType {
    /// Bytes of one value.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The name in safetensors headers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
        }
    }

    pub(super) fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}
