//! Token embeddings and media features joined into one sequence.

use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use crate::model::PlaceholderRange;

/// Put row `features[k]` of every slot in the place of the embedding that stands there.
///
/// Slots fill up from the first feature row onward, in their order.
///
/// # Shapes
/// - `embeddings`: `[rows, hidden]`
/// - `features`: `[sum of the slots' lengths, hidden]`
/// - result: `[rows, hidden]`
pub fn merge_embeddings<B: Backend>(
    embeddings: Tensor<B, 2>,
    features: Tensor<B, 2>,
    slots: &[PlaceholderRange],
) -> Tensor<B, 2> {
    let [rows, _] = embeddings.dims();
    let device = embeddings.device();
    let mut from: Vec<i32> = (0..rows as i32).collect();
    let mut next = rows as i32;
    for slot in slots {
        for row in &mut from[slot.start..slot.start + slot.len] {
            *row = next;
            next += 1;
        }
    }
    let from = Tensor::<B, 1, Int>::from_data(TensorData::new(from, [rows]), &device);
    Tensor::cat(vec![embeddings, features], 0).select(0, from)
}
