//! Fused tensor operations with no model in them.
//!
//! [`Kernels`] extends Burn's `Backend`: every method has a portable body in ordinary Burn operations, and a
//! backend may replace it with a native one. Models are written against the trait only.

mod attention;
mod backends;
mod linear;

pub use attention::Mask;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

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

    /// Rotary embedding with half-split pairs: value `i` of a head turns with value `i + head_dim/2`.
    ///
    /// The partner of every value is brought beside it by a product with a signed permutation, which is exact and
    /// keeps every operand contiguous.
    ///
    /// # Shapes
    /// - `x`: `[rows, heads · head_dim]`
    /// - `cos`, `sin`: `[rows, heads · head_dim]`, the same for both halves of a head
    /// - `partner`: `[head_dim, head_dim]`, from [`rope_partner`]
    /// - result: as `x`
    fn rope(
        x: Tensor<Self, 2>,
        cos: Tensor<Self, 2>,
        sin: Tensor<Self, 2>,
        partner: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        let [rows, width] = x.dims();
        let head_dim = partner.dims()[0];
        let partners = x.clone().reshape([rows * width / head_dim, head_dim]).matmul(partner);
        x * cos + partners.reshape([rows, width]) * sin
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

/// The matrix that takes a head's values `(a, b)` to `(−b, a)`.
///
/// # Shapes
/// - result: `[head_dim, head_dim]`
pub fn rope_partner<B: Backend>(head_dim: usize, device: &B::Device) -> Tensor<B, 2> {
    let half = head_dim / 2;
    let mut values = vec![0.0_f32; head_dim * head_dim];
    for i in 0..half {
        values[(i + half) * head_dim + i] = -1.0;
        values[i * head_dim + i + half] = 1.0;
    }
    Tensor::from_data(TensorData::new(values, [head_dim, head_dim]), device)
}
