//! A whole answer, and how long its stages took.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::answer::{Region, StopReason, json_value_range};
use crate::media::Transform;

/// What the model answered.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Answer {
    /// The answer without the thinking.
    pub text: String,
    /// What the model thought before; `None` when it did not.
    pub thinking: Option<String>,
    /// The boxes and points in the answer, in its order.
    pub regions: Vec<Region>,
    /// Whether the answer came to its own end, with every list and object in it closed.
    pub complete: bool,
    /// The tokens of the answer, thinking included and the token that ends it left out.
    pub ids: Vec<u32>,
    /// How many tokens the answer has: the length of `ids`.
    pub tokens: usize,
    /// The logprobs of `ids`; empty unless [`GenerateOptions::logprobs`](crate::sampling::GenerateOptions#structfield.logprobs) asked for
    /// them.
    pub logprobs: Vec<TokenLogprob>,
    /// How many tokens the whole conversation before it has.
    pub prompt_tokens: usize,
    /// Why it ended.
    pub stop: StopReason,
    /// From the caller's pixels to those that the model saw and names in its answer: one entry for each image and
    /// video of the conversation, in order.
    pub transforms: Vec<Transform>,
    /// How long it took.
    pub timings: Timings,
    /// What the session takes in memory after it.
    pub memory: MemoryUse,
}

impl Answer {
    /// The geometric mean of the probabilities that the model gave to the tokens that wrote a part of the text, a range of
    /// bytes; `None` where there are none, or logprobs were not asked for. It is not calibrated: use it to sort, not as a
    /// probability of being right.
    pub fn confidence(&self, range: &Range<usize>) -> Option<f32> {
        let within = self.logprobs.iter().filter(|token| overlap(&token.range, range));
        mean_probability(within.map(|token| token.logprob))
    }

    /// The [confidence](Self::confidence) of a value in an answer in JSON, which may stand in a fenced block. `pointer` names
    /// it as RFC 6901 says: `/items/0/price`, or nothing for the whole.
    pub fn field_confidence(&self, pointer: &str) -> Option<f32> {
        self.confidence(&json_value_range(&self.text, pointer)?)
    }
}

pub(super) fn overlap(token: &Range<usize>, range: &Range<usize>) -> bool {
    token.start < token.end && token.start < range.end && token.end > range.start
}

/// The geometric mean of some probabilities, from their logarithms.
pub(super) fn mean_probability(logprobs: impl Iterator<Item = f32>) -> Option<f32> {
    let (sum, count) = logprobs.fold((0.0, 0), |(sum, count), logprob| (sum + logprob, count + 1));
    (count > 0).then(|| (sum / count as f32).exp())
}

/// Bytes that a session takes. What sessions share is counted in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryUse {
    /// The model's weights, as far as they are read.
    pub weights: u64,
    /// The cache of keys and values, as it is allocated.
    pub cache: u64,
    /// The pixels of the conversation's pictures and videos.
    pub pixels: u64,
    /// What the vision tower made of them.
    pub features: u64,
}

/// How likely a token of an answer was.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TokenLogprob {
    /// The token.
    pub id: u32,
    /// Where it stands in the answer's text, in bytes; an empty range where it wrote nothing of that. CachedPrefix that make one
    /// character together have the same.
    pub range: Range<usize>,
    /// The natural logarithm of the probability that the model gave to it.
    pub logprob: f32,
    /// The most likely tokens at its place with their logprobs, the most likely one first.
    pub top: Vec<(u32, f32)>,
}

/// How long the stages of one answer took, on the caller's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Timings {
    /// Loading the model, once for all its sessions.
    pub load: Duration,
    /// Reading and decoding the files of the question's pictures and videos, and drawing its pages, before it was asked; zero
    /// for pixels that the caller gave, and for what the conversation has shown before.
    pub media: Duration,
    /// Resizing images and video frames, and cutting them into patches.
    pub preprocess: Duration,
    /// Images and videos through the vision tower and the projector.
    pub encode: Duration,
    /// The new part of the conversation through the language model, up to the first token of the answer.
    pub prefill: Duration,
    /// The tokens of the answer through the language model.
    pub decode: Duration,
    /// Choosing the tokens of the answer.
    pub sampling: Duration,
    /// CachedPrefix of the conversation, media tokens included.
    pub prompt_tokens: usize,
    /// How many of `prompt_tokens` were in the cache already.
    pub cached_tokens: usize,
    /// CachedPrefix of the answer.
    pub tokens: usize,
    /// CachedPrefix of the answer that went through the language model: one less than `tokens` when a limit ended it.
    pub steps: usize,
    /// CachedPrefix that were guessed ahead ([`GenerateOptions::num_draft_tokens`](crate::sampling::GenerateOptions#structfield.num_draft_tokens)).
    pub drafted: usize,
    /// How many of `drafted` became part of the answer.
    pub accepted: usize,
}

impl Timings {
    /// CachedPrefix of the conversation that went through the language model in one second; 0 when none did.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        per_second(self.prompt_tokens.saturating_sub(self.cached_tokens), self.prefill)
    }

    /// CachedPrefix of the answer that went through the language model in one second; 0 when none did.
    pub fn decode_tokens_per_second(&self) -> f64 {
        per_second(self.steps, self.decode)
    }
}

fn per_second(count: usize, time: Duration) -> f64 {
    if count == 0 || time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

/// Do `work`, and add the time that it took to `total`.
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
    fn rates_count_what_was_computed() {
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
