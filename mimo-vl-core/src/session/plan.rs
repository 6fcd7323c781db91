//! Plans: the tokens and the memory that a prompt needs, before anything is computed.

use super::session::Session;
use crate::checkpoint::available_memory;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::media::Transform;
use crate::model::{MAX_ENCODE_PATCHES, PREFILL_CHUNK};
use crate::preprocess::{image_layout, video_layout};
use crate::prompt::{Part, Prompt};
use crate::sampling::GenerateOptions;

/// Minimum of pixels to which an image is shrunk: four tokens.
const MIN_PIXELS: f64 = 4.0 * 28.0 * 28.0;

/// Steps of the bisection for the largest images that fit.
const BISECTION_STEPS: usize = 12;

/// Bytes of a process beside weights, cache and working memory: tokenizer, template, code.
const OVERHEAD: u64 = 64 << 20;

/// Tokens and memory that a prompt needs.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// Parts of the prompt's messages, in order.
    pub parts: Vec<PlannedPart>,
    /// Tokens of the conversation with the prompt, those of the template included.
    pub prompt_tokens: usize,
    /// Tokens of those that the session has cached.
    pub cached_tokens: usize,
    /// Maximum tokens of the answer.
    pub answer_tokens: usize,
    /// Bytes of the KV cache for all these tokens.
    pub cache_bytes: u64,
    /// Bytes of `cache_bytes` that are not allocated yet. A growing cache is partly in memory twice, and memory that a
    /// fork shares is copied.
    pub growth_bytes: u64,
    /// Peak bytes of intermediate results, of the vision tower or of the language model.
    pub working_bytes: u64,
    /// Peak bytes of the process: weights as far as they have been read, KV cache, intermediate results and overhead.
    /// On a device with its own memory, the bytes there.
    pub peak_bytes: u64,
    /// Free bytes, beside those that the process has; `None` if the system does not report them, or the device has its
    /// own memory.
    pub available_bytes: Option<u64>,
    /// True if the prompt fits into the context and the free memory.
    pub fits: bool,
}

impl Plan {
    /// Bytes that the prompt needs beside those of the session.
    fn needed_bytes(&self) -> u64 {
        self.growth_bytes + self.working_bytes
    }
}

/// A part of a planned prompt.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PlannedPart {
    /// Text.
    Text {
        /// Tokens of the text alone.
        tokens: usize,
    },
    /// An image or a video.
    Media {
        /// Placeholder tokens.
        tokens: usize,
        /// Transform between the caller's pixels and the resized ones, with both sizes.
        transform: Transform,
    },
}

/// Limits for a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Budget {
    /// Maximum tokens of the conversation with the prompt. Default `None`: the context less one token of answer.
    pub tokens: Option<usize>,
    /// Maximum of [`Plan::peak_bytes`](Plan#structfield.peak_bytes). Default `None`: the free memory.
    pub bytes: Option<u64>,
    /// Shrink the prompt's images and videos until it fits. Default `false`.
    pub lower_pixels: bool,
}

