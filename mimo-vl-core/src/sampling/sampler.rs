//! The sampler: masks, bias, penalties and filters, from logits to a token.

use std::collections::HashMap;

use super::filters::Filters;
use super::options::GenerateOptions;
use crate::error::{Error, Result};

/// Samples the tokens of one answer.
#[derive(Debug, Clone)]
pub struct Sampler {
    options: GenerateOptions,
    /// Tokens that are never sampled.
    suppressed_tokens: Vec<u32>,
    /// Bit set of the tokens that already got the repetition penalty.
    penalized: Vec<u64>,
    /// Number of occurrences in the answer, by token.
    counts: HashMap<u32, u32>,
    filters: Filters,
}

impl Sampler {
    /// Creates a sampler that never samples one of `suppressed_tokens`.
    ///
    /// # Errors
    /// [`Error::Option`] when an option is out of range.
    pub fn new(options: &GenerateOptions, suppressed_tokens: &[u32]) -> Result<Self> {
        options.validate()?;
        Ok(Self {
            options: options.clone(),
            suppressed_tokens: suppressed_tokens.to_vec(),
            penalized: Vec::new(),
            counts: HashMap::new(),
            filters: Filters::new(options.seed),
        })
    }

    /// Samples the next token.
    ///
    /// `logits` has one value per token of the vocabulary and is modified. `context` has the tokens of the
    /// conversation, of which the last `answer_len` are the answer's. `mask` sets further logits to −∞; it is called
    /// after the logprobs are computed.
    ///
    /// # Errors
    /// [`Error::Internal`] when a logit of the model is NaN or +∞, or none is above −∞; [`Error::Answer`] when bias and
    /// `mask` leave no token; and any error of `mask`.
    pub fn sample(
        &mut self,
        logits: &mut [f32],
        context: &[u32],
        answer_len: usize,
        mask: impl FnOnce(&mut [f32]) -> Result<()>,
    ) -> Result<SampledToken> {
        let logprobs = self.suppress_and_check(logits)?;
        mask(logits)?;
        let id = self.choose(logits, context, answer_len)?;
        Ok(self.sampled_token(id, logprobs))
    }

    /// Masks the suppressed tokens, checks the other logits, and returns the logprobs if they are requested.
    fn suppress_and_check(&self, logits: &mut [f32]) -> Result<Option<Vec<f32>>> {
        for &id in &self.suppressed_tokens {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if let Some(id) = logits.iter().position(|logit| logit.is_nan() || *logit == f32::INFINITY) {
            return Err(Error::internal(format!("the model gives a logit that is NaN or infinite, for token {id}")));
        }
        if !logits.iter().any(|logit| logit.is_finite()) {
            return Err(Error::internal("the model gives no logit above minus infinity"));
        }
        Ok(self.options.logprobs.map(|_| log_softmax(logits)))
    }

    fn sampled_token(&self, id: u32, logprobs: Option<Vec<f32>>) -> SampledToken {
        let logprobs = logprobs.unwrap_or_default();
        let top = most_likely(&logprobs, self.options.logprobs.unwrap_or(0));
        SampledToken { id, logprob: logprobs.get(id as usize).copied(), top, forced: false }
    }

    /// Returns the token `id`, chosen by the caller, with its logprob if requested.
    ///
    /// # Errors
    /// [`Error::Internal`] as for [`sample`](Self::sample).
    pub fn force(&mut self, logits: &mut [f32], id: u32) -> Result<SampledToken> {
        let logprobs = self.suppress_and_check(logits)?;
        Ok(SampledToken { forced: true, ..self.sampled_token(id, logprobs) })
    }

    /// Applies bias, penalties and filters, and draws a token.
    fn choose(&mut self, logits: &mut [f32], context: &[u32], answer_len: usize) -> Result<u32> {
        for &(id, bias) in &self.options.logit_bias {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit = bounded(*logit + bias);
            }
        }
        if self.options.repetition_penalty != 1.0 {
            self.apply_repetition_penalty(logits, context);
        }
        if self.options.frequency_penalty != 0.0 || self.options.presence_penalty != 0.0 {
            self.apply_answer_penalties(logits, &context[context.len() - answer_len..]);
        }
        let Some((best, largest)) = first_maximum(logits) else {
            return Err(Error::answer("bias and grammar exclude every token"));
        };
        if self.options.temperature == 0.0 {
            return Ok(best);
        }
        self.filters.apply(&self.options, logits, largest);
        Ok(self.filters.draw().unwrap_or(best))
    }

