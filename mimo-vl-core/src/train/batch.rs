//! Conversations as tensors' contents: token ids, positions, what to learn, and patches.

use crate::error::{Error, Result};
use crate::model::PlaceholderRange;
use crate::preprocess::{Grid, Patches};

/// Patches in one token's block.
pub(super) const BLOCK: usize = 4;

/// What a patch shows, for training to tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PatchLabel {
    /// Its kind, below `patch_classes` of the options; 0 for nothing in particular.
    pub kind: u32,
    /// Four numbers below `number_classes` that the language model is to know there, such as the places of the edges of what it
    /// shows; `None` for nothing to know.
    pub numbers: Option<[u32; 4]>,
}

/// One tokenised conversation.
#[derive(Debug, Clone)]
pub struct Example {
    /// The tokens, every media slot expanded.
    pub ids: Vec<u32>,
    /// Temporal, height and width position of each token.
    pub positions: Vec<[u32; 3]>,
    /// How much it counts that the model says each token, 0 or more, relative to all of a step; 0 is not learned, and the first
    /// token cannot be.
    pub weights: Vec<f32>,
    /// What the language model is to know after half of its layers, as tokens that it would say there: what a picture shows at
    /// the row of an image token, what was asked for at the rows of a question or an answer.
    pub early: Vec<Target>,
    /// Numbers that the language model is to know after half of its layers, beside those of labels, as if each patch of a token
    /// had them.
    pub known: Vec<NumberTarget>,
    /// What the language model is to have found before its last layer.
    pub found: Vec<NumberTarget>,
    /// Where the features of `patches` stand, in their order.
    pub slots: Vec<PlaceholderRange>,
    /// The media.
    pub patches: Vec<Patches>,
    /// What each patch of the media shows; empty when that is not to be learned.
    pub patch_labels: Vec<PatchLabel>,
}

/// A token to be learned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The row that is to say it, from the example's first token, or in a batch from the batch's.
    pub row: u32,
    /// The token.
    pub token: u32,
    /// How much it counts.
    pub weight: f32,
}

/// Numbers that are to be known at a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberTarget {
    /// The row, from the example's first token, or in a batch from the batch's.
    pub row: u32,
    /// Four numbers below `number_classes` of the options.
    pub numbers: [u32; 4],
}

/// Several examples side by side, padded at the end to one length.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Number of examples.
    pub size: usize,
    /// `[size · len]` token ids.
    pub ids: Vec<u32>,
    /// `[size · len]` positions.
    pub positions: Vec<[u32; 3]>,
    /// Slots over all rows of the batch.
    pub slots: Vec<PlaceholderRange>,
    /// The tokens to be learned.
    pub targets: Vec<Target>,
    /// What is to be known after half of the layers.
    pub early: Vec<Target>,
    /// Numbers that are to be known after half of the layers, beside those of labels, as if each patch of a token had them.
    pub known: Vec<NumberTarget>,
    /// What is to have been found before the last layer.
    pub found: Vec<NumberTarget>,
    /// The patches of all media.
    pub pixels: Vec<u8>,
    /// The grids of all media.
    pub grids: Vec<Grid>,
    /// What each patch shows, for all patches of the batch or for none.
    pub patch_labels: Vec<PatchLabel>,
}

impl Batch {
    /// Join examples; each must have as many positions and weights as tokens.
    ///
    /// # Errors
    /// [`Error::Prompt`] when an example's parts do not fit each other.
    pub fn new(examples: &[Example]) -> Result<Self> {
        let len = examples.iter().map(|example| example.ids.len()).max().unwrap_or(0);
        let mut batch = Self { size: examples.len(), ..Self::default() };
        for (index, example) in examples.iter().enumerate() {
            let tokens = example.ids.len();
            if example.positions.len() != tokens
                || example.weights.len() != tokens
                || example.slots.len() != example.patches.len()
                || example.early.iter().any(|target| target.row as usize >= tokens)
                || example.found.iter().chain(&example.known).any(|target| target.row as usize >= tokens)
                || example.weights.iter().any(|weight| !(weight.is_finite() && *weight >= 0.0))
                || example.early.iter().any(|target| !(target.weight.is_finite() && target.weight > 0.0))
                || ![0, example.patches.iter().map(|media| media.grid.patches()).sum::<usize>()]
                    .contains(&example.patch_labels.len())
            {
                return Err(Error::prompt(format!(
                    "example {index}: ids, positions, weights, other targets or media do not fit each other, or a weight is negative, not finite, or 0 for an early target"
                )));
            }
            let start = index * len;
            let padding = len - tokens;
            batch.ids.extend(example.ids.iter().copied().chain(std::iter::repeat_n(0, padding)));
            batch.positions.extend(example.positions.iter().copied().chain(std::iter::repeat_n([0; 3], padding)));
            let said = (start as u32..).zip(example.ids.iter().zip(&example.weights).skip(1));
            let targets = said.map(|(row, (&token, &weight))| Target { row, token, weight });
            batch.targets.extend(targets.filter(|target| target.weight > 0.0));
            let moved = |target: &NumberTarget| NumberTarget { row: start as u32 + target.row, ..*target };
            batch.found.extend(example.found.iter().map(moved));
            batch.known.extend(example.known.iter().map(moved));
            batch.early.extend(example.early.iter().map(|target| Target { row: start as u32 + target.row, ..*target }));
            batch.patch_labels.extend_from_slice(&example.patch_labels);
            for (slot, patches) in example.slots.iter().zip(&example.patches) {
                batch.slots.push(PlaceholderRange {
                    media: batch.grids.len(),
                    start: start + slot.start,
                    len: slot.len,
                });
                batch.pixels.extend_from_slice(&patches.pixels);
                batch.grids.push(patches.grid);
            }
        }
        if !batch.patch_labels.is_empty() && batch.patch_labels.len() != batch.patches() {
            return Err(Error::prompt("patches are labelled in some examples of a batch and not in others"));
        }
        Ok(batch)
    }

    /// The patches of all media.
    pub(super) fn patches(&self) -> usize {
        self.grids.iter().map(Grid::patches).sum()
    }

    /// The row of every media token that has numbers to know, which of its patches they are of, and the numbers.
    pub(super) fn numbered(&self) -> Vec<(u32, usize, [u32; 4])> {
        let rows = self.slots.iter().flat_map(|slot| slot.start..slot.start + slot.len);
        let tokens = rows.zip(self.patch_labels.chunks_exact(BLOCK));
        let patches = tokens.flat_map(|(row, block)| block.iter().enumerate().map(move |patch| (row as u32, patch)));
        patches.filter_map(|(row, (place, label))| Some((row, place, label.numbers?))).collect()
    }
}
