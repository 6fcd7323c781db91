//! Rotary position tables, computed on the host in f32 as the reference does.

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

/// Cosines and sines of every row's rotary angles.
#[derive(Debug, Clone)]
pub struct RopeTable<B: Backend> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
}

impl<B: Backend> RopeTable<B> {
    fn new(angles: &[f32], pairs: usize, device: &B::Device) -> Self {
        let table = |f: fn(f64) -> f64| {
            let values: Vec<f32> = angles.iter().map(|&angle| f(f64::from(angle)) as f32).collect();
            Tensor::from_data(TensorData::new(values, [angles.len() / pairs.max(1), pairs]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin) }
    }

    /// The rows in another order.
    pub fn select(&self, rows: Tensor<B, 1, burn::tensor::Int>) -> Self {
        Self { cos: self.cos.clone().select(0, rows.clone()), sin: self.sin.clone().select(0, rows) }
    }

    /// Cosines and sines, shaped to turn `[batch, len, heads, head_dim]`: each `[batch, len, 1, head_dim/2]`.
    pub fn for_batch(&self, batch: usize) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let [rows, pairs] = self.cos.dims();
        let shape = [batch, rows / batch, 1, pairs];
        (self.cos.clone().reshape(shape), self.sin.clone().reshape(shape))
    }
}

/// The tower's two-dimensional table: the first half of the pairs turns with the patch's row, the second with its
/// column; angle `p · 10000^(−2j/(head_dim/2))`.
///
/// `places` holds each patch's row and column.
pub fn vision_rope_table<B: Backend>(places: &[[u32; 2]], head_dim: usize, device: &B::Device) -> RopeTable<B> {
    let frequencies = inverse_frequencies(10_000.0, head_dim / 2);
    let angles: Vec<f32> =
        places.iter().flatten().flat_map(|&place| frequencies.iter().map(move |f| place as f32 * f)).collect();
    RopeTable::new(&angles, head_dim / 2, device)
}

/// The language model's multimodal table (M-RoPE): pair `i` turns with the temporal, height or width position,
/// whichever `sections` assigns to it; angle `p · theta^(−2i/head_dim)`.
///
/// `positions` holds each token's temporal, height and width position.
pub fn mrope_table<B: Backend>(
    positions: &[[u32; 3]],
    theta: f64,
    sections: [usize; 3],
    device: &B::Device,
) -> RopeTable<B> {
    let pairs: usize = sections.iter().sum();
    let frequencies = inverse_frequencies(theta, 2 * pairs);
    let axes: Vec<usize> = (0..3).flat_map(|axis| std::iter::repeat_n(axis, sections[axis])).collect();
    let angles: Vec<f32> = positions
        .iter()
        .flat_map(|position| frequencies.iter().zip(&axes).map(move |(f, &axis)| position[axis] as f32 * f))
        .collect();
    RopeTable::new(&angles, pairs, device)
}

/// `theta^(−2i/width)` for `i` in `0..width/2`.
fn inverse_frequencies(theta: f64, width: usize) -> Vec<f32> {
    (0..width / 2).map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / width as f32)).collect()
}
