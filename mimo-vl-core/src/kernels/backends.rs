//! Backends that run the portable kernel bodies. `flex` has native ones.

#[cfg(any(feature = "ndarray", feature = "cuda", feature = "train"))]
use super::Kernels;

#[cfg(feature = "ndarray")]
impl Kernels for burn_ndarray::NdArray<f32> {}

#[cfg(feature = "cuda")]
impl Kernels for burn_cuda::Cuda {}

#[cfg(feature = "train")]
impl<B, C> Kernels for burn_autodiff::Autodiff<B, C>
where
    B: Kernels,
    C: burn_autodiff::checkpoint::strategy::CheckpointStrategy,
{
}