    fn apply_repetition_penalty(&mut self, logits: &mut [f32], context: &[u32]) {
        let penalty = self.options.repetition_penalty;
        self.penalized.clear();
        self.penalized.resize(logits.len().div_ceil(64), 0);
        for &id in context {
            let (word, bit) = (id as usize / 64, 1 << (id % 64));
            let (Some(word), Some(logit)) = (self.penalized.get_mut(word), logits.get_mut(id as usize)) else {
                continue;
            };
            if *word & bit == 0 {
                *word |= bit;
                *logit = bounded(if *logit < 0.0 { *logit * penalty } else { *logit / penalty });
            }
        }
    }

    /// Applies the frequency and the presence penalty.
    fn apply_answer_penalties(&mut self, logits: &mut [f32], answer: &[u32]) {
        self.counts.clear();
        for &id in answer {
            *self.counts.entry(id).or_default() += 1;
        }
        for (&id, &count) in &self.counts {
            if let Some(logit) = logits.get_mut(id as usize) {
                let penalty = self.options.frequency_penalty * count as f32 + self.options.presence_penalty;
                *logit = bounded(*logit - penalty);
            }
        }
    }
}

/// A sampled token.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampledToken {
    /// The token id.
    pub id: u32,
    /// Natural logarithm of the model's probability of the token, among those that are not suppressed, before bias,
    /// penalties and temperature. `None` unless [`GenerateOptions::logprobs`](GenerateOptions#structfield.logprobs) is
    /// set.
    pub logprob: Option<f32>,
    /// The most likely tokens at this position with their logprobs, as many as requested.
    pub top: Vec<(u32, f32)>,
    /// `true` if the caller chose the token.
    pub forced: bool,
}

/// The `count` most likely tokens with their logprobs, most likely first.
fn most_likely(logprobs: &[f32], count: usize) -> Vec<(u32, f32)> {
    let mut tokens: Vec<(u32, f32)> = (0..).zip(logprobs.iter().copied()).filter(|(_, p)| p.is_finite()).collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if count < tokens.len() {
        tokens.select_nth_unstable_by(count, order);
        tokens.truncate(count);
    }
    tokens.sort_unstable_by(order);
    tokens
}

/// Clamps a logit after bias or penalty, so that an overflow stays finite.
fn bounded(logit: f32) -> f32 {
    logit.min(f32::MAX)
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
    let normalizer = f64::from(largest) + sum.ln();
    logits.iter().map(|&logit| (f64::from(logit) - normalizer) as f32).collect()
}

