//! The tokens that temperature, top-k, top-p, min-p and typical-p leave, and the draw among them.

use std::cmp::Ordering;

use super::options::GenerateOptions;
use super::random::SplitMix64;

/// Tokens sorted in the first round when only the most likely ones are needed; every round takes eight times more.
const FIRST_ROUND: usize = 64;

/// Filters with their working space, and the random numbers of one answer.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    random: SplitMix64,
    /// Copy of the logits, to find the k-th largest.
    ranked: Vec<f32>,
    pub(super) candidates: Vec<Candidate>,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) id: u32,
    logit: f32,
    /// Its probability divided by that of the most likely token.
    pub(super) weight: f64,
}

impl Candidate {
    /// Most likely first; of equally likely ones the lower id.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

impl Filters {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed), ranked: Vec::new(), candidates: Vec::new() }
    }

    /// Fill `candidates` with the tokens that all filters leave.
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
            let least = f64::from(options.min_p);
            self.candidates.retain(|candidate| candidate.weight >= least);
        }
        if options.typical_p < 1.0 {
            self.keep_typical(options.typical_p);
        }
    }

    /// Keep the candidates whose −log p is nearest to the entropy, so many that the mass of typical-p is reached, and
    /// those as near as the last of them.
    fn keep_typical(&mut self, typical_p: f32) {
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let information = |candidate: &Candidate| -(candidate.weight / total).ln();
        let expected = |candidate: &Candidate| candidate.weight / total * information(candidate);
        // A weight of 0 has no share, where 0 · ∞ is no number.
        let entropy: f64 = self.candidates.iter().filter(|c| c.weight > 0.0).map(expected).sum();
        let distance = |candidate: &Candidate| (information(candidate) - entropy).abs();
        self.candidates.sort_by(|a, b| distance(a).total_cmp(&distance(b)).then(a.order(b)));
        let mut mass = 0.0;
        let wanted = f64::from(typical_p) * total;
        let enough = self.candidates.iter().position(|candidate| {
            mass += candidate.weight;
            mass >= wanted
        });
        if let Some(last) = enough.and_then(|last| self.candidates.get(last)) {
            let farthest = distance(last);
            self.candidates.retain(|candidate| distance(candidate) <= farthest);
        }
    }

    /// Drop every candidate before which, in the order of probability, the mass of top-p is reached already. The
    /// order is worked out only as far as it is needed.
    fn keep_nucleus(&mut self, top_p: f32) {
        let wanted = f64::from(top_p) * self.candidates.iter().map(|c| c.weight).sum::<f64>();
        let (mut mass, mut kept, mut round) = (0.0, 0, FIRST_ROUND);
        while let Some(rest) = self.candidates.get_mut(kept..).filter(|rest| !rest.is_empty()) {
            let take = round.min(rest.len());
            if take < rest.len() {
                rest.select_nth_unstable_by(take - 1, Candidate::order);
            }
            let (chunk, _) = rest.split_at_mut(take);
            chunk.sort_unstable_by(Candidate::order);
            for candidate in chunk {
                if mass >= wanted && kept > 0 {
                    self.candidates.truncate(kept);
                    return;
                }
                mass += candidate.weight;
                kept += 1;
            }
            round *= 8;
        }
    }

    /// One of the candidates, each as often as its weight says.
    pub(super) fn draw(&mut self) -> Option<u32> {
        let total: f64 = self.candidates.iter().map(|candidate| candidate.weight).sum();
        let mut left = self.random.unit() * total;
        for candidate in &self.candidates {
            left -= candidate.weight;
            if left < 0.0 {
                return Some(candidate.id);
            }
        }
        // Only rounding leads here.
        self.candidates.last().map(|candidate| candidate.id)
    }
}
