//! The portable linear layer.

use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};

/// Number of f16 or bf16 weights that are converted to f32 at a time: 4 MiB of f32. The allocator reuses a buffer of
/// this size for the next chunk; larger ones would be mapped and zeroed by the system each time.
pub(super) const CONVERT_VALUES: usize = 1 << 20;

pub(super) fn linear<B: Backend>(x: Tensor<B, 2>, weight: Tensor<B, 2>, bias: Option<Tensor<B, 1>>) -> Tensor<B, 2> {
    let [out, width] = weight.dims();
    let product = if weight.dtype() == DType::F32 {
        x.matmul(weight.transpose())
    } else {
        let step = (CONVERT_VALUES / width.max(1)).max(1);
        let chunks = (0..out).step_by(step).map(|start| {
            let rows = weight.clone().narrow(0, start, step.min(out - start));
            x.clone().matmul(to_f32(rows).transpose())
        });
        let mut chunks: Vec<_> = chunks.collect();
        if chunks.len() == 1 { chunks.remove(0) } else { Tensor::cat(chunks, 1) }
    };
    match bias {
        Some(bias) => product + to_f32(bias).unsqueeze::<2>(),
        None => product,
    }
}

/// The tensor as f32.
pub(super) fn to_f32<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> Tensor<B, D> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) }
}
