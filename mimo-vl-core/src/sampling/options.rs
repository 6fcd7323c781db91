//! Options for generating an answer.

use super::grammar::Grammar;
use super::prompt_lookup::MAX_DRAFT_TOKENS;
use crate::cancel::{CallOptions, call_setters};
use crate::error::{Error, Result};

/// Maximum number of alternatives per token in `logprobs`.
const MAX_LOGPROBS: usize = 100;

/// Largest absolute value of the frequency and the presence penalty.
const MAX_PENALTY: f32 = 2.0;

/// Smallest loop window, in tokens.
const MIN_LOOP_WINDOW: usize = 16;

/// Options for generating one answer. The default is greedy decoding, which is deterministic.
///
/// MiMo-VL's authors sample with temperature 0.3 and top-p 0.95 in conversation, and evaluate images and videos with
/// greedy decoding. Logits are processed in this order: bias, repetition penalty, frequency and presence penalty, and
/// then temperature, top-k, top-p, min-p and typical-p, each applied to the tokens that the one before left, as in
/// transformers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GenerateOptions {
    /// Maximum number of tokens to generate, thinking included. At least 1. Default 4096.
    pub max_tokens: usize,
    /// Maximum number of tokens of the conversation with the answer, below that of the model
    /// ([`LoadOptions::max_context`](crate::LoadOptions#structfield.max_context)). At least 1. Default `None`: that of
    /// the model.
    pub max_context: Option<usize>,
    /// Repetition penalty: divides the logits of tokens that occurred in the prompt or the answer where they are
    /// positive, and multiplies them where they are negative (CTRL, arXiv 1909.05858). Above 0; 1 is off. Default 1.
    pub repetition_penalty: f32,
    /// Frequency penalty: subtracted from a token's logit for each of its occurrences in the answer. From -2 to 2; 0 is
    /// off. Default 0.
    pub frequency_penalty: f32,
    /// Presence penalty: subtracted once from the logits of tokens that occurred in the answer. From -2 to 2; 0 is off.
    /// Default 0.
    pub presence_penalty: f32,
    /// Bias per token id, added to its logit before the penalties. Finite, or minus infinity to ban the token. Media
    /// placeholder tokens stay banned. Default empty.
    pub logit_bias: Vec<(u32, f32)>,
    /// Sampling temperature: divides the logits. At least 0; 0 is greedy decoding, which ignores the filters below.
    /// Default 0.
    pub temperature: f32,
    /// Top-k sampling: keeps the `top_k` largest logits, and those equal to the smallest of them. 0 is off. Default 0.
    pub top_k: usize,
    /// Nucleus sampling: keeps the smallest set of most likely tokens with a total probability of at least `top_p`
    /// (arXiv 1904.09751). From 0 to 1; 1 is off. Default 1.
    pub top_p: f32,
    /// Min-p sampling: keeps tokens with a probability of at least `min_p` times that of the most likely token
    /// (arXiv 2407.01082). From 0 to 1; 0 is off. Default 0.
    pub min_p: f32,
    /// Locally typical sampling: keeps the tokens whose information content is closest to the entropy, up to a total
    /// probability of at least `typical_p` (arXiv 2202.00666). Above 0, at most 1; 1 is off. Default 1.
    pub typical_p: f32,
    /// Seed of the random number generator. The same seed gives the same random numbers on every machine. Default 0.
    pub seed: u64,
    /// Number of draft tokens per step for prompt lookup decoding, a form of speculative decoding: tokens that followed
    /// an earlier occurrence of the last n-gram are verified together. From 0 to 7; 0 is off. Speeds up answers that
    /// repeat text of the prompt or themselves, such as OCR and JSON. On the device `cpu` the answer does not change;
    /// on others sums may be rounded differently. `None` is 7 for greedy decoding on `cpu`, else 0. Default `None`.
    pub num_draft_tokens: Option<usize>,
    /// Stop sequences: the answer ends before the first of them. They match across tokens, and not in the thinking.
    /// None may be empty. Default empty.
    pub stop: Vec<String>,
    /// Grammar that constrains the answer. Default `None`.
    pub grammar: Option<Grammar>,
    /// Loop detection: ends the answer with [`StopReason::Loop`](crate::StopReason::Loop) when its last `loop_window`
    /// tokens repeat one sequence at least three times. At least 16; 0 is off. Default 0.
    pub loop_window: usize,
    /// Returns the logprob of every token of the answer, and those of the `logprobs` most likely tokens at its
    /// position, before bias, penalties and temperature. From 0 to 100; `None` is off. Default `None`.
    pub logprobs: Option<usize>,
    /// Number of answers to generate, with the seeds `seed`, `seed` + 1 and so on; the one with the highest mean
    /// logprob is returned. At least 1. More than one needs a temperature above 0, and multiplies the decoding time.
    /// Streams and batches generate one, and refuse more. Default 1.
    pub best_of: usize,
    /// Maximum number of thinking tokens; then the thinking is closed and the answer follows. `None` is off. Default
    /// `None`.
    pub thinking_budget: Option<usize>,
    /// Keeps the thinking in the conversation for later prompts if `true`. Default `false`.
    pub keep_thinking: bool,
    /// Reads lists of four numbers as boxes anywhere in the answer if `true`, else only where the answer, or a fenced
    /// block in it, begins with them: prose has such lists too. Lists in objects with a key are boxes in any case.
    /// Default `false`.
    pub prose_regions: bool,
    /// Cancellation, time limit and progress of each call with these options. When the time is over while the answer is
    /// written, the answer ends with [`StopReason::Timeout`](crate::StopReason::Timeout); before that, the call
    /// fails with [`Error::Timeout`].
    pub call: CallOptions,
}

