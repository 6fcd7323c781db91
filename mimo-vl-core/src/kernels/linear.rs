//! The portable linear layer.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

/// WeightFormat of a narrower type are widened this many values at a time: 4 MiB of f32, which an allocator keeps for
/// the next piece, where larger ones are mapped and cleared anew by the system.
pub(super) const WIDEN_VALUES: usize = 1 << 20;

pub(super) fn linear<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> Tensor<B, 2> {
    let [out, width] = weight.dims();
    let product = if weight.dtype() == DType::F32 {
        x.matmul(weight.transpose())
    } else {
        let step = (WIDEN_VALUES / width.max(1)).max(1);
        let parts = (0..out).step_by(step).map(|start| {
            let rows = weight.clone().narrow(0, start, step.min(out - start));
            x.clone().matmul(widened(rows).transpose())
        });
        let mut parts: Vec<_> = parts.collect();
        if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
    };
    match bias {
        Some(bias) => product + widened(bias).unsqueeze::<2>(),
        None => product,
    }
}

/// The tensor as f32.
pub(super) fn widened<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) }
}
