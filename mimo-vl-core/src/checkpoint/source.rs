//! Where a model takes its tensors from while it is built.

use burn::tensor::backend::Backend;
use burn::tensor::{AllocationProperty, Bytes, DType, Tensor, TensorData};

use super::files::{Checkpoint, Stored};
use crate::error::{Error, Result};

/// The number format that weights have in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Weights {
    /// As the checkpoint stores them, without a copy where the device allows it; f32 where it lacks their type.
    #[default]
    Native,
    /// Cast to f32 while loading.
    F32,
    /// Cast to f16 while loading.
    F16,
    /// Cast to bf16 while loading.
    Bf16,
}

/// A number format that a checkpoint may store.
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

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }
}

/// Gives tensors by name; the model asks for each exactly once, with the shape that its configuration implies.
pub trait TensorSource<B: Backend> {
    /// The tensor called `name`, which must have `shape`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or has another shape or type.
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>>;
}

/// Tensors of a checkpoint on their way to one device.
#[derive(Debug)]
pub struct CheckpointSource<'a, B: Backend> {
    checkpoint: &'a Checkpoint,
    weights: Weights,
    device: &'a B::Device,
}

impl Checkpoint {
    /// The tensors of this checkpoint, in the number format `weights`, on `device`.
    pub fn source<'a, B: Backend>(&'a self, weights: Weights, device: &'a B::Device) -> CheckpointSource<'a, B> {
        CheckpointSource { checkpoint: self, weights, device }
    }
}

impl<B: Backend> TensorSource<B> for CheckpointSource<'_, B> {
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let stored = self.checkpoint.stored(name)?;
        if stored.shape != shape {
            return Err(Error::tensor(name, format!("shape {:?}; the configuration asks for {shape:?}", stored.shape)));
        }
        let wanted = match self.weights {
            Weights::Native => stored.float.dtype(),
            Weights::F32 => DType::F32,
            Weights::F16 => DType::F16,
            Weights::Bf16 => DType::BF16,
        };
        let dtype = match self.weights {
            _ if B::supports_dtype(self.device, wanted) => wanted,
            Weights::Native => DType::F32,
            asked => {
                return Err(Error::option("weights", format!("the device has no {asked:?}; choose Native or F32")));
            }
        };
        Ok(Tensor::from_data(data(stored).convert_dtype(dtype), (self.device, dtype)))
    }
}

/// The stored bytes as Burn's data, shared with the memory map where their address is aligned.
fn data(stored: Stored) -> TensorData {
    let aligned = stored.bytes.as_ptr().addr().is_multiple_of(stored.float.size());
    let bytes = if aligned {
        Bytes::from_shared(stored.bytes, AllocationProperty::File)
    } else {
        Bytes::from_bytes_vec(stored.bytes.to_vec())
    };
    TensorData::from_bytes(bytes, stored.shape, stored.float.dtype())
}
