//! How an answer is generated.

use super::lookup::MOST_DRAFTED;
use crate::error::{Error, Result};

/// Options of one answer. The default is greedy: always the most likely token, so that the same prompt gets the same
/// answer.
///
/// MiMo-VL's authors use temperature 0.3 with top-p 0.95 in conversation, and greedy decoding for images and videos
/// in their evaluation. Filters apply in the order of the fields below, each to what the one before left over, as
/// Hugging Face's do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Generate {
    /// Most tokens of the answer, thinking included; at least 1. Default 4096.
    pub max_tokens: usize,
    /// Logits of tokens that occurred before are divided by this where positive and multiplied where negative
    /// (arXiv 1909.05858). Above 0; 1 is off. Default 1.
    pub repetition_penalty: f32,
    /// Logits are divided by this; 0 takes the largest logit and leaves everything below out. Default 0.
    pub temperature: f32,
    /// Only this many of the largest logits are left, and those equal to the smallest of them; 0 is off. Default 0.
    pub top_k: usize,
    /// Only the smallest set of most likely tokens whose probabilities add up to at least this is left
    /// (arXiv 1904.09751). From 0 to 1; 1 is off. Default 1.
    pub top_p: f32,
    /// Only tokens at least this times as likely as the most likely one are left (arXiv 2407.01082). From 0 to 1; 0
    /// is off. Default 0.
    pub min_p: f32,
    /// Start of the random numbers: the same seed draws the same numbers on every machine. Default 0.
    pub seed: u64,
    /// Most tokens that are guessed at a time where the answer repeats what came before, and then checked together, from
    /// 0, which is off, to 7: the answer comes sooner where guesses are right, as they often are where a text is read from
    /// a picture or keys of JSON are repeated. On the device `cpu` no number changes, so the answer is the same; on others
    /// sums may have another order. `None` takes 7 for greedy decoding on `cpu`, else 0. Default `None`.
    pub draft: Option<usize>,
}

impl Default for Generate {
    fn default() -> Self {
        Self {
            max_tokens: 4096,
            repetition_penalty: 1.0,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            seed: 0,
            draft: None,
        }
    }
}

impl Generate {
    /// Greedy, at most 4096 tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set [`Generate::max_tokens`](#structfield.max_tokens).
    #[must_use]
    pub fn max_tokens(mut self, max_tokens: usize) -> Self {
        self.max_tokens = max_tokens;
        self
    }

    /// Set [`Generate::repetition_penalty`](#structfield.repetition_penalty).
    #[must_use]
    pub fn repetition_penalty(mut self, repetition_penalty: f32) -> Self {
        self.repetition_penalty = repetition_penalty;
        self
    }

    /// Set [`Generate::temperature`](#structfield.temperature).
    #[must_use]
    pub fn temperature(mut self, temperature: f32) -> Self {
        self.temperature = temperature;
        self
    }

    /// Set [`Generate::top_k`](#structfield.top_k).
    #[must_use]
    pub fn top_k(mut self, top_k: usize) -> Self {
        self.top_k = top_k;
        self
    }

    /// Set [`Generate::top_p`](#structfield.top_p).
    #[must_use]
    pub fn top_p(mut self, top_p: f32) -> Self {
        self.top_p = top_p;
        self
    }

    /// Set [`Generate::min_p`](#structfield.min_p).
    #[must_use]
    pub fn min_p(mut self, min_p: f32) -> Self {
        self.min_p = min_p;
        self
    }

    /// Set [`Generate::seed`](#structfield.seed).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Set [`Generate::draft`](#structfield.draft).
    #[must_use]
    pub fn draft(mut self, tokens: usize) -> Self {
        self.draft = Some(tokens);
        self
    }

    /// Most tokens that are guessed at a time on a device.
    pub fn most_drafted(&self, device: &str) -> usize {
        self.draft.unwrap_or(if self.temperature == 0.0 && device == "cpu" { MOST_DRAFTED } else { 0 })
    }

    /// Check every option's range.
    ///
    /// # Errors
    /// [`Error::Option`] with the first option that is out of its range.
    pub fn validate(&self) -> Result<()> {
        let check = |valid: bool, option, value: f32, range| {
            if valid { Ok(()) } else { Err(Error::option(option, format!("{value} is not {range}"))) }
        };
        if self.max_tokens == 0 {
            return Err(Error::option("max_tokens", "0 leaves no room for an answer; at least 1 is needed"));
        }
        if let Some(tokens) = self.draft.filter(|&tokens| tokens > MOST_DRAFTED) {
            return Err(Error::option(
                "draft",
                format!("{tokens}; at most {MOST_DRAFTED} tokens can be guessed at a time"),
            ));
        }
        let penalty = self.repetition_penalty;
        check(penalty.is_finite() && penalty > 0.0, "repetition_penalty", penalty, "a finite number above 0")?;
        let temperature = self.temperature;
        check(temperature.is_finite() && temperature >= 0.0, "temperature", temperature, "a finite number from 0 on")?;
        check((0.0..=1.0).contains(&self.top_p), "top_p", self.top_p, "between 0 and 1")?;
        check((0.0..=1.0).contains(&self.min_p), "min_p", self.min_p, "between 0 and 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let wrong = [
            ("max_tokens", Generate::new().max_tokens(0)),
            ("repetition_penalty", Generate::new().repetition_penalty(0.0)),
            ("repetition_penalty", Generate::new().repetition_penalty(f32::INFINITY)),
            ("temperature", Generate::new().temperature(-0.1)),
            ("temperature", Generate::new().temperature(f32::NAN)),
            ("top_p", Generate::new().top_p(1.1)),
            ("top_p", Generate::new().top_p(f32::NAN)),
            ("min_p", Generate::new().min_p(-0.5)),
            ("draft", Generate::new().draft(8)),
        ];
        for (name, options) in wrong {
            match options.validate() {
                Err(Error::Option { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        let options = Generate::new().max_tokens(1).temperature(2.0).top_k(5).top_p(0.0).min_p(1.0).seed(u64::MAX);
        assert!(options.repetition_penalty(1.3).draft(7).validate().is_ok());
    }
}
