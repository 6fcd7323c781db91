//! Fused tensor operations with no model in them.
//!
//! [`Kernels`] extends Burn's `Backend`: every method has a portable body in ordinary Burn operations, and a
//! backend may replace it with a native one. Models are written against the trait only.

mod attention;
mod backends;
// Without the backend `flex` only rounding is used of it.
#[cfg_attr(not(feature = "flex"), allow(dead_code, unused_imports))]
mod cpu;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod quantized;
mod rowwise;

pub use attention::{Int8Rows, Mask};
pub(crate) use cpu::with_threads;
pub use cpu::{RoundingError, SimdLevel, cores, quantize_matrix, repack_matrix};
#[cfg(feature = "flex")]
pub(crate) use flex::release_buffers;
pub use quantized::{QuantizedData, QuantizedWeight};
pub use rowwise::rotate_half_matrix;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The operations that a model spends its time in.
///
/// Activations are f32 throughout; weights may be f32, f16 or bf16 and are never changed.
pub trait Kernels: Backend {
    /// Whether [`rope`](Self::rope) takes angles that are repeated for every head.
    const ROPE_REPEATS_HEADS: bool = true;

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

    /// [`linear`](Self::linear) with a quantized weight. A native body rounds the activations too, to bytes with a scale
    /// for each of the format's groups.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - `weight`: `[out, in]`
    /// - `bias`: `[out]`
    /// - result: `[rows, out]`
    fn linear_quantized(
        x: Tensor<Self, 2>,
        weight: &QuantizedWeight<Self>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 2> {
        quantized::linear(x, weight, bias)
    }

    /// `silu(gate) · up`, where `gate` and `up` are the first and the second half of the columns of
    /// [`linear_quantized`](Self::linear_quantized).
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - `weight`: `[2 · out, in]`
    /// - `bias`: `[2 · out]`
    /// - result: `[rows, out]`
    fn gated_quantized(
        x: Tensor<Self, 2>,
        weight: &QuantizedWeight<Self>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 2> {
        quantized::gated(x, weight, bias)
    }

    /// Root-mean-square norm: `x / √(mean(x²) + eps) · weight` over the last dimension (Zhang and Sennrich,
    /// "Root Mean Square Layer Normalization", 2019).
    ///
    /// # Shapes
    /// - `x`: `[rows, width]`
    /// - `weight`: `[width]`
    /// - result: `[rows, width]`
    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, eps: f64) -> Tensor<Self, 2> {
        rowwise::rms_norm(x, weight, eps)
    }

    /// Rotary embedding with half-split pairs: value `i` of a head turns with value `i + head_dim/2`.
    ///
    /// # Shapes
    /// - `x`: `[rows, heads · head_dim]`
    /// - `cos`, `sin`: `[rows, heads · head_dim]`, the same for both halves of a head; `[rows, head_dim]` where
    ///   [`ROPE_REPEATS_HEADS`](Self::ROPE_REPEATS_HEADS) is false
    /// - `partner`: `[head_dim, head_dim]`, from [`rotate_half_matrix`]
    /// - result: as `x`
    fn rope(
        x: Tensor<Self, 2>,
        cos: Tensor<Self, 2>,
        sin: Tensor<Self, 2>,
        partner: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        rowwise::rope(x, cos, sin, partner)
    }

    /// `silu(gate) · up`, where `silu(x) = x / (1 + e^(−x))` (Shazeer, "GLU Variants Improve Transformer", 2020).
    ///
    /// # Shapes
    /// - `gate`, `up` and result: `[rows, width]`
    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rowwise::swiglu(gate, up)
    }

    /// Write new rows into a store of keys or values, from row `start` on; where nothing else has the store, in place.
    ///
    /// # Shapes
    /// - `store` and result: `[batch, heads, capacity, head_dim]`, f32 or f16
    /// - `rows`: `[batch, heads, new, head_dim]`
    fn write_rows(store: Tensor<Self, 4>, rows: Tensor<Self, 4>, start: usize) -> Tensor<Self, 4> {
        attention::write_rows(store, rows, start)
    }

    /// Scaled dot-product attention with grouped key and value heads: `softmax(q·kᵀ/√head_dim + mask)·v`.
    /// Query head `i` reads key and value head `i / (heads/kv_heads)`.
    ///
    /// # Shapes
    /// - `q`: `[batch, heads, q_len, head_dim]`
    /// - `k`, `v`: `[batch, kv_heads, k_len, head_dim]`, f32 or narrower
    /// - result: `[batch, heads, q_len, head_dim]`
    fn attention(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>, mask: Mask) -> Tensor<Self, 4> {
        attention::attention(q, linear::widened(k), linear::widened(v), mask)
    }

    /// [`write_rows`](Self::write_rows) for a store of eight bits: a row's largest value becomes ±127, the others are
    /// rounded to nearest.
    ///
    /// # Shapes
    /// - `rows`: `[batch, heads, new, head_dim]`
    fn write_int8_rows(store: Int8Rows<Self>, rows: Tensor<Self, 4>, start: usize) -> Int8Rows<Self> {
        attention::write_int8_rows(store, rows, start)
    }

    /// [`attention`](Self::attention) with keys and values of eight bits.
    ///
    /// # Shapes
    /// - `q` and result: `[batch, heads, q_len, head_dim]`
    /// - `k`, `v`: `k_len` rows of `kv_heads` heads
    fn attention_int8(q: Tensor<Self, 4>, k: Int8Rows<Self>, v: Int8Rows<Self>, mask: Mask) -> Tensor<Self, 4> {
        attention::attention(q, k.floats(), v.floats(), mask)
    }
}

/// Give back the memory that the native kernels keep for their next results.
#[cfg(not(feature = "flex"))]
pub(crate) fn release_buffers() {}
