//! The engine and its sequences: a loaded network, independent of the backend.

use std::any::Any;
use std::fmt;

use crate::cancel::TaskControl;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::PlaceholderRange;
use crate::preprocess::Patches;

/// Maximum tokens of one forward pass of a prefill.
pub(crate) const PREFILL_CHUNK: usize = 512;

/// The features of one image or video, in host memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    /// `[tokens, width]`, row by row.
    pub values: Vec<f32>,
    /// The language model's width.
    pub width: usize,
}

impl Features {
    /// Bytes of the values.
    pub fn bytes(&self) -> u64 {
        size_of_val(self.values.as_slice()) as u64
    }
}

/// Input of a prefill.
#[derive(Debug, Clone)]
pub struct PrefillInput<'a> {
    /// Token ids, with a placeholder for each row of features.
    pub ids: &'a [u32],
    /// Temporal, height and width position of each token, as many as `ids`.
    pub positions: &'a [[u32; 3]],
    /// Placeholder ranges, relative to the start of `ids`, with the features that replace them.
    pub media: Vec<(PlaceholderRange, &'a Features)>,
}

/// A loaded network on its device.
pub trait Engine: Send + Sync {
    /// Shapes of the network.
    fn config(&self) -> &ModelConfig;

    /// Computes the features of one image or video.
    ///
    /// # Errors
    /// As [`encode_all`](Self::encode_all).
    fn encode(&self, patches: &Patches, control: &TaskControl) -> Result<Features> {
        let mut features = self.encode_all(&[patches], control)?;
        features.pop().ok_or_else(|| Error::internal("no features"))
    }

    /// Computes the features of several images and videos. One pass encodes as many as a limit of patches allows.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and [`Error::Timeout`]; [`Error::Internal`] for a defect of this library.
    fn encode_all(&self, patches: &[&Patches], control: &TaskControl) -> Result<Vec<Features>>;

    /// Creates an empty sequence.
    fn sequence(&self) -> Box<dyn Sequence>;

    /// Bytes of the weights, as far as they have been read; 0 if unknown.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Bytes of the KV cache of a sequence of `tokens` tokens; 0 if unknown.
    fn cache_bytes(&self, _tokens: usize) -> u64 {
        0
    }

    /// True if the engine runs in main memory.
    fn is_on_host(&self) -> bool {
        true
    }

    /// Decodes one token of several sequences of this engine: appends each token, at the same position on all axes, and
    /// returns the logits after it, `[vocabulary]` per sequence. The sequences share a pass over the weights where the
    /// engine supports it.
    ///
    /// # Errors
    /// [`Error::Cancelled`] and [`Error::Timeout`], [`Error::Internal`] for a defect of this library; no token is then
    /// appended.
    fn decode_batch(&self, steps: &mut [Step<'_>], control: &TaskControl) -> Result<Vec<Vec<f32>>> {
        let mut logits = Vec::with_capacity(steps.len());
        for index in 0..steps.len() {
            let step = &mut steps[index];
            match step.sequence.step(step.id, step.position, control) {
                Ok(row) => logits.push(row),
                Err(error) => {
                    for step in &mut steps[..index] {
                        step.sequence.truncate(step.sequence.len().saturating_sub(1));
                    }
                    return Err(error);
                }
            }
        }
        Ok(logits)
    }
}

/// The next token of one sequence of a decode batch.
pub struct Step<'a> {
    /// The sequence that the token is appended to.
    pub sequence: &'a mut dyn Sequence,
    /// Token id.
    pub id: u32,
    /// Position of the token, on all axes.
    pub position: u32,
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("id", &self.id).field("position", &self.position).finish_non_exhaustive()
    }
}

/// The state of one conversation on the device: its KV cache.
pub trait Sequence: Send {
    /// Number of cached tokens.
    fn len(&self) -> usize;

    /// True if no token is cached.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Allocates the cache for `tokens` tokens in total, so that decoding does not have to.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is too little memory; [`Error::Internal`] when the device reports it.
    fn reserve(&mut self, tokens: usize) -> Result<()>;

    /// Allocated bytes; 0 if unknown.
    fn bytes(&self) -> u64 {
        0
    }

    /// Bytes that [`reserve`](Self::reserve) needs beside the allocated ones; 0 if unknown.
    fn growth(&self, _tokens: usize) -> u64 {
        0
    }

    /// Removes the tokens from index `len` on.
    fn truncate(&mut self, len: usize);

    /// The concrete sequence, for the engine that created it.
    fn as_any(&mut self) -> &mut dyn Any;

    /// Returns a second sequence with the same tokens. Their memory is shared until one of the two is extended.
    fn fork(&self) -> Box<dyn Sequence>;

    /// Appends tokens, `chunk` per forward pass. Returns the logits after every token if `all_logits`, else after the
    /// last.
    ///
    /// # Shapes
    /// - result: `[tokens or 1, vocabulary]`, row by row
    ///
    /// # Errors
    /// [`Error::Prompt`] when positions or features do not match the tokens; [`Error::Cancelled`] and
    /// [`Error::Timeout`]; [`Error::Internal`] for a defect of this library. No token is then appended.
    fn prefill(
        &mut self,
        input: &PrefillInput<'_>,
        chunk: usize,
        all_logits: bool,
        control: &TaskControl,
    ) -> Result<Vec<f32>>;

    /// Appends tokens in chunks of the default size. Returns the logits after the last.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    fn extend(&mut self, input: &PrefillInput<'_>, control: &TaskControl) -> Result<Vec<f32>> {
        self.prefill(input, PREFILL_CHUNK, false, control)
    }

    /// Appends one token at the same position on all axes. Returns the logits after it.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    fn step(&mut self, id: u32, position: u32, control: &TaskControl) -> Result<Vec<f32>> {
        let input = PrefillInput { ids: &[id], positions: &[[position; 3]], media: Vec::new() };
        self.prefill(&input, 1, false, control)
    }
}
