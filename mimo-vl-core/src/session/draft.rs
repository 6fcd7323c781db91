//! Draft tokens: guesses of the next tokens, which one forward pass verifies together.

/// Maximum number of draft tokens of the first step.
const FIRST_DRAFT_TOKENS: usize = 2;

/// A draft token with the logits that follow it. It is accepted if it is the next token that is sampled.
pub(super) struct Draft {
    pub(super) id: u32,
    pub(super) logits: Vec<f32>,
}

/// Maximum number of draft tokens per step. It doubles after accepted drafts and halves after rejected ones, which cost
/// time.
#[derive(Debug, Clone, Copy)]
pub(super) struct DraftLength {
    max: usize,
    limit: usize,
    /// The last step had drafts.
    had_drafts: bool,
}

impl DraftLength {
    pub(super) fn new(max: usize) -> Self {
        Self { max, limit: max.min(FIRST_DRAFT_TOKENS), had_drafts: false }
    }

    /// Maximum number of draft tokens of the next step.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Records that a step has run, with or without drafts.
    pub(super) fn record_step(&mut self, had_drafts: bool) {
        self.had_drafts = had_drafts;
    }

    /// Adapts the length to the drafts of the last step, if there were any.
    pub(super) fn adapt(&mut self, all_accepted: bool) {
        if std::mem::take(&mut self.had_drafts) {
            self.limit = if all_accepted { (2 * self.limit).min(self.max) } else { self.limit.div_ceil(2) };
        }
    }
}
