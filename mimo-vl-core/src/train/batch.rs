//! Tokenized examples, and batches of them padded to one length.

use crate::error::{Error, Result};
use crate::model::PlaceholderRange;
use crate::preprocess::{Grid, Patches};

/// One tokenized conversation with its media.
#[derive(Debug, Clone)]
pub struct Example {
    /// Token ids, with one placeholder token per media feature: `[tokens]`.
    pub ids: Vec<u32>,
    /// Temporal, height and width position of each token: `[tokens][3]`.
    pub positions: Vec<[u32; 3]>,
    /// Loss weight of each token, finite: `[tokens]`. A token of weight 0 is no target; a negative weight makes its
    /// token less likely. The first token has no context and is never a target.
    pub weights: Vec<f32>,
    /// Token range of each image or video, in the order of `patches`.
    pub placeholders: Vec<PlaceholderRange>,
    /// Patches of each image or video.
    pub patches: Vec<Patches>,
}

/// A token whose probability enters the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenTarget {
    /// Row whose logits predict the token, counted over the rows of the batch (in an example, over its tokens).
    pub row: u32,
    /// Token id.
    pub token: u32,
    /// Loss weight, finite.
    pub weight: f32,
}

/// Several examples, padded at the end to the longest one.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Number of examples.
    pub size: usize,
    /// Token ids, row by row: `[size · len]`.
    pub ids: Vec<u32>,
    /// Temporal, height and width position of each token: `[size · len][3]`.
    pub positions: Vec<[u32; 3]>,
    /// Token range of each image or video, counted over the rows of the batch.
    pub placeholders: Vec<PlaceholderRange>,
    /// Next-token targets: every token with a weight other than 0.
    pub targets: Vec<TokenTarget>,
    /// Patches of all media, one after another.
    pub pixels: Vec<u8>,
    /// Patch grid of each image or video.
    pub grids: Vec<Grid>,
}

impl Batch {
    /// Joins examples.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the parts of an example differ in length, or a weight is not finite.
    pub fn new(examples: &[Example]) -> Result<Self> {
        let len = examples.iter().map(|example| example.ids.len()).max().unwrap_or(0);
        let mut batch = Self { size: examples.len(), ..Self::default() };
        for (index, example) in examples.iter().enumerate() {
            example.check().map_err(|reason| Error::prompt(format!("example {index}: {reason}")))?;
            batch.push(example, len);
        }
        Ok(batch)
    }

    fn push(&mut self, example: &Example, len: usize) {
        let start = self.ids.len();
        let padding = len - example.ids.len();
        self.ids.extend(example.ids.iter().copied().chain(std::iter::repeat_n(0, padding)));
        self.positions.extend(example.positions.iter().copied().chain(std::iter::repeat_n([0; 3], padding)));
        let predicted = (start as u32..).zip(example.ids.iter().zip(&example.weights).skip(1));
        let targets = predicted.map(|(row, (&token, &weight))| TokenTarget { row, token, weight });
        self.targets.extend(targets.filter(|target| target.weight != 0.0));
        for (range, patches) in example.placeholders.iter().zip(&example.patches) {
            self.placeholders.push(PlaceholderRange {
                media: self.grids.len(),
                start: start + range.start,
                len: range.len,
            });
            self.pixels.extend_from_slice(&patches.pixels);
            self.grids.push(patches.grid);
        }
    }

    /// Tokens of each row, padding included.
    pub fn row_len(&self) -> usize {
        self.ids.len() / self.size.max(1)
    }

    /// Number of patches of all media.
    pub fn patch_count(&self) -> usize {
        self.grids.iter().map(Grid::patches).sum()
    }
}

impl AsRef<Self> for Batch {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Example {
    fn check(&self) -> std::result::Result<(), String> {
        let (tokens, positions, weights) = (self.ids.len(), self.positions.len(), self.weights.len());
        if positions != tokens || weights != tokens {
            return Err(format!("{tokens} tokens with {positions} positions and {weights} weights"));
        }
        if self.placeholders.len() != self.patches.len() {
            let (ranges, media) = (self.placeholders.len(), self.patches.len());
            return Err(format!("{media} images and videos with {ranges} placeholder ranges"));
        }
        match self.weights.iter().find(|weight| !weight.is_finite()) {
            Some(weight) => Err(format!("a token has the weight {weight}, which is not finite")),
            None => Ok(()),
        }
    }
}
