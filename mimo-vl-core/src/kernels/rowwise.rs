//! Portable RMSNorm, rotary embedding and SwiGLU.

use burn::tensor::activation::silu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::linear::to_f32;

pub(super) fn rms_norm<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 1>, eps: f64) -> Tensor<B, 2> {
    let root = (x.clone() * x.clone()).mean_dim(1).add_scalar(eps).sqrt();
    x / root * to_f32(weight).unsqueeze::<2>()
}

/// Computes `rotate_half(x)` as a product with a signed permutation matrix, which is exact and keeps every operand
/// contiguous.
pub(super) fn rope<B: Backend>(
    x: Tensor<B, 2>,
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
    rotate_half: Tensor<B, 2>,
) -> Tensor<B, 2> {
    let [rows, width] = x.dims();
    let head_dim = rotate_half.dims()[0];
    let rotated = x.clone().reshape([rows * width / head_dim, head_dim]).matmul(rotate_half);
    x * cos + rotated.reshape([rows, width]) * sin
}

pub(super) fn swiglu<B: Backend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    silu(gate) * up
}

/// The matrix of `rotate_half`, which maps the halves `(a, b)` of a head to `(−b, a)`.
///
/// # Shapes
/// - result: `[head_dim, head_dim]`
pub fn rotate_half_matrix<B: Backend>(head_dim: usize, device: &B::Device) -> Tensor<B, 2> {
    let half = head_dim / 2;
    let mut values = vec![0.0_f32; head_dim * head_dim];
    for i in 0..half {
        values[(i + half) * head_dim + i] = -1.0;
        values[i * head_dim + i + half] = 1.0;
    }
    Tensor::from_data(TensorData::new(values, [head_dim, head_dim]), device)
}
