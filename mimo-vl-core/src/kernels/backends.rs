//! Which Burn backends this build has. None has a native body yet: all run the portable ones.

use super::Kernels;

#[cfg(feature = "flex")]
impl Kernels for burn_flex::Flex {}

#[cfg(feature = "ndarray")]
impl Kernels for burn_ndarray::NdArray<f32> {}

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda {}

#[cfg(feature = "train")]
impl<B: Kernels, C: burn_autodiff::checkpoint::strategy::CheckpointStrategy> Kernels for burn_autodiff::Autodiff<B, C> {}
