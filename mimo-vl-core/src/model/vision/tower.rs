//! The vision tower.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};

use super::block::{AttentionContext, Block, Reorder};
use super::windows::{AttentionPlan, patch_coords};
use crate::cancel::{Stage, TaskControl};
use crate::checkpoint::{TensorId, TensorSource};
use crate::config::{PreprocessConfig, TensorRole, VisionConfig};
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::nn::{Linear, parameter_id, vision_rope_table};
use crate::preprocess::Grid;

/// Patch embedding and transformer blocks with two-dimensional rotary positions. Most blocks use window attention, some
/// full attention over a temporal patch (`fullatt_block_indexes`).
#[derive(Module, Debug)]
pub struct VisionTower<B: Kernels> {
    patch_embed: Linear<B>,
    blocks: Vec<Block<B>>,
    heads: usize,
    head_dim: usize,
    /// Side of a window, in tokens.
    window_side: usize,
}

impl<B: Kernels> VisionTower<B> {
    /// Loads `visual.patch_embed.*` and `visual.blocks.*` from the source.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(source: &impl TensorSource<B>, config: &VisionConfig) -> Result<Self> {
        let id = TensorId::from(TensorRole::VisionPatch);
        let (frames, side) = (config.temporal_patch_size, config.patch_size);
        let weight = source.tensor(id, [config.hidden_size, 3, frames, side, side])?;
        let weight = weight.reshape([config.hidden_size as i32, -1]).require_grad();
        Ok(Self {
            patch_embed: Linear::from_weight(Param::initialized(parameter_id(&id.to_string()), weight)),
            blocks: (0..config.depth).map(|index| Block::load(source, config, index)).collect::<Result<_>>()?,
            heads: config.num_heads,
            head_dim: config.hidden_size / config.num_heads,
            window_side: config.window_size / config.patch_size / config.spatial_merge_size,
        })
    }

    /// Encodes the patches of images and videos, in one forward pass.
    ///
    /// # Shapes
    /// - `pixels`: `[patches of all grids, 1176]`, 8 bits per channel
    /// - result: `[patches, hidden]` in the same order
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::Timeout`](crate::error::Error::Timeout), checked before each block.
    pub fn forward(
        &self,
        pixels: &[u8],
        grids: &[Grid],
        preprocess: &PreprocessConfig,
        device: &B::Device,
        control: &TaskControl,
    ) -> Result<Tensor<B, 2>> {
        let plan = AttentionPlan::new(grids, self.window_side);
        let coords = patch_coords(grids);
        let coords: Vec<[u32; 2]> = plan.order.iter().map(|&row| coords[row]).collect();
        let reorder = (!plan.is_identity())
            .then(|| Reorder { to_image: indices(&plan.inverse(), device), to_windows: indices(&plan.order, device) });
        let context = AttentionContext {
            rope: vision_rope_table(&coords, [self.heads, self.head_dim], device),
            windows: plan.windows,
            full: plan.full,
            reorder,
        };
        let mut x = self.patch_embed.forward(normalized(pixels, &plan.order, preprocess, device));
        for (index, block) in self.blocks.iter().enumerate() {
            control.check()?;
            x = block.forward(x, &context);
            control.report(Stage::Encode, index as u64 + 1, self.blocks.len() as u64);
        }
        Ok(match context.reorder {
            Some(reorder) => x.select(0, reorder.to_image),
            None => x,
        })
    }
}

fn indices<B: Kernels>(rows: &[usize], device: &B::Device) -> Tensor<B, 1, Int> {
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    let len = rows.len();
    Tensor::from_data(TensorData::new(rows, [len]), device)
}

/// Normalized pixel values of the patches, in the given order.
fn normalized<B: Kernels>(
    pixels: &[u8],
    order: &[usize],
    preprocess: &PreprocessConfig,
    device: &B::Device,
) -> Tensor<B, 2> {
    let width = preprocess.patch_values();
    let tables = preprocess.normalised();
    let mut values = Vec::with_capacity(pixels.len());
    for &row in order {
        let patch = &pixels[row * width..(row + 1) * width];
        for (channel, table) in patch.chunks_exact(width / 3).zip(&tables) {
            values.extend(channel.iter().map(|&value| table[usize::from(value)]));
        }
    }
    Tensor::from_data(TensorData::new(values, [order.len(), width]), device)
}