impl GenerateOptions {
    call_setters!();

    /// The defaults: greedy decoding of at most 4096 tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a bias to the logit of one token: [`GenerateOptions::logit_bias`](#structfield.logit_bias).
    #[must_use]
    pub fn logit_bias(mut self, token: u32, bias: f32) -> Self {
        self.logit_bias.push((token, bias));
        self
    }

    /// Adds a stop sequence: [`GenerateOptions::stop`](#structfield.stop).
    #[must_use]
    pub fn stop(mut self, sequence: impl Into<String>) -> Self {
        self.stop.push(sequence.into());
        self
    }

    /// The number of draft tokens per step on a device: the option, or its default there.
    pub fn draft_tokens_for(&self, device: &str) -> usize {
        self.num_draft_tokens.unwrap_or(if self.temperature == 0.0 && device == "cpu" { MAX_DRAFT_TOKENS } else { 0 })
    }

    /// Maximum number of tokens of a conversation, for a model with this maximum.
    pub(crate) fn context_limit(&self, of_model: usize) -> usize {
        self.max_context.map_or(of_model, |limit| limit.min(of_model))
    }

    /// Checks the range of every option.
    ///
    /// # Errors
    /// [`Error::Option`] with the first option that is out of range.
    pub fn validate(&self) -> Result<()> {
        let check = |valid: bool, option, value: f32, range| {
            if valid { Ok(()) } else { Err(Error::option(option, format!("{value} is not {range}"))) }
        };
        if self.max_tokens == 0 {
            return Err(Error::option("max_tokens", "0 leaves no room for an answer; at least 1 is needed"));
        }
        if self.max_context == Some(0) {
            return Err(Error::option("max_context", "0 leaves no room for a prompt; at least 1 is needed"));
        }
        if let Some(tokens) = self.num_draft_tokens.filter(|&tokens| tokens > MAX_DRAFT_TOKENS) {
            return Err(Error::option(
                "num_draft_tokens",
                format!("{tokens}; at most {MAX_DRAFT_TOKENS} draft tokens are supported"),
            ));
        }
        let penalty = self.repetition_penalty;
        check(penalty.is_finite() && penalty > 0.0, "repetition_penalty", penalty, "a finite number above 0")?;
        let temperature = self.temperature;
        check(temperature.is_finite() && temperature >= 0.0, "temperature", temperature, "a finite number from 0 on")?;
        check((0.0..=1.0).contains(&self.top_p), "top_p", self.top_p, "between 0 and 1")?;
        check((0.0..=1.0).contains(&self.min_p), "min_p", self.min_p, "between 0 and 1")?;
        check(self.typical_p > 0.0 && self.typical_p <= 1.0, "typical_p", self.typical_p, "above 0 and at most 1")?;
        let penalties = -MAX_PENALTY..=MAX_PENALTY;
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
            return Err(Error::option(
                "logit_bias",
                format!("{bias} for token {token}; it must be a number below infinity"),
            ));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(Error::option("stop", "an empty stop sequence would end every answer at its start"));
        }
        if (1..MIN_LOOP_WINDOW).contains(&self.loop_window) {
            let reason = format!("{} tokens; at least {MIN_LOOP_WINDOW} are needed, or 0", self.loop_window);
            return Err(Error::option("loop_window", reason));
        }
        if let Some(count) = self.logprobs.filter(|&count| count > MAX_LOGPROBS) {
            return Err(Error::option("logprobs", format!("{count}; at most {MAX_LOGPROBS} are supported")));
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
    fn every_option_out_of_range_is_named() {
        let invalid = [
            ("max_tokens", GenerateOptions::new().max_tokens(0)),
            ("max_context", GenerateOptions::new().max_context(0)),
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
        for (name, options) in invalid {
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
