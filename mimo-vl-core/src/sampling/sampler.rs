//! Masks, penalties, filters and the draw.

use std::cmp::Ordering;

use super::generate::Generate;
use super::random::SplitMix64;
use crate::error::{Error, Result};

/// Tokens sorted in the first round when only the most likely ones are needed; every round takes eight times more.
const FIRST_ROUND: usize = 64;

/// Chooses the tokens of one answer.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: Generate,
    never: Vec<u32>,
    random: SplitMix64,
    /// One bit for each token that occurred before.
    seen: Vec<u64>,
    /// Copy of the logits, to find the k-th largest.
    ranked: Vec<f32>,
    candidates: Vec<Candidate>,
}

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
    /// Its probability divided by that of the most likely token.
    weight: f64,
}

impl Candidate {
    /// Most likely first; of equally likely ones the lower id.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.id.cmp(&other.id))
    }
}

impl Sampler {
    /// A sampler that never gives a token in `never`.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is out of its range.
    pub fn new(options: &Generate, never: &[u32]) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options: options.clone(),
            never: never.to_vec(),
            random: SplitMix64::new(options.seed),
            seen: Vec::new(),
            ranked: Vec::new(),
            candidates: Vec::new(),
        })
    }

    /// The next token.
    ///
    /// `logits` has one number for each token of the vocabulary and is used as working space. `seen` has the tokens
    /// that the repetition penalty counts as having occurred, in any order and number.
    ///
    /// # Errors
    /// [`Error::Internal`] when the model gives no usable logits: one is NaN or +∞, or none is left above −∞.
    pub fn sample(&mut self, logits: &mut [f32], seen: &[u32]) -> Result<u32> {
        for &id in &self.never {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if let Some(id) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(Error::internal(format!("the model gives a logit that is NaN or infinite, for token {id}")));
        }
        if self.options.repetition_penalty != 1.0 {
            self.penalize(logits, seen);
        }
        let Some((best, largest)) = first_maximum(logits) else {
            return Err(Error::internal("the model gives no logit above minus infinity"));
        };
        if self.options.temperature == 0.0 {
            return Ok(best);
        }
        self.filter(logits, largest);
        Ok(self.draw().unwrap_or(best))
    }

    fn penalize(&mut self, logits: &mut [f32], seen: &[u32]) {
        let penalty = self.options.repetition_penalty;
        self.seen.clear();
        self.seen.resize(logits.len().div_ceil(64), 0);
        for &id in seen {
            let (word, bit) = (id as usize / 64, 1 << (id % 64));
            let (Some(word), Some(logit)) = (self.seen.get_mut(word), logits.get_mut(id as usize)) else { continue };
            if *word & bit == 0 {
                *word |= bit;
                let penalized = if *logit < 0.0 { *logit * penalty } else { *logit / penalty };
                *logit = penalized.min(f32::MAX);
            }
        }
    }

    /// Fill `candidates` with the tokens that all filters leave.
    fn filter(&mut self, logits: &[f32], largest: f32) {
        let floor = match self.options.top_k {
            top_k if top_k > 0 && top_k < logits.len() => {
                self.ranked.clear();
                self.ranked.extend_from_slice(logits);
                *self.ranked.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a)).1
            }
            _ => f32::NEG_INFINITY,
        };
        let temperature = f64::from(self.options.temperature);
        self.candidates.clear();
        self.candidates.extend(
            (0..).zip(logits).filter(|&(_, &logit)| logit >= floor && logit > f32::NEG_INFINITY).map(|(id, &logit)| {
                let weight = ((f64::from(logit) - f64::from(largest)) / temperature).exp();
                Candidate { id, logit, weight }
            }),
        );
        if self.options.top_p < 1.0 {
            self.keep_nucleus();
        }
        if self.options.min_p > 0.0 {
            let least = f64::from(self.options.min_p);
            self.candidates.retain(|candidate| candidate.weight >= least);
        }
    }

    /// Drop every candidate before which, in the order of probability, the mass of top-p is reached already. The
    /// order is worked out only as far as it is needed.
    fn keep_nucleus(&mut self) {
        let wanted = f64::from(self.options.top_p) * self.candidates.iter().map(|c| c.weight).sum::<f64>();
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
    fn draw(&mut self) -> Option<u32> {
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

/// The first of the largest logits; nothing when all are −∞ or there are none.
fn first_maximum(logits: &[f32]) -> Option<(u32, f32)> {
    let mut best = None;
    let mut largest = f32::NEG_INFINITY;
    for (id, &logit) in (0..).zip(logits) {
        if logit > largest {
            (best, largest) = (Some(id), logit);
        }
    }
    best.map(|id| (id, largest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OFF: f32 = f32::NEG_INFINITY;

    fn noise(random: &mut SplitMix64, count: usize, levels: f64) -> Vec<f32> {
        // A few levels make ties; many make them unlikely.
        (0..count).map(|_| ((random.unit() * levels).floor() / levels * 12.0 - 6.0) as f32).collect()
    }

    /// The definitions of Hugging Face's logits processors, one after the other, each with a full sort.
    fn naive(options: &Generate, logits: &[f32], seen: &[u32]) -> Vec<(u32, f64)> {
        let mut scores: Vec<f64> = logits.iter().map(|&logit| f64::from(logit)).collect();
        for (id, score) in (0_u32..).zip(&mut scores) {
            if seen.contains(&id) {
                let penalty = f64::from(options.repetition_penalty);
                *score = f64::from(if *score < 0.0 { *score * penalty } else { *score / penalty } as f32);
            }
        }
        scores.iter_mut().for_each(|score| *score /= f64::from(options.temperature));
        let off = f64::NEG_INFINITY;
        if options.top_k > 0 {
            let mut sorted = scores.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let threshold = sorted[options.top_k.min(sorted.len()) - 1];
            scores.iter_mut().filter(|score| **score < threshold).for_each(|score| *score = off);
        }
        if options.top_p < 1.0 {
            let probabilities = softmax(&scores);
            let mut ascending: Vec<usize> = (0..scores.len()).collect();
            ascending.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(b.cmp(&a)));
            let mut cumulative = 0.0;
            for &index in &ascending[..scores.len() - 1] {
                cumulative += probabilities[index];
                if cumulative <= 1.0 - f64::from(options.top_p) {
                    scores[index] = off;
                }
            }
        }
        let probabilities = softmax(&scores);
        let most = probabilities.iter().copied().fold(0.0, f64::max);
        for (score, probability) in scores.iter_mut().zip(&probabilities) {
            if *probability < f64::from(options.min_p) * most {
                *score = off;
            }
        }
        let mut kept: Vec<_> = (0..).zip(softmax(&scores)).filter(|&(id, _)| scores[id as usize] > off).collect();
        kept.sort_by_key(|&(id, _)| id);
        kept
    }

    fn softmax(scores: &[f64]) -> Vec<f64> {
        let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
        let total: f64 = exps.iter().sum();
        exps.iter().map(|exp| exp / total).collect()
    }

    fn kept(options: &Generate, logits: &[f32], seen: &[u32]) -> Vec<(u32, f64)> {
        let mut sampler = Sampler::new(options, &[]).unwrap();
        sampler.sample(&mut logits.to_vec(), seen).unwrap();
        let total: f64 = sampler.candidates.iter().map(|candidate| candidate.weight).sum();
        let mut kept: Vec<_> = sampler.candidates.iter().map(|c| (c.id, c.weight / total)).collect();
        kept.sort_by_key(|&(id, _)| id);
        kept
    }

    #[test]
    fn filters_leave_what_a_naive_implementation_leaves() {
        let mut random = SplitMix64::new(7);
        for round in 0..400 {
            let count = 1 + (random.unit() * 700.0) as usize;
            let levels = if round % 3 == 0 { 11.0 } else { 1e6 };
            let logits = noise(&mut random, count, levels);
            let seen: Vec<u32> = (0..20).map(|_| (random.unit() * 900.0) as u32).collect();
            let mut pick = |values: &[f32]| values[(random.unit() * values.len() as f64) as usize];
            let options = Generate::new()
                .temperature(pick(&[0.1, 0.35, 1.0, 3.0]))
                .top_k(pick(&[0.0, 1.0, 5.0, 64.0, 400.0]) as usize)
                .top_p(pick(&[0.0, 0.123, 0.5, 0.95, 1.0]))
                .min_p(pick(&[0.0, 0.0, 0.05, 1.0]))
                .repetition_penalty(pick(&[1.0, 1.3, 0.7]));
            let (ours, naive) = (kept(&options, &logits, &seen), naive(&options, &logits, &seen));
            let ids = |kept: &[(u32, f64)]| kept.iter().map(|&(id, _)| id).collect::<Vec<_>>();
            assert_eq!(ids(&ours), ids(&naive), "{options:?}");
            for ((_, a), (_, b)) in ours.iter().zip(&naive) {
                assert!((a - b).abs() < 1e-9, "{options:?}");
            }
        }
    }

    /// Kept tokens, the sum of their ids and the largest probability, as transformers 4.57 gives them for logits that
    /// a small generator makes and the tokens 0, 3, 9, 11 and 40 seen before.
    #[test]
    fn filters_leave_what_transformers_leaves() {
        let generate = |temperature, top_k, top_p, min_p, penalty| {
            let options = Generate::new().temperature(temperature).top_k(top_k).top_p(top_p);
            options.min_p(min_p).repetition_penalty(penalty)
        };
        let cases = [
            (50, 1_u32, generate(0.7, 0, 0.9, 0.0, 1.0), 7, 234, 0.230_567_323),
            (700, 2, generate(0.35, 40, 0.95, 0.02, 1.3), 36, 13_193, 0.059_201_427),
            (300, 3, generate(1.5, 0, 1.0, 0.1, 1.0), 89, 13_309, 0.032_005_767),
            (300, 4, generate(1.0, 7, 0.5, 0.0, 0.8), 4, 826, 0.268_138_069),
            (500, 5, generate(3.0, 0, 0.3, 0.05, 1.1), 42, 11_208, 0.027_270_835),
        ];
        for (count, mut state, options, tokens, sum, most) in cases {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (f64::from(state >> 8) / f64::from(1 << 24) * 12.0 - 6.0) as f32
            };
            let logits: Vec<f32> = (0..count).map(|_| next()).collect();
            let kept = kept(&options, &logits, &[0, 3, 3, 9, 11, 40]);
            assert_eq!((kept.len(), kept.iter().map(|&(id, _)| id).sum::<u32>()), (tokens, sum), "{options:?}");
            let largest = kept.iter().map(|&(_, probability)| probability).fold(0.0, f64::max);
            assert!((largest - most).abs() < 1e-6, "{options:?}: {largest}");
        }
    }

    #[test]
    fn greedy_takes_the_first_maximum_that_is_allowed() {
        let mut sampler = Sampler::new(&Generate::new(), &[1, 99]).unwrap();
        assert_eq!(sampler.sample(&mut [0.5, 9.0, 2.0, 2.0], &[]).unwrap(), 2);
        assert_eq!(sampler.sample(&mut [OFF, f32::NAN, OFF, -8.0], &[]).unwrap(), 3);
    }

    #[test]
    fn the_penalty_counts_a_token_once_and_pushes_it_down() {
        let options = Generate::new().repetition_penalty(2.0);
        let mut sampler = Sampler::new(&options, &[]).unwrap();
        let mut logits = [4.0, -1.0, 3.0, OFF];
        assert_eq!(sampler.sample(&mut logits, &[0, 0, 1, 0, 3, 77]).unwrap(), 2);
        assert_eq!(logits, [2.0, -2.0, 3.0, OFF]);
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let logits = [0.0_f32, 1.0, 2.0, 3.0];
        let expected = softmax(&[0.0, 2.0, 4.0, 6.0]);
        let draw = |seed| {
            let mut sampler = Sampler::new(&Generate::new().temperature(0.5).seed(seed), &[]).unwrap();
            (0..20_000).map(|_| sampler.sample(&mut logits.clone(), &[]).unwrap()).collect::<Vec<_>>()
        };
        let draws = draw(5);
        assert_eq!(draws, draw(5));
        assert_ne!(draws, draw(6));
        for (id, probability) in (0..).zip(expected) {
            let share = draws.iter().filter(|&&drawn| drawn == id).count() as f64 / draws.len() as f64;
            assert!((share - probability).abs() < 0.01, "{id}: {share} against {probability}");
        }
    }

    #[test]
    fn unusable_logits_are_an_error() {
        for options in [Generate::new(), Generate::new().temperature(1.0).top_k(1)] {
            for logits in [&[][..], &[OFF, OFF], &[f32::NAN, 1.0], &[f32::NAN, f32::NAN], &[f32::INFINITY, 0.0]] {
                let mut sampler = Sampler::new(&options, &[]).unwrap();
                assert!(matches!(sampler.sample(&mut logits.to_vec(), &[]), Err(Error::Internal { .. })), "{logits:?}");
            }
        }
        let mut masked = Sampler::new(&Generate::new(), &[0, 1]).unwrap();
        assert!(matches!(masked.sample(&mut [1.0, 2.0], &[]), Err(Error::Internal { .. })));
    }

    #[test]
    fn extreme_numbers_do_no_harm() {
        let options = Generate::new().temperature(1e-38).top_p(0.9).repetition_penalty(1e-30);
        let mut sampler = Sampler::new(&options, &[]).unwrap();
        assert_eq!(sampler.sample(&mut [-f32::MAX, 1.0, 3e38], &[1, 2]).unwrap(), 2);
    }
}
