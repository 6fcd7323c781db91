//! The backends that run the portable bodies; `flex` has native ones.

#[cfg(any(feature = "ndarray", feature = "cuda", feature = "train"))]
use super::Kernels;

#[cfg(feature = "ndarray")]
impl Kernels for burn_ndarray::NdArray<f32> {}

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda {}

#[cfg(feature = "train")]
impl<B: Kernels, C: burn_autodiff::checkpoint::strategy::CheckpointStrategy> Kernels for burn_autodiff::Autodiff<B, C> {}
