//! Rotary position tables, computed on the host in f32 as the reference does.

use burn::tensor::{Tensor, TensorData};

use crate::kernels::{Kernels, rotate_half_matrix};

/// The rotary angles of every row, as the backend's kernel takes them.
#[derive(Debug, Clone)]
pub struct RopeTable<B: Kernels> {
    cos: Tensor<B, 2>,
    sin: Tensor<B, 2>,
    partner: Tensor<B, 2>,
}

impl<B: Kernels> RopeTable<B> {
    /// `angles` holds `head_dim / 2` angles for each row.
    fn new(angles: &[f32], pairs: usize, heads: usize, device: &B::Device) -> Self {
        let heads = if B::ROPE_REPEATS_HEADS { heads } else { 1 };
        let table = |f: fn(f64) -> f64| {
            let mut values = Vec::with_capacity(angles.len() * 2 * heads);
            for row in angles.chunks_exact(pairs) {
                let turned: Vec<f32> = row.iter().map(|&angle| f(f64::from(angle)) as f32).collect();
                (0..2 * heads).for_each(|_| values.extend_from_slice(&turned));
            }
            Tensor::from_data(TensorData::new(values, [angles.len() / pairs, 2 * pairs * heads]), device)
        };
        Self { cos: table(f64::cos), sin: table(f64::sin), partner: rotate_half_matrix(2 * pairs, device) }
    }

    /// Turn as many heads as `x` has; at most as many as the table was made for.
    ///
    /// # Shapes
    /// - `x`: `[rows, heads · head_dim]`
    /// - result: as `x`
    pub fn turn(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let width = x.dims()[1];
        let fitted = |table: &Tensor<B, 2>| match table.dims()[1] > width {
            true => table.clone().narrow(1, 0, width),
            false => table.clone(),
        };
        B::rope(x, fitted(&self.cos), fitted(&self.sin), self.partner.clone())
    }
}

/// The tower's two-dimensional table: the first half of the pairs turns with the patch's row, the second with its
/// column; angle `p · 10000^(−2j/(head_dim/2))`.
///
/// `places` holds each patch's row and column.
pub fn vision_rope_table<B: Kernels>(
    places: &[[u32; 2]],
    [heads, head_dim]: [usize; 2],
    device: &B::Device,
) -> RopeTable<B> {
    let frequencies = inverse_frequencies(10_000.0, head_dim / 2);
    let angles: Vec<f32> =
        places.iter().flatten().flat_map(|&place| frequencies.iter().map(move |f| place as f32 * f)).collect();
    RopeTable::new(&angles, head_dim / 2, heads, device)
}

/// The language model's multimodal table (M-RoPE): pair `i` turns with the temporal, height or width position,
/// whichever `sections` assigns to it; angle `p · theta^(−2i/head_dim)`.
///
/// `positions` holds each token's temporal, height and width position.
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
