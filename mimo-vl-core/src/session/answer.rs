//! A complete answer, with its timings and memory use.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::answer::{Region, StopReason, json_value_range};
use crate::media::Transform;

/// A complete answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// Text of the answer without the thinking.
    pub text: String,
    /// Text of the thinking before the answer; `None` if there is none.
    pub thinking: Option<String>,
    /// Boxes and points in the answer, in its order.
    pub regions: Vec<Region>,
    /// True if the answer ended by itself, with every list and object in it closed, and is not empty after a thinking.
    pub complete: bool,
    /// True if the grammar ended the answer before the model would have, because a limit came near: it fits the
    /// grammar, and may lack items or text. `stop` is the limit.
    pub closed_early: bool,
    /// Tokens of the answer, with the thinking and without the EOS token.
    pub ids: Vec<u32>,
    /// Number of tokens of the answer: the length of `ids`.
    pub tokens: usize,
    /// Logprobs of `ids`; empty unless
    /// [`GenerateOptions::logprobs`](crate::sampling::GenerateOptions#structfield.logprobs) is set.
    pub logprobs: Vec<TokenLogprob>,
    /// Number of tokens of the conversation before the answer.
    pub prompt_tokens: usize,
    /// Reason for the end.
    pub stop: StopReason,
    /// Transforms between the caller's pixels and those that the model saw and names in its answer: one for each image
    /// and video of the conversation, in order.
    pub transforms: Vec<Transform>,
    /// Durations and token counts.
    pub timings: Timings,
    /// Memory of the session after the answer.
    pub memory: MemoryUse,
}

impl Answer {
    /// Returns the geometric mean of the probabilities of the tokens that wrote a byte range of the text; `None` if
    /// there are none, or without logprobs. It is not calibrated: use it to rank, not as the probability of being
    /// correct.
    pub fn confidence(&self, range: &Range<usize>) -> Option<f32> {
        let within = self.logprobs.iter().filter(|token| overlaps(&token.range, range));
        mean_probability(within.map(|token| token.logprob))
    }

    /// Returns the [confidence](Self::confidence) of a value in a JSON answer, which may be in a fenced block.
    /// `pointer` is a JSON pointer (RFC 6901) such as `/items/0/price`; an empty one means the entire value.
    pub fn field_confidence(&self, pointer: &str) -> Option<f32> {
        self.confidence(&json_value_range(&self.text, pointer)?)
    }
}

/// True if the byte range of a token is not empty and overlaps `range`.
pub(super) fn overlaps(token: &Range<usize>, range: &Range<usize>) -> bool {
    token.start < token.end && token.start < range.end && token.end > range.start
}

/// Geometric mean of probabilities, from their logarithms; `None` if there are none.
pub(super) fn mean_probability(logprobs: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, count) = logprobs.fold((0.0, 0), |(sum, count), logprob| (sum + logprob, count + 1));
    (count > 0).then(|| (sum / count as f32).exp())
}

/// Memory of a session in bytes. Memory that sessions share is counted in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryUse {
    /// Weights of the model, as far as they have been read.
    pub weights: u64,
    /// KV cache, as allocated.
    pub cache: u64,
    /// Pixels of the conversation's images and videos.
    pub pixels: u64,
    /// Features of the conversation's images and videos.
    pub features: u64,
}

/// Log probability of a token of an answer.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// Byte range of the answer's text that the token wrote; empty if it wrote none. Tokens that make up one character
    /// share its range.
    pub range: Range<usize>,
    /// Natural logarithm of the token's probability.
    pub logprob: f32,
    /// Most likely tokens at this position with their logprobs, in descending order.
    pub top: Vec<(u32, f32)>,
}

/// Durations of the stages of one answer, in wall-clock time, and token counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Timings {
    /// Loading of the model, once for all its sessions.
    pub load: Duration,
    /// Reading and decoding of the prompt's image and video files, and rendering of its PDF pages, before the call;
    /// zero for raw pixels, and for media that the conversation contained before.
    pub media: Duration,
    /// Resizing of images and video frames, and splitting into patches.
    pub preprocess: Duration,
    /// Vision tower and projector.
    pub encode: Duration,
    /// Prefill of the uncached part of the conversation, up to the logits of the answer's first token.
    pub prefill: Duration,
    /// Forward passes of the answer's tokens.
    pub decode: Duration,
    /// Sampling of the answer's tokens.
    pub sampling: Duration,
    /// Tokens of the conversation before the answer, media tokens included.
    pub prompt_tokens: usize,
    /// Tokens of `prompt_tokens` that were cached.
    pub cached_tokens: usize,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Tokens of the answer that went through the language model: one less than `tokens` when a limit ended it.
    pub steps: usize,
    /// Draft tokens
    /// ([`GenerateOptions::num_draft_tokens`](crate::sampling::GenerateOptions#structfield.num_draft_tokens)).
    pub drafted: usize,
    /// Draft tokens that were accepted.
    pub accepted: usize,
}

impl Timings {
    /// Prompt tokens per second of prefill; 0 if there were none.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        per_second(self.prompt_tokens.saturating_sub(self.cached_tokens), self.prefill)
    }

    /// Answer tokens per second of decoding; 0 if there were none.
    pub fn decode_tokens_per_second(&self) -> f64 {
        per_second(self.steps, self.decode)
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    if count == 0 || time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Runs `work` and adds its duration to `total`.
pub(super) fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_exclude_cached_tokens() {
        let timings = Timings {
            prefill: Duration::from_secs(2),
            decode: Duration::from_millis(500),
            prompt_tokens: 30,
            cached_tokens: 10,
            tokens: 6,
            steps: 5,
            ..Timings::default()
        };
        assert_eq!(timings.prefill_tokens_per_second(), 10.0);
        assert_eq!(timings.decode_tokens_per_second(), 10.0);
        assert_eq!(Timings::default().decode_tokens_per_second(), 0.0);
    }
}
