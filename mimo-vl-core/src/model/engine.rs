//! A loaded model and its sequences, whatever backend they are on.

use std::any::Any;
use std::fmt;

use crate::cancel::TaskControl;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::PlaceholderRange;
use crate::preprocess::Patches;

/// Largest number of prompt tokens that go through the layers at once.
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

/// Tokens that a sequence is to take in next.
#[derive(Debug, Clone)]
pub struct PrefillInput<'a> {
    /// The tokens, with a media token in every place that holds a feature.
    pub ids: &'a [u32],
    /// Temporal, height and width position of each token.
    pub positions: &'a [[u32; 3]],
    /// Runs of media tokens, relative to the start of `ids`, and what stands there.
    pub media: Vec<(PlaceholderRange, &'a Features)>,
}

/// A loaded model on its device, whatever backend that is.
pub trait Engine: Send + Sync {
    /// The shapes of the model.
    fn config(&self) -> &ModelConfig;

    /// The features of one image or video.
    ///
    /// # Errors
    /// As [`encode_all`](Self::encode_all).
    fn encode(&self, patches: &Patches, control: &TaskControl) -> Result<Features> {
        let mut features = self.encode_all(&[patches], control)?;
        features.pop().ok_or_else(|| Error::internal("no features"))
    }

    /// The features of several images and videos: as many in one pass as a bounded number of patches allows.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Internal`] for a defect of this library.
    fn encode_all(&self, patches: &[&Patches], control: &TaskControl) -> Result<Vec<Features>>;

    /// A new, empty sequence.
    fn sequence(&self) -> Box<dyn Sequence>;

    /// Bytes that the weights take, as far as they are read; 0 if that is not known.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Bytes that a sequence of so many tokens takes; 0 if that is not known.
    fn cache_bytes(&self, _tokens: usize) -> u64 {
        0
    }

    /// Whether it runs in the computer's main memory.
    fn is_on_host(&self) -> bool {
        true
    }

    /// One step of several sequences of this engine: each takes in a token, at the same position on all axes, and gives the
    /// logits after it. They share a pass over the weights where the engine can.
    ///
    /// # Errors
    /// [`Error::Cancelled`], and then no sequence took its token in; [`Error::Internal`] for a defect of this library.
    fn decode_batch(&self, steps: &mut [Step<'_>], control: &TaskControl) -> Result<Vec<Vec<f32>>> {
        let mut logits = Vec::with_capacity(steps.len());
        for index in 0..steps.len() {
            let step = &mut steps[index];
            match step.sequence.step(step.id, step.position, control) {
                Ok(row) => logits.push(row),
                Err(error) => {
                    for before in &mut steps[..index] {
                        before.sequence.truncate(before.sequence.len().saturating_sub(1));
                    }
                    return Err(error);
                }
            }
        }
        Ok(logits)
    }
}

/// The next token of one of several sequences.
pub struct Step<'a> {
    /// The sequence.
    pub sequence: &'a mut dyn Sequence,
    /// The token.
    pub id: u32,
    /// Its position.
    pub position: u32,
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("id", &self.id).field("position", &self.position).finish_non_exhaustive()
    }
}

/// One conversation's state on the device.
pub trait Sequence: Send {
    /// Tokens taken in so far.
    fn len(&self) -> usize;

    /// Whether nothing was taken in yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Allocate for `tokens` tokens in all, so that no step has to.
    ///
    /// # Errors
    /// [`Error::Memory`] when there is not so much; [`Error::Internal`] when the device reports that.
    fn reserve(&mut self, tokens: usize) -> Result<()>;

    /// Bytes that are allocated for its tokens; 0 if that is not known.
    fn bytes(&self) -> u64 {
        0
    }

    /// Bytes that [`reserve`](Self::reserve) needs beside those; 0 if that is not known.
    fn growth(&self, _tokens: usize) -> u64 {
        0
    }

    /// Forget every token from `len` on.
    fn truncate(&mut self, len: usize);

    /// The sequence as what it is, for the engine that made it.
    fn as_any(&mut self) -> &mut dyn Any;

    /// A second sequence that holds the same tokens; what they take in memory is shared until one of the two takes in more.
    fn fork(&self) -> Box<dyn Sequence>;

    /// Take in tokens, `chunk` at a time; `all` asks for the logits of every token, else only of the last.
    ///
    /// # Shapes
    /// - result: `[tokens or 1, vocabulary]`, row by row
    ///
    /// # Errors
    /// [`Error::Cancelled`], and then nothing was taken in; [`Error::Internal`] for a defect of this library.
    fn prefill(
        &mut self,
        segment: &PrefillInput<'_>,
        chunk: usize,
        all: bool,
        control: &TaskControl,
    ) -> Result<Vec<f32>>;

    /// Take in the default number of tokens at a time, and give the logits of the last.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    fn extend(&mut self, segment: &PrefillInput<'_>, control: &TaskControl) -> Result<Vec<f32>> {
        self.prefill(segment, PREFILL_CHUNK, false, control)
    }

    /// Take in one token at the same position on all axes, and give the logits after it.
    ///
    /// # Errors
    /// As [`prefill`](Self::prefill).
    fn step(&mut self, id: u32, position: u32, control: &TaskControl) -> Result<Vec<f32>> {
        let segment = PrefillInput { ids: &[id], positions: &[[position; 3]], media: Vec::new() };
        self.prefill(&segment, 1, false, control)
    }
}
