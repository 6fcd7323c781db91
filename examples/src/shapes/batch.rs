//! Examples and batches of the shapes with the targets of their auxiliary losses.

use mimo_vl_core::train::{Batch, Example, TokenTarget};
use mimo_vl_core::{Error, Result};

/// Patches that one token stands for: a block of 2×2.
pub(crate) const PATCHES_PER_TOKEN: usize = 4;

/// Supervision of one patch.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PatchLabel {
    /// Class of the object whose center the patch shows, below [`PATCH_CLASSES`](super::PATCH_CLASSES); 0 for none.
    pub class: u32,
    /// Bounds of that object in [coordinate bins](super::COORDINATE_BINS): left, top, right and bottom.
    pub bounds: Option<[u32; 4]>,
}

/// Coordinates that a linear probe reads from the hidden state of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinateTarget {
    /// Row, counted over the rows of the batch (in an example, over its tokens).
    pub row: u32,
    /// Left, top, right and bottom, in [coordinate bins](super::COORDINATE_BINS).
    pub bounds: [u32; 4],
}

/// One example with its auxiliary targets.
#[derive(Debug, Clone)]
pub struct ShapesExample {
    /// Tokens, media and next-token targets.
    pub inputs: Example,
    /// Labels of all patches, in their order; empty for no supervision of patches.
    pub patch_labels: Vec<PatchLabel>,
    /// Tokens that the middle layer predicts: at image tokens the names of what they show, at the rows of a prompt and
    /// its answer the names of what is asked for. Their weights are above 0.
    pub middle_tokens: Vec<TokenTarget>,
    /// Coordinates that the middle layer knows at rows of text, besides those of `patch_labels` at image tokens.
    pub middle_bounds: Vec<CoordinateTarget>,
    /// Coordinates that the input of the last layer knows.
    pub late_bounds: Vec<CoordinateTarget>,
}

/// Several examples, padded to one length.
#[derive(Debug, Clone)]
pub struct ShapesBatch {
    /// Tokens, media and next-token targets.
    pub inputs: Batch,
    /// Labels of all patches of the batch, or of none.
    pub patch_labels: Vec<PatchLabel>,
    /// Tokens that the middle layer predicts.
    pub middle_tokens: Vec<TokenTarget>,
    /// Coordinates that the middle layer knows at rows of text.
    pub middle_bounds: Vec<CoordinateTarget>,
    /// Coordinates that the input of the last layer knows.
    pub late_bounds: Vec<CoordinateTarget>,
}

/// The bounds that the hidden state of an image token knows of one of its patches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PatchBounds {
    /// Row of the image token.
    pub(crate) row: u32,
    /// Patch within the token's block, below [`PATCHES_PER_TOKEN`].
    pub(crate) patch: usize,
    /// Left, top, right and bottom, in coordinate bins.
    pub(crate) bounds: [u32; 4],
}

impl ShapesBatch {
    /// Joins examples.
    ///
    /// # Errors
    /// Those of [`Batch::new`]; [`Error::Prompt`] for a target outside its example, a weight of a middle token that is
    /// not above 0, and patches that are not all labelled.
    pub fn new(examples: &[ShapesExample]) -> Result<Self> {
        let inputs: Vec<Example> = examples.iter().map(|example| example.inputs.clone()).collect();
        let mut batch = Self {
            inputs: Batch::new(&inputs)?,
            patch_labels: Vec::new(),
            middle_tokens: Vec::new(),
            middle_bounds: Vec::new(),
            late_bounds: Vec::new(),
        };
        for (index, example) in examples.iter().enumerate() {
            example.check().map_err(|reason| Error::Prompt { reason: format!("example {index}: {reason}") })?;
            let start = (index * batch.inputs.row_len()) as u32;
            let shift = |target: &CoordinateTarget| CoordinateTarget { row: start + target.row, ..*target };
            batch.middle_bounds.extend(example.middle_bounds.iter().map(shift));
            batch.late_bounds.extend(example.late_bounds.iter().map(shift));
            let tokens = example.middle_tokens.iter();
            batch.middle_tokens.extend(tokens.map(|target| TokenTarget { row: start + target.row, ..*target }));
            batch.patch_labels.extend_from_slice(&example.patch_labels);
        }
        if !batch.patch_labels.is_empty() && batch.patch_labels.len() != batch.inputs.patch_count() {
            let reason = "patches are labelled in some examples of a batch and not in others".into();
            return Err(Error::Prompt { reason });
        }
        Ok(batch)
    }

    /// The bounds of all patches that have any, with the rows of their tokens.
    pub(crate) fn patch_bounds(&self) -> Vec<PatchBounds> {
        let rows = self.inputs.placeholders.iter().flat_map(|range| range.start..range.start + range.len);
        let tokens = rows.zip(self.patch_labels.chunks_exact(PATCHES_PER_TOKEN));
        let patches = tokens.flat_map(|(row, block)| block.iter().enumerate().map(move |patch| (row as u32, patch)));
        patches.filter_map(|(row, (patch, label))| Some(PatchBounds { row, patch, bounds: label.bounds? })).collect()
    }
}

impl AsRef<Batch> for ShapesBatch {
    fn as_ref(&self) -> &Batch {
        &self.inputs
    }
}

impl ShapesExample {
    fn check(&self) -> std::result::Result<(), &'static str> {
        let tokens = self.inputs.ids.len();
        let patches: usize = self.inputs.patches.iter().map(|media| media.grid.patches()).sum();
        if self.middle_tokens.iter().any(|target| target.row as usize >= tokens)
            || self.middle_bounds.iter().chain(&self.late_bounds).any(|target| target.row as usize >= tokens)
        {
            return Err("an auxiliary target lies outside the tokens");
        }
        if self.middle_tokens.iter().any(|target| !(target.weight.is_finite() && target.weight > 0.0)) {
            return Err("the weight of a middle token is not above 0, or not finite");
        }
        if ![0, patches].contains(&self.patch_labels.len()) {
            return Err("some patches are labelled and others are not");
        }
        Ok(())
    }
}
