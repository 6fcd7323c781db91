//! Merges media features into token embeddings.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::model::PlaceholderRange;

/// Replaces the embeddings of placeholder tokens by media features, as `masked_scatter` of image embeddings does in
/// transformers.
///
/// Features are consumed row by row, in the order of `placeholders`.
///
/// # Shapes
/// - `embeddings`: `[rows, hidden]`
/// - `features`: `[placeholder tokens, hidden]`
/// - result: `[rows, hidden]`
pub fn merge_embeddings<B: Backend>(
    embeddings: Tensor<B, 2>,
    features: Tensor<B, 2>,
    placeholders: &[PlaceholderRange],
) -> Tensor<B, 2> {
    let [rows, _] = embeddings.dims();
    let device = embeddings.device();
    let mut source: Vec<i32> = (0..rows as i32).collect();
    let mut next = rows as i32;
    for range in placeholders {
        for row in &mut source[range.start..range.start + range.len] {
            *row = next;
            next += 1;
        }
    }
    let source = Tensor::<B, 1, Int>::from_data(TensorData::new(source, [rows]), &device);
    Tensor::cat(vec![embeddings, features], 0).select(0, source)
}