impl Budget {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`Budget::tokens`](#structfield.tokens).
    #[must_use]
    pub fn tokens(mut self, tokens: usize) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Sets [`Budget::bytes`](#structfield.bytes).
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// Sets [`Budget::lower_pixels`](#structfield.lower_pixels).
    #[must_use]
    pub fn lower_pixels(mut self, lower: bool) -> Self {
        self.lower_pixels = lower;
        self
    }

    /// Returns an error if the plan exceeds the budget.
    fn check(&self, plan: &Plan, context: usize) -> Result<()> {
        let limit = self.tokens.unwrap_or(context.saturating_sub(1)).min(context.saturating_sub(1));
        if plan.prompt_tokens > limit {
            return Err(Error::ContextTooLong { tokens: plan.prompt_tokens, limit });
        }
        match (self.bytes, plan.available_bytes) {
            (Some(bytes), _) if plan.peak_bytes > bytes => {
                Err(Error::Memory { what: "the prompt", needed: plan.peak_bytes, available: bytes })
            }
            (None, Some(available)) if plan.needed_bytes() > available => {
                let needed = plan.needed_bytes();
                Err(Error::Memory { what: "the prompt", needed, available })
            }
            _ => Ok(()),
        }
    }
}

impl Session {
    /// Plans a prompt without computing its answer.
    ///
    /// # Errors
    /// Those of [`stream`](Self::stream) that concern the prompt, its media and the options. A plan that does not fit
    /// is not an error, unless images and videos alone fill more than 16 contexts.
    pub fn plan(&self, prompt: &Prompt, options: &GenerateOptions) -> Result<Plan> {
        options.validate()?;
        let (conversation, model) = (self.plan_conversation(prompt)?, self.model());
        let context = options.context_limit(model.max_context());
        let tokens = conversation.tokens;
        let answer_tokens = options.max_tokens.min(context.saturating_sub(tokens));
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
                    let item = media.next().ok_or_else(|| Error::internal("a media item without a plan"))?;
                    PlannedPart::Media { tokens: item.tokens(), transform: item.layout().transform }
                }
            });
        }
        let mut plan = Plan {
            parts,
            prompt_tokens: tokens,
            cached_tokens: conversation.cached,
            answer_tokens,
            cache_bytes,
            growth_bytes,
            working_bytes,
            peak_bytes,
            available_bytes,
            fits: tokens < context,
        };
        plan.fits &= available_bytes.is_none_or(|available| plan.needed_bytes() <= available);
        Ok(plan)
    }

    /// Fits a prompt into a budget. Returns the prompt, with smaller images and videos if it did not fit and the budget
    /// has [`lower_pixels`](Budget#structfield.lower_pixels), and its plan with the resulting sizes.
    ///
    /// # Errors
    /// [`Error::ContextTooLong`] and [`Error::Memory`] when the prompt does not fit, and those of [`plan`](Self::plan).
    pub fn fit(&self, prompt: &Prompt, options: &GenerateOptions, budget: Budget) -> Result<(Prompt, Plan)> {
        let context = options.context_limit(self.model().max_context());
        let checked = |prompt: Prompt| {
            let plan = self.plan(&prompt, options)?;
            budget.check(&plan, context)?;
            Ok((prompt, plan))
        };
        match checked(prompt.clone()) {
            Err(Error::ContextTooLong { .. } | Error::Memory { .. }) if budget.lower_pixels => {}
            other => return other,
        }
        let sizes = self.media_sizes(prompt)?;
        let scaled = |scale: f64| {
            let limits = sizes.iter().map(|pixels| (pixels * scale).max(MIN_PIXELS.min(*pixels)) as u32);
            checked(prompt.with_max_pixels(limits))
        };
        // If the smallest images do not fit, none do.
        let mut best = scaled(0.0)?;
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..BISECTION_STEPS {
            let middle = (low + high) / 2.0;
            match scaled(middle) {
                Ok(fitting) => (low, best) = (middle, fitting),
                Err(Error::ContextTooLong { .. } | Error::Memory { .. }) => high = middle,
                Err(error) => return Err(error),
            }
        }
        Ok(best)
    }

    /// Pixels to which each image, and each frame of a video, of a prompt is resized.
    fn media_sizes(&self, prompt: &Prompt) -> Result<Vec<f64>> {
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

/// Peak bytes of intermediate results, for media of so many patches each or for `tokens` uncached tokens. Counts rows
/// of f32: the residual stream, a layer's input before and after the norm, queries, keys and values before and after
/// the rotary embedding, the output of attention, and the inner activations of the MLP, which exist as bytes too.
fn working_bytes(config: &ModelConfig, patches: &[usize], tokens: usize) -> u64 {
    let (vision, text) = (&config.vision, &config.text);
    let batch_patches =
        patches.iter().copied().max().unwrap_or(0).max(patches.iter().sum::<usize>().min(MAX_ENCODE_PATCHES));
    let pixels = 3 * vision.temporal_patch_size * vision.patch_size * vision.patch_size;
    let patch_bytes = 4 * (10 * vision.hidden_size + 2 * vision.intermediate_size) + 5 * pixels;
    let heads = text.num_attention_heads + 2 * text.num_key_value_heads;
    let token_bytes = 4 * (4 * text.hidden_size + 2 * heads * text.head_dim + 2 * text.intermediate_size);
    let text_bytes = tokens.min(PREFILL_CHUNK) * token_bytes + tokens * 4 * text.hidden_size + 8 * text.vocab_size;
    (batch_patches * patch_bytes).max(text_bytes) as u64
}