/// Id and value of the first largest logit; `None` when all are −∞ or there are none.
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

    use super::super::random::SplitMix64;
    use super::*;

    fn sample(sampler: &mut Sampler, logits: &mut [f32], context: &[u32]) -> Result<u32> {
        sampler.sample(logits, context, 0, |_| Ok(())).map(|sampled| sampled.id)
    }

    const OFF: f32 = f32::NEG_INFINITY;

    fn noise(random: &mut SplitMix64, count: usize, levels: f64) -> Vec<f32> {
        // Few levels give ties; many levels give almost none.
        (0..count).map(|_| ((random.unit() * levels).floor() / levels * 12.0 - 6.0) as f32).collect()
    }

    /// The logits processors of transformers in order, each implemented with a full sort.
    fn naive(options: &GenerateOptions, logits: &[f32], seen: &[u32]) -> Vec<(u32, f64)> {
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
        let largest = probabilities.iter().copied().fold(0.0, f64::max);
        for (score, probability) in scores.iter_mut().zip(&probabilities) {
            if *probability < f64::from(options.min_p) * largest {
                *score = off;
            }
        }
        if options.typical_p < 1.0 {
            let probabilities = softmax(&scores);
            let left: Vec<usize> = (0..scores.len()).filter(|&index| scores[index] > off).collect();
            let entropy: f64 = left.iter().map(|&index| -probabilities[index] * probabilities[index].ln()).sum();
            let distance = |index: usize| (-probabilities[index].ln() - entropy).abs();
            let mut nearest = left;
            nearest.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            let mut mass = 0.0;
            let last = nearest.iter().position(|&index| {
                mass += probabilities[index];
                mass >= f64::from(options.typical_p)
            });
            let farthest = last.map_or(f64::INFINITY, |last| distance(nearest[last]));
            // Rounding may decide ties either way.
            nearest.iter().filter(|&&index| distance(index) > farthest + 1e-9).for_each(|&index| scores[index] = off);
        }
        let mut kept: Vec<_> = (0..).zip(softmax(&scores)).filter(|&(id, _)| scores[id as usize] > off).collect();
        kept.sort_by_key(|&(id, _)| id);
        kept
    }

    fn softmax(scores: &[f64]) -> Vec<f64> {
        let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let exps: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
        let total: f64 = exps.iter().sum();
        exps.iter().map(|exp| exp / total).collect()
    }

    fn kept(options: &GenerateOptions, logits: &[f32], seen: &[u32]) -> Vec<(u32, f64)> {
        let mut sampler = Sampler::new(options, &[]).unwrap();
        sample(&mut sampler, &mut logits.to_vec(), seen).unwrap();
        let total: f64 = sampler.filters.candidates.iter().map(|candidate| candidate.weight).sum();
        let mut kept: Vec<_> = sampler.filters.candidates.iter().map(|c| (c.id, c.weight / total)).collect();
        kept.sort_by_key(|&(id, _)| id);
        kept
    }

    #[test]
    fn filters_keep_the_tokens_of_a_naive_implementation() {
        let mut random = SplitMix64::new(7);
        for round in 0..400 {
            let count = 1 + (random.unit() * 700.0) as usize;
            let levels = if round % 3 == 0 { 11.0 } else { 1e6 };
            let logits = noise(&mut random, count, levels);
            let seen: Vec<u32> = (0..20).map(|_| (random.unit() * 900.0) as u32).collect();
            let mut pick = |values: &[f32]| values[(random.unit() * values.len() as f64) as usize];
            let options = GenerateOptions::new()
                .temperature(pick(&[0.1, 0.35, 1.0, 3.0]))
                .top_k(pick(&[0.0, 1.0, 5.0, 64.0, 400.0]) as usize)
                .top_p(pick(&[0.0, 0.123, 0.5, 0.95, 1.0]))
                .min_p(pick(&[0.0, 0.0, 0.05, 1.0]))
                .typical_p(pick(&[1.0, 1.0, 0.9, 0.2]))
                .repetition_penalty(pick(&[1.0, 1.3, 0.7]));
            let (ours, naive) = (kept(&options, &logits, &seen), naive(&options, &logits, &seen));
            let ids = |kept: &[(u32, f64)]| kept.iter().map(|&(id, _)| id).collect::<Vec<_>>();
            assert_eq!(ids(&ours), ids(&naive), "{options:?}");
            for ((_, a), (_, b)) in ours.iter().zip(&naive) {
                assert!((a - b).abs() < 1e-9, "{options:?}");
            }
        }
    }

    /// Compares the number of kept tokens, the sum of their ids and the largest probability with transformers 4.57, for
    /// logits of a linear congruential generator and the context 0, 3, 3, 9, 11, 40.
    #[test]
    fn filters_keep_the_tokens_of_transformers() {
        let generate = |temperature, top_k, top_p, min_p, penalty| {
            let options = GenerateOptions::new().temperature(temperature).top_k(top_k).top_p(top_p);
            options.min_p(min_p).repetition_penalty(penalty)
        };
        let cases = [
            (50, 1_u32, generate(0.7, 0, 0.9, 0.0, 1.0), 7, 234, 0.230_567_323),
            (700, 2, generate(0.35, 40, 0.95, 0.02, 1.3), 36, 13_193, 0.059_201_427),
            (300, 3, generate(1.5, 0, 1.0, 0.1, 1.0), 89, 13_309, 0.032_005_767),
            (300, 4, generate(1.0, 7, 0.5, 0.0, 0.8), 4, 826, 0.268_138_069),
            (500, 5, generate(3.0, 0, 0.3, 0.05, 1.1), 42, 11_208, 0.027_270_835),
        ];
        for (count, mut state, options, tokens, sum, probability) in cases {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (f64::from(state >> 8) / f64::from(1 << 24) * 12.0 - 6.0) as f32
            };
            let logits: Vec<f32> = (0..count).map(|_| next()).collect();
            let kept = kept(&options, &logits, &[0, 3, 3, 9, 11, 40]);
            assert_eq!((kept.len(), kept.iter().map(|&(id, _)| id).sum::<u32>()), (tokens, sum), "{options:?}");
            let largest = kept.iter().map(|&(_, probability)| probability).fold(0.0, f64::max);
            assert!((largest - probability).abs() < 1e-6, "{options:?}: {largest}");
        }
    }

    #[test]
    fn greedy_decoding_takes_the_first_allowed_maximum() {
        let mut sampler = Sampler::new(&GenerateOptions::new(), &[1, 99]).unwrap();
        assert_eq!(sample(&mut sampler, &mut [0.5, 9.0, 2.0, 2.0], &[]).unwrap(), 2);
        assert_eq!(sample(&mut sampler, &mut [OFF, f32::NAN, OFF, -8.0], &[]).unwrap(), 3);
    }

    #[test]
    fn the_repetition_penalty_lowers_each_token_once() {
        let options = GenerateOptions::new().repetition_penalty(2.0);
        let mut sampler = Sampler::new(&options, &[]).unwrap();
        let mut logits = [4.0, -1.0, 3.0, OFF];
        assert_eq!(sample(&mut sampler, &mut logits, &[0, 0, 1, 0, 3, 77]).unwrap(), 2);
        assert_eq!(logits, [2.0, -2.0, 3.0, OFF]);
    }

    #[test]
    fn bias_and_answer_penalties_are_added() {
        let options =
            GenerateOptions::new().frequency_penalty(1.0).presence_penalty(0.5).logit_bias(3, 10.0).logit_bias(2, OFF);
        let mut sampler = Sampler::new(&options, &[4]).unwrap();
        let mut logits = [4.0, 3.0, 20.0, -9.0, 99.0];
        // Token 1 occurs in the prompt only, which these penalties ignore.
        assert_eq!(sampler.sample(&mut logits, &[1, 1, 0, 0, 3], 3, |_| Ok(())).unwrap().id, 1);
        assert_eq!(logits, [1.5, 3.0, OFF, -0.5, OFF]);
    }

    #[test]
    fn logprobs_are_computed_before_the_bias() {
        let options = GenerateOptions::new().logprobs(2).logit_bias(2, 50.0);
        let mut sampler = Sampler::new(&options, &[3]).unwrap();
        let sampled = sampler.sample(&mut [1.0, 3.0, 0.0, 9.0, OFF], &[], 0, |_| Ok(())).unwrap();
        let expected: Vec<f32> = softmax(&[1.0, 3.0, 0.0]).iter().map(|p| p.ln() as f32).collect();
        assert_eq!(sampled.id, 2);
        assert!((sampled.logprob.unwrap() - expected[2]).abs() < 1e-6);
        let ids: Vec<u32> = sampled.top.iter().map(|&(id, _)| id).collect();
        assert_eq!(ids, [1, 0]);
        assert!((sampled.top[0].1 - expected[1]).abs() < 1e-6 && (sampled.top[1].1 - expected[0]).abs() < 1e-6);
        let mut plain = Sampler::new(&GenerateOptions::new(), &[]).unwrap();
        assert_eq!(
            plain.sample(&mut [1.0, 2.0], &[], 0, |_| Ok(())).unwrap(),
            SampledToken { id: 1, logprob: None, top: Vec::new(), forced: false }
        );
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let logits = [0.0_f32, 1.0, 2.0, 3.0];
        let expected = softmax(&[0.0, 2.0, 4.0, 6.0]);
        let draw = |seed| {
            let mut sampler = Sampler::new(&GenerateOptions::new().temperature(0.5).seed(seed), &[]).unwrap();
            (0..20_000).map(|_| sample(&mut sampler, &mut logits.clone(), &[]).unwrap()).collect::<Vec<_>>()
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
        for options in [GenerateOptions::new(), GenerateOptions::new().temperature(1.0).top_k(1)] {
            for logits in [&[][..], &[OFF, OFF], &[f32::NAN, 1.0], &[f32::NAN, f32::NAN], &[f32::INFINITY, 0.0]] {
                let mut sampler = Sampler::new(&options, &[]).unwrap();
                assert!(
                    matches!(sample(&mut sampler, &mut logits.to_vec(), &[]), Err(Error::Internal { .. })),
                    "{logits:?}"
                );
            }
        }
        let all_banned = GenerateOptions::new().logit_bias(0, OFF).logit_bias(1, OFF);
        let result = sample(&mut Sampler::new(&all_banned, &[]).unwrap(), &mut [1.0, 2.0], &[]);
        assert!(matches!(result, Err(Error::Answer { .. })), "the caller's bias is not an internal error");
        let mut suppressed = Sampler::new(&GenerateOptions::new(), &[0, 1]).unwrap();
        assert!(matches!(sample(&mut suppressed, &mut [1.0, 2.0], &[]), Err(Error::Internal { .. })));
    }

    #[test]
    fn extreme_options_and_logits_do_not_overflow() {
        let options = GenerateOptions::new().temperature(1e-38).top_p(0.9).repetition_penalty(1e-30);
        let mut sampler = Sampler::new(&options, &[]).unwrap();
        assert_eq!(sample(&mut sampler, &mut [-f32::MAX, 1.0, 3e38], &[1, 2]).unwrap(), 2);
    }
}
