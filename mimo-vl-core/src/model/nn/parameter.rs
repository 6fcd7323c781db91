//! Parameters whose ids are derived from tensor names of the checkpoint.

use burn::module::{Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::checkpoint::{TensorId, TensorSource};
use crate::error::Result;

/// Takes a tensor from the source as a trainable parameter.
///
/// # Errors
/// Errors of the source.
pub fn parameter<B: Backend, const D: usize>(
    source: &impl TensorSource<B>,
    id: impl Into<TensorId>,
    shape: [usize; D],
) -> Result<Param<Tensor<B, D>>> {
    let id = id.into();
    let tensor = source.tensor(id, shape)?.require_grad();
    Ok(Param::initialized(parameter_id(&id.to_string()), tensor))
}

/// The id of the parameter for tensor `name`: the FNV-1a hash of the name. It is the same in every run, so that
/// optimizer state can be stored under it.
pub fn parameter_id(name: &str) -> ParamId {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ParamId::from(hash)
}
