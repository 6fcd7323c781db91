//! How an answer is generated.

use std::time::Duration;

use super::grammar::Grammar;
use super::prompt_lookup::MAX_DRAFT_TOKENS;
use crate::error::{Error, Result};

/// Most alternatives whose logprobs are given for each token.
const MOST_LOGPROBS: usize = 100;

/// Largest frequency and presence penalty, up and down.
const MOST_PENALTY: f32 = 2.0;

/// Fewest tokens that count as an endless repetition.
const FEWEST_REPEATED: usize = 16;

/// Options of one answer. The default is greedy: always the most likely token, so that the same prompt gets the same
/// answer.
///
/// MiMo-VL's authors use temperature 0.3 with top-p 0.95 in conversation, and greedy decoding for images and videos
/// in their evaluation. Bias comes first, then the penalties, and then the filters in the order of the fields below, each
/// on what the one before left over, as Hugging Face's do.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Most tokens of the answer, thinking included; at least 1. Default 4096.
    pub max_tokens: usize,
    /// Logits of tokens that occurred before are divided by this where positive and multiplied where negative
    /// (arXiv 1909.05858). Above 0; 1 is off. Default 1.
    pub repetition_penalty: f32,
    /// Taken from a token's logit for each time that it occurred in the answer. From -2 to 2; 0 is off. Default 0.
    pub frequency_penalty: f32,
    /// Taken from a token's logit once it occurred in the answer. From -2 to 2; 0 is off. Default 0.
    pub presence_penalty: f32,
    /// Added to the logits of single tokens, before the penalties; minus infinity forbids a token. Tokens that stand for
    /// media stay forbidden. Default: none.
    pub logit_bias: Vec<(u32, f32)>,
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
    /// Only those tokens are left whose information is nearest to the expected one, so many that their probabilities add
    /// up to at least this (arXiv 2202.00666). Above 0, at most 1; 1 is off. Default 1.
    pub typical_p: f32,
    /// Start of the random numbers: the same seed draws the same numbers on every machine. Default 0.
    pub seed: u64,
    /// Most tokens that are guessed at a time where the answer repeats what came before, and then checked together, from
    /// 0, which is off, to 7: the answer comes sooner where guesses are right, as they often are where a text is read from
    /// a picture or keys of JSON are repeated. On the device `cpu` no number changes, so the answer is the same; on others
    /// sums may have another order. `None` takes 7 for greedy decoding on `cpu`, else 0. Default `None`.
    pub num_draft_tokens: Option<usize>,
    /// CheckpointFiles that end the answer where they appear in it, also across tokens; they are not part of it. Thinking is not
    /// looked at. Default: none.
    pub stop: Vec<String>,
    /// The form that the answer has. Default: any.
    pub grammar: Option<Grammar>,
    /// End the answer with [`StopReason::Loop`](crate::answer::StopReason::Loop) when its last so many tokens are one
    /// run of tokens again and again, at least three times; at least 16, 0 is off. Default 0.
    pub loop_window: usize,
    /// Give the logprob of every token of the answer, and those of so many of the most likely tokens at its place, from 0
    /// to 100. They are the model's own: before bias, penalties and temperature. `None` is off. Default `None`.
    pub logprobs: Option<usize>,
    /// Longest time from the call on. When it is over while the answer is written, the answer ends with
    /// [`StopReason::Timeout`](crate::answer::StopReason::Timeout); before that, the call fails with
    /// [`Error::Timeout`]. Default `None`.
    pub timeout: Option<Duration>,
    /// Write so many answers, with the seeds `seed`, `seed` + 1 and so on, and keep the one with the highest mean logprob;
    /// at least 1. More than one needs a temperature above 0, and takes as many times as long to decode; a stream writes
    /// one. Default 1.
    pub best_of: usize,
    /// Most tokens of thinking; then it is ended, and the answer follows. `None` is off. Default `None`.
    pub thinking_budget: Option<usize>,
    /// Keep the thinking in the conversation, so that later turns see it. Default: no.
    pub keep_thinking: bool,
}

impl GenerateOptions {
    /// Greedy, at most 4096 tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add to the logit of one token: [`GenerateOptions::logit_bias`](#structfield.logit_bias).
    #[must_use]
    pub fn logit_bias(mut self, token: u32, bias: f32) -> Self {
        self.logit_bias.push((token, bias));
        self
    }

