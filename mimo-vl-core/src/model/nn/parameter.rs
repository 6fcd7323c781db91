//! Parameters whose ids are derived from tensor names of the checkpoint.

use burn::module::{Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::checkpoint::TensorSource;
use crate::error::Result;

/// Loads tensor `name` from the source as a trainable parameter.
///
/// # Errors
/// Errors of the source.
pub fn parameter<B: Backend, const D: usize>(
    source: &impl TensorSource<B>,
    name: &str,
    shape: [usize; D],
) -> Result<Param<Tensor<B, D>>> {
    let tensor = source.tensor(name, shape)?.require_grad();
    Ok(Param::initialized(parameter_id(name), tensor))
}

/// The id of the parameter for tensor `name`: the FNV-1a hash of the name. It is the same in every run, so that
/// optimizer state can be stored under it.
pub fn parameter_id(name: &str) -> ParamId {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ParamId::from(hash)
}
