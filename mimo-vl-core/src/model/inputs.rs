//! Token ids with one token for every feature, and the position of each on the three axes of M-RoPE.
//!
//! Positions follow Qwen2.5-VL (arXiv 2502.13923, section 2.1.2): text counts up alike on all axes. A picture or
//! video starts where the text stopped, each of its features at its own time, row and column, and the text behind
//! it goes on above the largest position on any axis.

use crate::config::MediaTokenIds;
use crate::error::{Error, Result};
use crate::preprocess::Grid;

/// Where the features of one picture or video go.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceholderRange {
    /// Which picture or video: its place among all media of the prompt, from 0.
    pub media: usize,
    /// The first of its tokens.
    pub start: usize,
    /// How many tokens it has: one for each feature.
    pub len: usize,
}

/// A prompt as the language model takes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ModelInput {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Time, height and width position of every token, `[tokens][3]`.
    pub positions: Vec<[u32; 3]>,
    /// The position of the next token, on all axes, minus the number of tokens so far. It stays the same while the
    /// answer grows.
    pub rope_delta: i64,
    /// The slots of the media in order of appearance.
    pub slots: Vec<PlaceholderRange>,
}

/// Repeat each media token of `ids` once for every feature, and place all tokens.
///
/// `ids` has one token for each picture or video. `grids` has the patches of each in order of appearance, and for a
/// video the seconds from one temporal patch to the next; step k of a video lies
/// ⌊k · seconds · `tokens_per_second`⌋ positions behind its start.
///
/// # Errors
/// [`Error::Prompt`] when there are no tokens, media tokens and grids do not match in number or kind, a grid is
/// empty or odd, or the positions leave the range of 32 bits; [`Error::Option`] when the seconds are not above 0.
pub fn build_input(
    ids: &[u32],
    grids: &[(Grid, Option<f64>)],
    tokens: &MediaTokenIds,
    tokens_per_second: f64,
) -> Result<ModelInput> {
    if ids.is_empty() {
        return Err(Error::prompt("it has no tokens"));
    }
    let slots = ids.iter().filter(|&&id| id == tokens.image || id == tokens.video).count();
    if slots != grids.len() {
        return Err(Error::prompt(format!(
            "the rendered text has room for {slots} images and videos, and {} are given: the chat template must write \
             one image or video token for each",
            grids.len()
        )));
    }
    let mut encoder = Encoder::default();
    let mut media = grids.iter();
    for &id in ids {
        if id != tokens.image && id != tokens.video {
            encoder.text(id)?;
        } else if let Some(&(grid, seconds)) = media.next() {
            if seconds.is_some() != (id == tokens.video) {
                return Err(Error::prompt(format!(
                    "medium {} is {} in the rendered text and {} in the prompt",
                    encoder.encoded.slots.len() + 1,
                    kind(id == tokens.video),
                    kind(seconds.is_some())
                )));
            }
            encoder.medium(id, grid, seconds.map_or(Ok(0.0), |seconds| step(seconds, tokens_per_second))?)?;
        }
    }
    encoder.finish()
}

fn kind(video: bool) -> &'static str {
    if video { "a video" } else { "an image" }
}

/// Positions from one temporal patch of a video to the next.
fn step(seconds: f64, tokens_per_second: f64) -> Result<f64> {
    let step = seconds * tokens_per_second;
    if seconds > 0.0 && step.is_finite() && step >= 0.0 {
        return Ok(step);
    }
    Err(Error::option("fps", format!("{seconds} seconds between two temporal patches; it must be finite and above 0")))
}

#[derive(Default)]
struct Encoder {
    encoded: ModelInput,
    /// Position of the next text token: one above everything so far.
    next: u32,
}

impl Encoder {
    fn text(&mut self, id: u32) -> Result<()> {
        self.encoded.ids.push(id);
        self.encoded.positions.push([self.next; 3]);
        self.next = offset(self.next, 1)?;
        Ok(())
    }

    /// `step`: positions from one temporal patch to the next.
    fn medium(&mut self, id: u32, grid: Grid, step: f64) -> Result<()> {
        let Grid { t, h, w } = grid;
        if t == 0 || h == 0 || w == 0 || h % 2 != 0 || w % 2 != 0 {
            return Err(Error::prompt(format!("a grid of {t}×{h}×{w} patches: h and w must be even, none may be 0")));
        }
        let start = self.next;
        let first = self.encoded.ids.len();
        for k in 0..t {
            // Truncation of a number that is not negative is the floor.
            let time = offset(start, (k as f64 * step) as u64)?;
            for row in 0..h / 2 {
                for column in 0..w / 2 {
                    let position = [time, offset(start, row as u64)?, offset(start, column as u64)?];
                    self.encoded.positions.push(position);
                    self.next = self.next.max(position.into_iter().max().unwrap_or(start));
                }
            }
        }
        let len = grid.tokens();
        self.encoded.ids.resize(first + len, id);
        self.encoded.slots.push(PlaceholderRange { media: self.encoded.slots.len(), start: first, len });
        self.next = offset(self.next, 1)?;
        Ok(())
    }

    fn finish(mut self) -> Result<ModelInput> {
        let tokens = i64::try_from(self.encoded.ids.len()).map_err(|_| too_far())?;
        self.encoded.rope_delta = i64::from(self.next) - tokens;
        Ok(self.encoded)
    }
}

/// Positions stay below 2³¹, which every backend's integers hold.
fn offset(position: u32, by: u64) -> Result<u32> {
    let sum = u64::from(position).checked_add(by).filter(|&sum| sum <= i32::MAX as u64);
    sum.and_then(|sum| u32::try_from(sum).ok()).ok_or_else(too_far)
}

fn too_far() -> Error {
    Error::prompt("its positions leave the range of 32 bits: the rate of a video is too low, or it has too many tokens")
}
