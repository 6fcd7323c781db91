//! What a question will take, before anything is computed.

use super::session::Session;
use crate::checkpoint::available_memory;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::model::{MAX_ENCODE_PATCHES, PREFILL_CHUNK};

use crate::media::Transform;
use crate::preprocess::{image_layout, video_layout};
use crate::prompt::{Part, Prompt};
use crate::sampling::GenerateOptions;

/// Fewest pixels that a picture is made smaller to: four tokens.
const MIN_PIXELS: f64 = 4.0 * 28.0 * 28.0;

/// Rounds of halving in the search for the largest pictures that fit.
const ROUNDS: usize = 12;

/// What a process takes beside weights, cache and working memory: tokenizer, template, code.
const OVERHEAD: u64 = 64 << 20;

/// What a question will take.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Of the new messages, in order.
    pub parts: Vec<PlannedPart>,
    /// CachedPrefix of the whole conversation with the question, what the template writes included.
    pub prompt_tokens: usize,
    /// How many of them the session holds already.
    pub cached_tokens: usize,
    /// Most tokens that the answer can have.
    pub answer_tokens: usize,
    /// Bytes of the cache of keys and values for all of them.
    pub cache_bytes: u64,
    /// What the session has yet to allocate of `cache_bytes`; a cache that grows is in memory twice in part, and what a fork
    /// shares is copied.
    pub growth_bytes: u64,
    /// Most bytes of what is computed on the way, for the pictures or for the text.
    pub working_bytes: u64,
    /// Bytes of the process at its peak: weights as far as they are read, cache, what is computed, and some for the rest.
    /// Of devices with memory of their own, the memory there.
    pub peak_bytes: u64,
    /// Bytes that are free now beside what the process has; `None` where the system does not tell, or the device has
    /// memory of its own.
    pub available_bytes: Option<u64>,
    /// Whether the context and the memory that is free hold it.
    pub fits: bool,
}

impl Plan {
    /// Bytes that the question takes beside what the session has.
    fn needed_bytes(&self) -> u64 {
        self.growth_bytes + self.working_bytes
    }
}

/// A part of a question.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PlannedPart {
    /// Text.
    Text {
        /// Its tokens, counted alone.
        tokens: usize,
    },
    /// A picture or a video.
    Media {
        /// Its tokens.
        tokens: usize,
        /// The size at which the model sees it, and the way to the caller's pixels.
        transform: Transform,
    },
}

/// What a question may take at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Budget {
    /// Most tokens of the conversation with the question; `None` for what the context holds with one token of answer.
    pub tokens: Option<usize>,
    /// Most bytes at the peak, as [`Plan::peak_bytes`](Plan#structfield.peak_bytes) counts them; `None` for what is free.
    pub bytes: Option<u64>,
    /// Make the question's pictures and videos smaller until it fits.
    pub lower_pixels: bool,
}