    /// End the answer where this text appears: [`GenerateOptions::stop`](#structfield.stop).
    #[must_use]
    pub fn stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Most tokens that are guessed at a time on a device.
    pub fn max_draft_tokens(&self, device: &str) -> usize {
        self.num_draft_tokens.unwrap_or(if self.temperature == 0.0 && device == "cpu" { MAX_DRAFT_TOKENS } else { 0 })
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
        if let Some(tokens) = self.num_draft_tokens.filter(|&tokens| tokens > MAX_DRAFT_TOKENS) {
            return Err(Error::option(
                "num_draft_tokens",
                format!("{tokens}; at most {MAX_DRAFT_TOKENS} tokens can be guessed at a time"),
            ));
        }
        let penalty = self.repetition_penalty;
        check(penalty.is_finite() && penalty > 0.0, "repetition_penalty", penalty, "a finite number above 0")?;
        let temperature = self.temperature;
        check(temperature.is_finite() && temperature >= 0.0, "temperature", temperature, "a finite number from 0 on")?;
        check((0.0..=1.0).contains(&self.top_p), "top_p", self.top_p, "between 0 and 1")?;
        check((0.0..=1.0).contains(&self.min_p), "min_p", self.min_p, "between 0 and 1")?;
        check(self.typical_p > 0.0 && self.typical_p <= 1.0, "typical_p", self.typical_p, "above 0 and at most 1")?;
        let penalties = -MOST_PENALTY..=MOST_PENALTY;
        check(
            penalties.contains(&self.frequency_penalty),
            "frequency_penalty",
            self.frequency_penalty,
            "between -2 and 2",
        )?;
        check(
            penalties.contains(&self.presence_penalty),
            "presence_penalty",
            self.presence_penalty,
            "between -2 and 2",
        )?;
        if let Some((token, bias)) = self.logit_bias.iter().find(|(_, bias)| bias.is_nan() || *bias == f32::INFINITY) {
            return Err(Error::option("logit_bias", format!("{bias} for token {token} is no number below infinity")));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::option("stop", "an empty text would end every answer at its start"));
        }
        if (1..FEWEST_REPEATED).contains(&self.loop_window) {
            let reason = format!("{} tokens; at least {FEWEST_REPEATED} are needed, or 0", self.loop_window);
            return Err(Error::option("loop_window", reason));
        }
        if let Some(most) = self.logprobs.filter(|&most| most > MOST_LOGPROBS) {
            return Err(Error::option("logprobs", format!("{most}; at most {MOST_LOGPROBS} are given")));
        }
        match self.best_of {
            0 => Err(Error::option("best_of", "0 answers; at least 1 is needed")),
            2.. if self.temperature == 0.0 => {
                Err(Error::option("best_of", "all answers would be the same: set a temperature above 0"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_checked() {
        let wrong = [
            ("max_tokens", GenerateOptions::new().max_tokens(0)),
            ("repetition_penalty", GenerateOptions::new().repetition_penalty(0.0)),
            ("repetition_penalty", GenerateOptions::new().repetition_penalty(f32::INFINITY)),
            ("temperature", GenerateOptions::new().temperature(-0.1)),
            ("temperature", GenerateOptions::new().temperature(f32::NAN)),
            ("top_p", GenerateOptions::new().top_p(1.1)),
            ("top_p", GenerateOptions::new().top_p(f32::NAN)),
            ("min_p", GenerateOptions::new().min_p(-0.5)),
            ("num_draft_tokens", GenerateOptions::new().num_draft_tokens(8)),
            ("typical_p", GenerateOptions::new().typical_p(0.0)),
            ("frequency_penalty", GenerateOptions::new().frequency_penalty(2.5)),
            ("presence_penalty", GenerateOptions::new().presence_penalty(f32::NAN)),
            ("logit_bias", GenerateOptions::new().logit_bias(3, f32::INFINITY)),
            ("logit_bias", GenerateOptions::new().logit_bias(3, f32::NAN)),
            ("stop", GenerateOptions::new().stop("a").stop("")),
            ("loop_window", GenerateOptions::new().loop_window(15)),
            ("logprobs", GenerateOptions::new().logprobs(101)),
            ("best_of", GenerateOptions::new().best_of(0)),
            ("best_of", GenerateOptions::new().best_of(2)),
        ];
        for (name, options) in wrong {
            match options.validate() {
                Err(Error::Option { option, .. }) => assert_eq!(option, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        let options =
            GenerateOptions::new().max_tokens(1).temperature(2.0).top_k(5).top_p(0.0).min_p(1.0).seed(u64::MAX);
        let options = options
            .repetition_penalty(1.3)
            .num_draft_tokens(7)
            .typical_p(1.0)
            .frequency_penalty(-2.0)
            .presence_penalty(2.0);
        let options = options.logit_bias(7, f32::NEG_INFINITY).stop("a").loop_window(16).logprobs(100).best_of(3);
        assert!(options.validate().is_ok());
    }
}
