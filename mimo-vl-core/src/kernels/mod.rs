//! Fused tensor operations with no model in them.
//!
//! [`Kernels`] extends Burn's `Backend`: every method has a portable body in ordinary Burn operations, and a
//! backend may replace it with a native one. Models are written against the trait only.

mod attention;
mod backends;
mod linear;

pub use attention::Mask;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The operations that a model spends its time in.
///
/// Activations are f32 throughout; weights may be f32, f16 or bf16 and are never changed.
pub trait Kernels: Backend {
    /// `x · weightᵀ + bias`.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - `weight`: `[out, in]`, the layout of the checkpoint
    /// - `bias`: `[out]`
    /// - result: `[rows, out]`
    fn linear(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Option<Tensor<Self, 1>>) -> Tensor<Self, 2> {
        linear::linear(x, weight, bias)
    }

    /// Root-mean-square norm: `x / √(mean(x²) + eps) · weight` over the last dimension (Zhang and Sennrich,
    /// "Root Mean Square Layer Normalization", 2019).
    ///
    /// # Shapes
    /// - `x`: `[rows, width]`
    /// - `weight`: `[width]`
    /// - result: `[rows, width]`
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, eps: f64) -> Tensor<Self, 2> {
        let root = (x.clone() * x.clone()).mean_dim(1).add_scalar(eps).sqrt();
        x / root * linear::widened(weight).unsqueeze::<2>()
    }

    /// Rotary embedding with half-split pairs: value `i` turns with value `i + head_dim/2`.
    ///
    /// # Shapes
    /// - `x`: `[batch, len, heads, head_dim]`
    /// - `cos`, `sin`: `[batch, len, 1, head_dim/2]`
    /// - result: as `x`
    fn rope(x: Tensor<Self, 4>, cos: Tensor<Self, 4>, sin: Tensor<Self, 4>) -> Tensor<Self, 4> {
        let half = x.dims()[3] / 2;
        let (a, b) = (x.clone().narrow(3, 0, half), x.narrow(3, half, half));
        let first = a.clone() * cos.clone() - b.clone() * sin.clone();
        let second = b * cos + a * sin;
        Tensor::cat(vec![first, second], 3)
    }

    /// Scaled dot-product attention with grouped key and value heads: `softmax(q·kᵀ/√head_dim + mask)·v`.
    /// Query head `i` reads key and value head `i / (heads/kv_heads)`.
    ///
    /// # Shapes
    /// - `q`: `[batch, heads, q_len, head_dim]`
    /// - `k`, `v`: `[batch, kv_heads, k_len, head_dim]`
    /// - result: `[batch, heads, q_len, head_dim]`
    fn attention(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>, mask: Mask) -> Tensor<Self, 4> {
        attention::attention(q, k, v, mask)
    }
}
