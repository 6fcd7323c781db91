//! Fused tensor operations with no model in them.
//!
//! [`Kernels`] extends Burn's `Backend`: every method has a portable body in ordinary Burn operations, and a
//! backend may replace it with a native one. Models are written against the trait only.

mod attention;
mod backends;
// Without feature `flex` only quantization uses this module.
#[cfg_attr(not(feature = "flex"), allow(dead_code, unused_imports))]
mod cpu;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod quantized;
mod rowwise;

pub use attention::{Int8Rows, Mask};
pub(crate) use cpu::with_threads;
pub use cpu::{QuantizationError, SimdLevel, cores, quantize_matrix, repack_matrix};
#[cfg(feature = "flex")]
pub(crate) use flex::release_buffers;
pub use quantized::{QuantizedData, QuantizedWeight};
pub use rowwise::rotate_half_matrix;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The operations in which a model spends its time.
///
/// Activations are f32 throughout. Weights may be f32, f16 or bf16 and are never modified.
pub trait Kernels: Backend {
    /// True if [`rope`](Self::rope) takes tables that repeat the angles for every head.
    const ROPE_REPEATS_HEADS: bool = true;

    /// `x · weightᵀ + bias`.
    ///
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - `weight`: `[out, in]`, as in the checkpoint
    /// - `bias`: `[out]`
    /// - result: `[rows, out]`
    fn linear(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Option<Tensor<Self, 1>>) -> Tensor<Self, 2> {
        linear::linear(x, weight, bias)
    }

    /// [`linear`](Self::linear) with a quantized weight.
    ///
    /// Native bodies also quantize the activations, to 8 bits with one scale per group.
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

    /// Rotary position embedding (Su et al., "RoFormer", 2021) in the `rotate_half` layout of transformers: value `i`
    /// of a head is rotated with value `i + head_dim/2`.
    ///
    /// # Shapes
    /// - `x`: `[rows, heads · head_dim]`
    /// - `cos`, `sin`: `[rows, heads · head_dim]`, equal for both halves of a head; `[rows, head_dim]` if
    ///   [`ROPE_REPEATS_HEADS`](Self::ROPE_REPEATS_HEADS) is false
    /// - `rotate_half`: `[head_dim, head_dim]`, from [`rotate_half_matrix`]
    /// - result: as `x`
    fn rope(
        x: Tensor<Self, 2>,
        cos: Tensor<Self, 2>,
        sin: Tensor<Self, 2>,
        rotate_half: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        rowwise::rope(x, cos, sin, rotate_half)
    }

    /// `silu(gate) · up`, where `silu(x) = x / (1 + e^(−x))` (Shazeer, "GLU Variants Improve Transformer", 2020).
    ///
    /// # Shapes
    /// - `gate`, `up` and result: `[rows, width]`
    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        rowwise::swiglu(gate, up)
    }

    /// Writes rows into a cache tensor of keys or values, starting at row `start`, in place if the tensor is
    /// not shared.
    ///
    /// # Shapes
    /// - `cache` and result: `[batch, heads, capacity, head_dim]`, f32 or f16
    /// - `rows`: `[batch, heads, new, head_dim]`
    fn write_rows(cache: Tensor<Self, 4>, rows: Tensor<Self, 4>, start: usize) -> Tensor<Self, 4> {
        attention::write_rows(cache, rows, start)
    }

    /// Scaled dot-product attention with grouped key and value heads: `softmax(q·kᵀ/√head_dim + mask)·v`.
    /// Query head `i` reads key and value head `i / (heads/kv_heads)`.
    ///
    /// # Shapes
    /// - `q`: `[batch, heads, q_len, head_dim]`
    /// - `k`, `v`: `[batch, kv_heads, k_len, head_dim]`, f32, f16 or bf16
    /// - result: `[batch, heads, q_len, head_dim]`
    fn attention(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>, mask: Mask) -> Tensor<Self, 4> {
        attention::attention(q, linear::to_f32(k), linear::to_f32(v), mask)
    }

    /// [`write_rows`](Self::write_rows) for an 8-bit cache: each row is quantized symmetrically, its largest absolute
    /// value becoming 127.
    ///
    /// # Shapes
    /// - `rows`: `[batch, heads, new, head_dim]`
    fn write_int8_rows(cache: Int8Rows<Self>, rows: Tensor<Self, 4>, start: usize) -> Int8Rows<Self> {
        attention::write_int8_rows(cache, rows, start)
    }

    /// [`attention`](Self::attention) with 8-bit keys and values.
    ///
    /// # Shapes
    /// - `q` and result: `[batch, heads, q_len, head_dim]`
    /// - `k`, `v`: `[batch, kv_heads, k_len, head_dim]`
    fn attention_int8(q: Tensor<Self, 4>, k: Int8Rows<Self>, v: Int8Rows<Self>, mask: Mask) -> Tensor<Self, 4> {
        attention::attention(q, k.dequantize(), v.dequantize(), mask)
    }
}

/// Frees the memory that native kernels retain for later results.
#[cfg(not(feature = "flex"))]
pub(crate) fn release_buffers() {}
