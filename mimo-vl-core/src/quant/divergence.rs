//! How much rounding changes what a model says next.

use serde::{Deserialize, Serialize};

/// How far the predictions of a rounded model are from those of the model it was made of, over one prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Divergence {
    /// The prompt's text.
    pub prompt: String,
    /// Tokens of the prompt; after each one, both models said what comes next.
    pub tokens: usize,
    /// Mean Kullback-Leibler divergence of the rounded model's distribution from the other one's, in nats.
    pub divergence: f64,
    /// Share of the tokens after which both models hold the same next token the most likely.
    pub top1: f64,
}

impl Divergence {
    /// Compare logits.
    ///
    /// # Shapes
    /// - `rounded`, `whole`: `[tokens, vocab]`
    ///
    /// # Panics
    /// When there is no token, or the shapes differ.
    pub fn new(prompt: impl Into<String>, rounded: &[f32], whole: &[f32], vocab: usize) -> Self {
        assert!(rounded.len() == whole.len() && whole.len() >= vocab && vocab > 0, "logits of different shapes");
        let tokens = whole.len() / vocab;
        let (mut divergence, mut same) = (0.0, 0);
        for (rounded, whole) in rounded.chunks_exact(vocab).zip(whole.chunks_exact(vocab)) {
            let (q, p) = (Distribution::new(rounded), Distribution::new(whole));
            divergence += whole.iter().zip(rounded).map(|(&w, &r)| p.log(w).exp() * (p.log(w) - q.log(r))).sum::<f64>();
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

/// What turns logits into probabilities.
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

    fn log(&self, logit: f32) -> f64 {
        f64::from(logit - self.largest) - self.log_total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_predictions_agree() {
        let logits = [1.0, 2.0, -3.0, 0.5, 0.0, 9.0];
        let agreement = Divergence::new("", &logits, &logits, 3);
        assert_eq!((agreement.tokens, agreement.top1), (2, 1.0));
        assert!(agreement.divergence.abs() < 1e-12);
    }

    #[test]
    fn divergence_is_the_sum_over_the_vocabulary() {
        // Of (1/2, 1/2) from (3/4, 1/4): ¾·ln(3/2) + ¼·ln(1/2).
        let agreement = Divergence::new("", &[0.0, 0.0], &[3.0_f32.ln(), 0.0], 2);
        assert!((agreement.divergence - (0.75 * 1.5_f64.ln() + 0.25 * 0.5_f64.ln())).abs() < 1e-7);
        let other = Divergence::new("", &[0.0, 1.0], &[1.0, 0.0], 2);
        assert_eq!(other.top1, 0.0);
    }
}
