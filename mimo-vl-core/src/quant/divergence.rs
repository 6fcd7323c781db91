//! The effect of quantization on a model's predictions.

use serde::{Deserialize, Serialize};

/// Divergence of a quantized model's predictions from those of the reference, its source model, over one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Divergence {
    /// Text of the prompt.
    pub prompt: String,
    /// Tokens of the prompt; the predictions after each are compared.
    pub tokens: usize,
    /// Mean Kullback-Leibler divergence of the quantized model's distribution from the reference's, in nats.
    pub divergence: f64,
    /// Share of the tokens after which both models have the same most likely token, from 0 to 1.
    pub top1: f64,
}

impl Divergence {
    /// Compares logits over a vocabulary of `vocab` tokens.
    ///
    /// # Shapes
    /// - `quantized`, `reference`: `[tokens, vocab]`
    ///
    /// # Panics
    /// If there is no token, or the shapes differ.
    pub fn new(prompt: impl Into<String>, quantized: &[f32], reference: &[f32], vocab: usize) -> Self {
        let same_shape = quantized.len() == reference.len();
        assert!(same_shape && reference.len() >= vocab && vocab > 0, "logits of different shapes");
        let tokens = reference.len() / vocab;
        let (mut divergence, mut same) = (0.0, 0);
        for (quantized, reference) in quantized.chunks_exact(vocab).zip(reference.chunks_exact(vocab)) {
            let (q, p) = (Distribution::new(quantized), Distribution::new(reference));
            let terms = reference.iter().zip(quantized).map(|(&r, &z)| p.log(r).exp() * (p.log(r) - q.log(z)));
            divergence += terms.sum::<f64>();
            same += usize::from(q.best == p.best);
        }
        Self {
            prompt: prompt.into(),
            tokens,
            divergence: divergence / tokens as f64,
            top1: same as f64 / tokens as f64,
        }
    }
}

/// The softmax of a row of logits.
struct Distribution {
    largest: f32,
    log_total: f64,
    best: usize,
}

impl Distribution {
    fn new(logits: &[f32]) -> Self {
        let mut best = 0;
        for (index, &logit) in logits.iter().enumerate() {
            if logit > logits[best] {
                best = index;
            }
        }
        let largest = logits[best];
        let total: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
        Self { largest, log_total: total.ln(), best }
    }

    /// The logarithm of the probability.
    fn log(&self, logit: f32) -> f64 {
        f64::from(logit - self.largest) - self.log_total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_predictions_do_not_diverge() {
        let logits = [1.0, 2.0, -3.0, 0.5, 0.0, 9.0];
        let result = Divergence::new("", &logits, &logits, 3);
        assert_eq!((result.tokens, result.top1), (2, 1.0));
        assert!(result.divergence.abs() < 1e-12);
    }

    #[test]
    fn divergence_is_the_sum_over_the_vocabulary() {
        // (1/2, 1/2) from (3/4, 1/4): ¾·ln(3/2) + ¼·ln(1/2).
        let result = Divergence::new("", &[0.0, 0.0], &[3.0_f32.ln(), 0.0], 2);
        assert!((result.divergence - (0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln())).abs() < 1e-7);
        let other = Divergence::new("", &[0.0, 1.0], &[1.0, 0.0], 2);
        assert_eq!(other.top1, 0.0);
    }
}
