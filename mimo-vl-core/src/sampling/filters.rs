//! Temperature, top-k, top-p, min-p and typical-p filters, and the random draw among the remaining tokens.

use std::cmp::Ordering;

use super::options::GenerateOptions;
use super::random::SplitMix64;

/// Tokens sorted in the first round of a partial sort; each round sorts eight times more.
const FIRST_CHUNK: usize = 64;

/// The filters with their buffers, and the random number generator of one answer.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    random: SplitMix64,
    /// Copy of the logits for selecting the k-th largest.
    ranked: Vec<f32>,
    /// The tokens that may be drawn.
    pub(super) candidates: Vec<Candidate>,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u32,
    logit: f32,
    /// Probability relative to that of the most likely token.
    pub(super) weight: f64,
}

impl Candidate {
    /// Orders by descending logit, then by ascending id.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

impl Filters {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed), ranked: Vec::new(), candidates: Vec::new() }
    }

    /// Fills `candidates` with the tokens that pass every filter.
    pub(super) fn apply(&mut self, options: &GenerateOptions, logits: &[f32], largest: f32) {
        let floor = match options.top_k {
            top_k if top_k > 0 && top_k < logits.len() => {
                self.ranked.clear();
                self.ranked.extend_from_slice(logits);
                *self.ranked.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a)).1
            }
            _ => f32::NEG_INFINITY,
        };
        let temperature = f64::from(options.temperature);
        self.candidates.clear();
        self.candidates.extend(
            (0..).zip(logits).filter(|&(_, &logit)| logit >= floor && logit > f32::NEG_INFINITY).map(|(id, &logit)| {
                let weight = ((f64::from(logit) - f64::from(largest)) / temperature).exp();
                Candidate { id, logit, weight }
            }),
        );
        if options.top_p < 1.0 {
            self.keep_nucleus(options.top_p);
        }
        if options.min_p > 0.0 {
            let threshold = f64::from(options.min_p);
            self.candidates.retain(|candidate| candidate.weight >= threshold);
        }
        if options.typical_p < 1.0 {
            self.keep_typical(options.typical_p);
        }
    }

    /// Keeps the candidates whose −log p is closest to the entropy until their mass reaches typical-p, and those at the
    /// same distance as the last of them.
    fn keep_typical(&mut self, typical_p: f32) {
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let information = |candidate: &Candidate| -(candidate.weight / total).ln();
        let expected = |candidate: &Candidate| candidate.weight / total * information(candidate);
        // A weight of 0 contributes nothing; computed, it would give 0 · ∞ = NaN.
        let entropy: f64 = self.candidates.iter().filter(|c| c.weight > 0.0).map(expected).sum();
        let distance = |candidate: &Candidate| (information(candidate) - entropy).abs();
        self.candidates.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.order(b)));
        let mut mass = 0.0;
        let target = f64::from(typical_p) * total;
        let last = self.candidates.iter().position(|candidate| {
            mass += candidate.weight;
            mass >= target
        });
        if let Some(last) = last.and_then(|last| self.candidates.get(last)) {
            let farthest = distance(last);
            self.candidates.retain(|candidate| distance(candidate) <= farthest);
        }
    }

    /// Keeps the most likely candidates until their mass reaches top-p. Sorts only as many as needed.
    fn keep_nucleus(&mut self, top_p: f32) {
        let target = f64::from(top_p) * self.candidates.iter().map(|c| c.weight).sum::<f64>();
        let (mut mass, mut kept, mut chunk_len) = (0.0, 0, FIRST_CHUNK);
        while let Some(rest) = self.candidates.get_mut(kept..).filter(|rest| !rest.is_empty()) {
            let take = chunk_len.min(rest.len());
            if take < rest.len() {
                rest.select_nth_unstable_by(take - 1, Candidate::order);
            }
            let (chunk, _) = rest.split_at_mut(take);
            chunk.sort_unstable_by(Candidate::order);
            for candidate in chunk {
                if mass >= target && kept > 0 {
                    self.candidates.truncate(kept);
                    return;
                }
                mass += candidate.weight;
                kept += 1;
            }
            chunk_len *= 8;
        }
    }

    /// Draws a candidate with a probability proportional to its weight; `None` without candidates.
    pub(super) fn draw(&mut self) -> Option<u32> {
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.random.unit() * total;
        for candidate in &self.candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        // Reached only through rounding errors.
        self.candidates.last().map(|candidate| candidate.id)
    }
}
