//! Model inputs: token ids with one placeholder token per media feature, and M-RoPE positions.
//!
//! Positions follow Qwen2.5-VL (arXiv 2502.13923, section 2.1.2; `get_rope_index` in transformers). Text tokens count
//! up equally on all three axes. An image or video starts at the next position, and each of its features is offset by
//! its time, row and column. The text after it continues above the largest position on any axis.

use crate::config::MediaTokenIds;
use crate::error::{Error, Result};
use crate::preprocess::Grid;

/// Range of placeholder tokens of one media item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaceholderRange {
    /// Index of the media item among all media items of the input, from 0.
    pub media: usize,
    /// Index of its first token.
    pub start: usize,
    /// Number of its tokens, one per feature.
    pub len: usize,
}

/// Tokens and positions of a prompt, the input of the language model.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ModelInput {
    /// Token ids, `[tokens]`.
    pub ids: Vec<u32>,
    /// Temporal, height and width position of each token, `[tokens][3]`.
    pub positions: Vec<[u32; 3]>,
    /// Position of the next token (on all axes) minus the number of tokens. It stays constant during decoding;
    /// `rope_deltas` in transformers.
    pub rope_delta: i64,
    /// Placeholder ranges of the media items, in order of appearance.
    pub placeholders: Vec<PlaceholderRange>,
}

/// Builds the model input: expands each media token of `ids` to one placeholder per feature and computes all positions.
///
/// `ids` has one media token per image or video. `grids` has the patch grid of each media item, in order of appearance,
/// and for videos the seconds between temporal patches. Temporal patch k of a video is at
/// ⌊k · seconds · `tokens_per_second`⌋ positions after its start.
///
/// # Errors
/// - [`Error::Prompt`] if there are no tokens, media tokens and grids differ in number or kind, a grid is empty or has
///   an odd height or width, or a position exceeds 31 bits
/// - [`Error::Option`] if the seconds are not finite and above 0
pub fn build_input(
    ids: &[u32],
    grids: &[(Grid, Option<f64>)],
    tokens: &MediaTokenIds,
    tokens_per_second: f64,
) -> Result<ModelInput> {
    if ids.is_empty() {
        return Err(Error::prompt("it has no tokens"));
    }
    let placeholders = ids.iter().filter(|&&id| id == tokens.image || id == tokens.video).count();
    if placeholders != grids.len() {
        return Err(Error::prompt(format!(
            "the rendered text has {placeholders} image and video tokens for {} images and videos: the chat template \
             must write one for each",
            grids.len()
        )));
    }
    let mut builder = InputBuilder::default();
    let mut media_items = grids.iter();
    for &id in ids {
        if id != tokens.image && id != tokens.video {
            builder.text(id)?;
        } else if let Some(&(grid, seconds)) = media_items.next() {
            if seconds.is_some() != (id == tokens.video) {
                return Err(Error::prompt(format!(
                    "media item {} is {} in the rendered text and {} in the prompt",
                    builder.input.placeholders.len() + 1,
                    kind_name(id == tokens.video),
                    kind_name(seconds.is_some())
                )));
            }
            builder.media_item(
                id,
                grid,
                seconds.map_or(Ok(0.0), |seconds| positions_per_step(seconds, tokens_per_second))?,
            )?;
        }
    }
    builder.finish()
}

fn kind_name(video: bool) -> &'static str {
    if video { "a video" } else { "an image" }
}

/// Distance in positions between the temporal patches of a video.
fn positions_per_step(seconds: f64, tokens_per_second: f64) -> Result<f64> {
    let step = seconds * tokens_per_second;
    if seconds > 0.0 && step.is_finite() && step >= 0.0 {
        return Ok(step);
    }
    Err(Error::option("fps", format!("{seconds} seconds between two temporal patches; it must be finite and above 0")))
}

#[derive(Default)]
struct InputBuilder {
    input: ModelInput,
    /// Position of the next text token: one more than the largest position so far.
    next: u32,
}

impl InputBuilder {
    fn text(&mut self, id: u32) -> Result<()> {
        self.input.ids.push(id);
        self.input.positions.push([self.next; 3]);
        self.next = offset(self.next, 1)?;
        Ok(())
    }

    /// Appends a media item whose temporal patches are `step` positions apart.
    fn media_item(&mut self, id: u32, grid: Grid, step: f64) -> Result<()> {
        let Grid { t, h, w } = grid;
        if t == 0 || h == 0 || w == 0 || h % 2 != 0 || w % 2 != 0 {
            return Err(Error::prompt(format!(
                "a grid of {t}×{h}×{w} patches: height and width must be even, and none may be 0"
            )));
        }
        let start = self.next;
        let first = self.input.ids.len();
        for k in 0..t {
            // Truncation is floor, because the number is not negative.
            let time = offset(start, (k as f64 * step) as u64)?;
            for row in 0..h / 2 {
                for column in 0..w / 2 {
                    let position = [time, offset(start, row as u64)?, offset(start, column as u64)?];
                    self.input.positions.push(position);
                    self.next = self.next.max(position.into_iter().max().unwrap_or(start));
                }
            }
        }
        let len = grid.tokens();
        self.input.ids.resize(first + len, id);
        self.input.placeholders.push(PlaceholderRange { media: self.input.placeholders.len(), start: first, len });
        self.next = offset(self.next, 1)?;
        Ok(())
    }

    fn finish(mut self) -> Result<ModelInput> {
        let tokens = i64::try_from(self.input.ids.len()).map_err(|_| out_of_range())?;
        self.input.rope_delta = i64::from(self.next) - tokens;
        Ok(self.input)
    }
}

/// `position + by`, limited to 31 bits, which the integers of every backend can represent.
fn offset(position: u32, by: u64) -> Result<u32> {
    let sum = u64::from(position).checked_add(by).filter(|&sum| sum <= i32::MAX as u64);
    sum.and_then(|sum| u32::try_from(sum).ok()).ok_or_else(out_of_range)
}

fn out_of_range() -> Error {
    Error::prompt("its positions exceed 31 bits: the rate of a video is too low, or it has too many tokens")
}
