//! Rotary position embeddings. Tables are computed on the host in f32, as in the reference (transformers).

use burn::tensor::{Tensor, TensorData};

use crate::kernels::{Kernels, rotate_half_matrix};

/// Cosines and sines of the rotary angles of every row, in the layout that the backend's kernel expects.
#[derive(Debug, Clone)]
pub struct RopeTable<B: Kernels> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
    rotate_half: Tensor<B, 2>,
}

impl<B: Kernels> RopeTable<B> {
    /// `angles` has `pairs = head_dim / 2` angles per row.
    fn new(angles: &[f32], pairs: usize, heads: usize, device: &B::Device) -> Self {
        let heads = if B::ROPE_REPEATS_HEADS { heads } else { 1 };
        let table = |f: fn(f64) -> f64| {
            let mut values = Vec::with_capacity(angles.len() * 2 * heads);
            for row in angles.chunks_exact(pairs) {
                let half: Vec<f32> = row.iter().map(|&angle| f(f64::from(angle)) as f32).collect();
                (0..2 * heads).for_each(|_| values.extend_from_slice(&half));
            }
            Tensor::from_data(TensorData::new(values, [angles.len() / pairs, 2 * pairs * heads]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin), rotate_half: rotate_half_matrix(2 * pairs, device) }
    }

    /// Rotates all heads of `x`, which has at most as many heads as the table.
    ///
    /// # Shapes
    /// - `x`: `[rows, heads · head_dim]`
    /// - result: as `x`
    pub fn apply(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let width = x.dims()[1];
        let narrowed = |table: &Tensor<B, 2>| match table.dims()[1] > width {
            true => table.clone().narrow(1, 0, width),
            false => table.clone(),
        };
        B::rope(x, narrowed(&self.cos), narrowed(&self.sin), self.rotate_half.clone())
    }
}

/// Two-dimensional rotary table of the vision tower: the first half of the pairs encodes the row of a patch, the second
/// half its column, with angles `p · 10000^(−2j/(head_dim/2))`.
///
/// `coords` has the row and column of each patch.
pub fn vision_rope_table<B: Kernels>(
    coords: &[[u32; 2]],
    [heads, head_dim]: [usize; 2],
    device: &B::Device,
) -> RopeTable<B> {
    let frequencies = inverse_frequencies(10_000.0, head_dim / 2);
    let angles: Vec<f32> =
        coords.iter().flatten().flat_map(|&coord| frequencies.iter().map(move |f| coord as f32 * f)).collect();
    RopeTable::new(&angles, head_dim / 2, heads, device)
}

/// Multimodal rotary table (M-RoPE) of the language model: pair `i` encodes the temporal, height or width position, as
/// assigned by `sections`, with angle `p · theta^(−2i/head_dim)`.
///
/// `positions` has the temporal, height and width position of each token.
pub fn mrope_table<B: Kernels>(
    positions: &[[u32; 3]],
    theta: f64,
    sections: [usize; 3],
    heads: usize,
    device: &B::Device,
) -> RopeTable<B> {
    let pairs: usize = sections.iter().sum();
    let frequencies = inverse_frequencies(theta, 2 * pairs);
    let axes: Vec<usize> = (0..3).flat_map(|axis| std::iter::repeat_n(axis, sections[axis])).collect();
    let angles: Vec<f32> = positions
        .iter()
        .flat_map(|position| frequencies.iter().zip(&axes).map(move |(f, &axis)| position[axis] as f32 * f))
        .collect();
    RopeTable::new(&angles, pairs, heads, device)
}

/// `theta^(−2i/width)` for `i` in `0..width/2`.
fn inverse_frequencies(theta: f64, width: usize) -> Vec<f32> {
    (0..width / 2).map(|i| 1.0 / (theta as f32).powf((2 * i) as f32 / width as f32)).collect()
}