impl Budget {
    /// What the context and the memory hold, and pictures stay as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Set [`Budget::tokens`](#structfield.tokens).
    #[must_use]
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Set [`Budget::bytes`](#structfield.bytes).
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Set [`Budget::lower_pixels`](#structfield.lower_pixels).
    #[must_use]
    pub fn lower_pixels(mut self, lower: bool) -> Self {
        self.lower_pixels = lower;
        self
    }

    /// Pass when the plan keeps to it.
    fn check(&self, plan: &Plan, context: usize) -> Result<()> {
        let limit = self.tokens.unwrap_or(context.saturating_sub(1)).min(context.saturating_sub(1));
        if plan.prompt_tokens > limit {
            return Err(Error::ContextTooLong { tokens: plan.prompt_tokens, limit });
        }
        match (self.bytes, plan.available_bytes) {
            (Some(bytes), _) if plan.peak_bytes > bytes => {
                Err(Error::Memory { what: "the question", needed: plan.peak_bytes, available: bytes })
            }
            (None, Some(available)) if plan.needed_bytes() > available => {
                let needed = plan.needed_bytes();
                Err(Error::Memory { what: "the question", needed, available })
            }
            _ => Ok(()),
        }
    }
}

impl Session {
    /// What a question will take, without computing anything of it.
    ///
    /// # Errors
    /// As [`stream`](Self::stream), as far as they concern prompt, pictures and options; a plan that does not fit is no
    /// error, unless pictures and videos alone fill more than 16 contexts.
    pub fn plan(&self, prompt: &Prompt, options: &GenerateOptions) -> Result<Plan> {
        options.validate()?;
        let (conversation, model) = (self.plan_conversation(prompt)?, self.model());
        let tokens = conversation.tokens;
        let answer_tokens = options.max_tokens.min(model.max_context().saturating_sub(tokens));
        let cache_bytes = model.engine().cache_bytes(tokens + answer_tokens);
        let growth_bytes = self.growth(tokens + answer_tokens);
        let patches: Vec<usize> = conversation.missing.iter().map(|item| item.layout().grid.patches()).collect();
        let working_bytes = working_bytes(model.config(), &patches, tokens - conversation.cached);
        let peak_bytes = model.engine().weight_bytes() + cache_bytes + working_bytes + OVERHEAD;
        let available_bytes = model.engine().is_on_host().then(available_memory).flatten();
        let mut media = conversation.media.iter();
        let mut parts = Vec::new();
        for part in conversation.messages.iter().flat_map(|message| &message.parts) {
            parts.push(match part {
                Part::Text(text) | Part::Thinking(text) | Part::Tools(text) => {
                    PlannedPart::Text { tokens: model.tokenizer().encode_text(text)?.len() }
                }
                Part::ToolCall(call) => {
                    PlannedPart::Text { tokens: model.tokenizer().encode_text(&call.arguments)?.len() }
                }
                Part::Image(_) | Part::Video(_) => {
                    let item = media.next().ok_or_else(|| Error::internal("a item is not planned"))?;
                    PlannedPart::Media { tokens: item.tokens(), transform: item.layout().transform }
                }
            });
        }
        let plan = Plan {
            parts,
            prompt_tokens: tokens,
            cached_tokens: conversation.cached,
            answer_tokens,
            cache_bytes,
            growth_bytes,
            working_bytes,
            peak_bytes,
            available_bytes,
            fits: tokens < model.max_context(),
        };
        let in_memory = available_bytes.is_none_or(|available| plan.needed_bytes() <= available);
        Ok(Plan { fits: plan.fits && in_memory, ..plan })
    }

    /// The question so that it keeps to a budget, with its plan: as it is, or with smaller pictures and videos if the budget
    /// allows that. What was made smaller shows in the plan.
    ///
    /// # Errors
    /// [`Error::ContextTooLong`] and [`Error::Memory`] when it does not, and those of [`plan`](Self::plan).
    pub fn fit(&self, prompt: &Prompt, options: &GenerateOptions, budget: Budget) -> Result<(Prompt, Plan)> {
        let context = self.model().max_context();
        let checked = |prompt: Prompt| {
            let plan = self.plan(&prompt, options)?;
            budget.check(&plan, context)?;
            Ok((prompt, plan))
        };
        match checked(prompt.clone()) {
            Err(Error::ContextTooLong { .. } | Error::Memory { .. }) if budget.lower_pixels => {}
            other => return other,
        }
        let sizes = self.sizes(prompt)?;
        let at = |scale: f64| {
            let limits = sizes.iter().map(|pixels| (pixels * scale).max(MIN_PIXELS.min(*pixels)) as u32);
            checked(prompt.with_max_pixels(limits))
        };
        // The smallest ones tell whether any do.
        let mut best = at(0.0)?;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..ROUNDS {
            let middle = (low + high) / 2.0;
            match at(middle) {
                Ok(fitting) => (low, best) = (middle, fitting),
                Err(Error::ContextTooLong { .. } | Error::Memory { .. }) => high = middle,
                Err(error) => return Err(error),
            }
        }
        Ok(best)
    }

    /// Pixels at which the model sees each picture and each frame of a video of a question.
    fn sizes(&self, prompt: &Prompt) -> Result<Vec<f64>> {
        let config = self.model().preprocess_config();
        let layouts = prompt.messages().iter().flat_map(|message| &message.parts).filter_map(|part| match part {
            Part::Image(image) => Some(image_layout(image, config)),
            Part::Video(video) => Some(video_layout(video, config)),
            _ => None,
        });
        layouts
            .map(|layout| {
                let (width, height) = layout?.transform.resized;
                Ok((width * height) as f64)
            })
            .collect()
    }
}

/// Most bytes that is computed at a time, for pictures of so many patches or for so many tokens. Counted are rows of f32:
/// what stays beside a layer, its input before and after the norm, queries, keys and values before and after rotation,
/// the mixed values, and the inner ones of the gated perceptron, which are there as bytes too.
fn working_bytes(config: &ModelConfig, patches: &[usize], tokens: usize) -> u64 {
    let (vision, text) = (&config.vision, &config.text);
    let together =
        patches.iter().copied().max().unwrap_or(0).max(patches.iter().sum::<usize>().min(MAX_ENCODE_PATCHES));
    let pixels = 3 * vision.temporal_patch_size * vision.patch_size * vision.patch_size;
    let of_patch = 4 * (10 * vision.hidden_size + 2 * vision.intermediate_size) + 5 * pixels;
    let heads = text.num_attention_heads + 2 * text.num_key_value_heads;
    let of_token = 4 * (4 * text.hidden_size + 2 * heads * text.head_dim + 2 * text.intermediate_size);
    let of_text = tokens.min(PREFILL_CHUNK) * of_token + tokens * 4 * text.hidden_size + 8 * text.vocab_size;
    (together * of_patch).max(of_text) as u64
}
