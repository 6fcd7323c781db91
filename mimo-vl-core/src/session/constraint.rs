//! Grammar constraint of an answer, in force after the thinking.

use crate::answer::AnswerParser;
use crate::error::Result;
use crate::sampling::{GrammarMatcher, TokenMask};

const THINK_TAG: &[u8] = b"<think>";

/// Tokens reserved for the end of the thinking, with a margin.
const END_OF_THINKING_TOKENS: usize = 16;

/// Tokens beyond those of the shortest completion, from which on every token is checked to leave room for an end.
const CLOSING_MARGIN: usize = 256;

/// The grammar of an answer and its state.
#[derive(Clone)]
pub(super) struct Constraint {
    matcher: GrammarMatcher,
    phase: Phase,
    /// Tokens of the shortest answer; `None` if none was found.
    shortest: Option<usize>,
    /// Mask of the next token, if it is computed.
    mask: Option<TokenMask>,
}

/// Part of the answer that the next token belongs to.
#[derive(Clone)]
enum Phase {
    /// The start, with the bytes of the opening tag of the thinking that were written so far.
    Start(Vec<u8>),
    Thinking,
    Answer,
}

impl Constraint {
    /// `may_think` allows thinking before the answer; `is_thinking` means that its opening tag is written.
    pub(super) fn new(matcher: GrammarMatcher, may_think: bool, is_thinking: bool) -> Self {
        let phase = match (is_thinking, may_think) {
            (true, _) => Phase::Thinking,
            (false, true) => Phase::Start(Vec::new()),
            (false, false) => Phase::Answer,
        };
        let shortest = matcher.shortest_completion().map(|tokens| tokens.len());
        Self { matcher, phase, shortest, mask: None }
    }

    /// True if the mask of the next token must be computed.
    pub(super) fn is_unprepared(&self) -> bool {
        self.mask.is_none() && !self.is_thinking()
    }

    /// Computes the mask of the next token, if that is needed. It may run during the forward pass.
    pub(super) fn prepare(&mut self) {
        if self.is_unprepared() {
            let _span = tracing::trace_span!("mask").entered();
            // An error occurs again in `apply`, which returns it.
            self.mask = self.matcher.token_mask().ok();
        }
    }

    /// Masks the logits of tokens that the grammar does not allow. `remaining` is the token budget; `bytes` returns the
    /// bytes of a token.
    pub(super) fn apply<'a>(
        &mut self,
        logits: &mut [f32],
        remaining: usize,
        parser: &AnswerParser,
        bytes: impl Fn(u32) -> &'a [u8],
    ) -> Result<()> {
        if matches!(self.phase, Phase::Thinking) && parser.is_thinking() {
            if parser.has_pending() {
                // The closing tag may end: text behind it in the same token would escape the grammar.
                for &id in self.matcher.vocabulary().tag_straddling() {
                    logits[id as usize] = f32::NEG_INFINITY;
                }
            }
            return Ok(());
        }
        if matches!(self.phase, Phase::Thinking) {
            self.phase = Phase::Answer;
        }
        self.prepare();
        let mask = match self.mask.take() {
            Some(mask) => mask,
            None => self.matcher.token_mask()?,
        };
        match &self.phase {
            Phase::Start(tag)
                if !tag.is_empty() || remaining > self.shortest.unwrap_or(0) + 2 * END_OF_THINKING_TOKENS =>
            {
                let continues_tag = |id: u32| {
                    let bytes = bytes(id);
                    !bytes.is_empty()
                        && THINK_TAG.strip_prefix(tag.as_slice()).is_some_and(|rest| rest.starts_with(bytes))
                };
                let in_tag = !tag.is_empty();
                for (id, logit) in (0..).zip(logits) {
                    if !continues_tag(id) && (in_tag || !mask.contains(id)) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
            _ => mask.apply(logits),
        }
        self.mask = Some(mask);
        Ok(())
    }

    /// If emitting `id` would leave no room to finish the grammar within `remaining` tokens (counting `id`), returns
    /// the token to emit instead: the next token of the shortest completion, or an EOS token if the answer is complete.
    pub(super) fn closing_token(&self, id: u32, remaining: usize, eos_token_ids: &[u32]) -> Option<u32> {
        let in_grammar = match &self.phase {
            Phase::Start(tag) => tag.is_empty() && self.mask.as_ref().is_some_and(|mask| mask.contains(id)),
            Phase::Thinking => false,
            Phase::Answer => true,
        };
        if !self.must_close_soon(remaining) || !in_grammar || eos_token_ids.contains(&id) {
            return None;
        }
        let mut ahead = self.matcher.clone();
        // Beside the completion, `id` itself and the EOS token need room.
        let fits =
            ahead.push(id).is_ok() && ahead.shortest_completion().is_some_and(|tokens| tokens.len() + 2 <= remaining);
        if fits {
            return None;
        }
        let completion = self.matcher.shortest_completion()?;
        completion.first().or(eos_token_ids.first()).copied()
    }

    /// Advances by the sampled token, after the parser has seen it.
    pub(super) fn push(&mut self, id: u32, bytes: &[u8], parser: &AnswerParser) -> Result<()> {
        match &mut self.phase {
            Phase::Start(tag) => {
                let in_grammar = tag.is_empty() && self.mask.as_ref().is_none_or(|mask| mask.contains(id));
                if in_grammar {
                    self.phase = Phase::Answer;
                    self.mask = None;
                    return self.matcher.push(id);
                }
                tag.extend_from_slice(bytes);
                if parser.is_thinking() {
                    self.phase = Phase::Thinking;
                    self.mask = None;
                }
                Ok(())
            }
            Phase::Thinking => Ok(()),
            Phase::Answer => {
                self.mask = None;
                self.matcher.push(id)
            }
        }
    }

    /// True if the thinking must end so that an answer fits into `remaining` tokens.
    pub(super) fn must_end_thinking(&self, remaining: usize) -> bool {
        matches!(self.phase, Phase::Thinking) && remaining <= self.shortest.unwrap_or(0) + END_OF_THINKING_TOKENS
    }

    /// True if the budget is close to the shortest completion, so that every token must be checked with
    /// [`closing_token`](Self::closing_token).
    pub(super) fn must_close_soon(&self, remaining: usize) -> bool {
        self.shortest.is_some_and(|shortest| remaining <= CLOSING_MARGIN + shortest)
    }

    /// True within the thinking.
    pub(super) fn is_thinking(&self) -> bool {
        matches!(self.phase, Phase::Thinking)
    }

    /// True once the grammar is in force.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answer)
    }

    /// True if the answer is complete and nothing can follow.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Answer) && self.matcher.is_finished()
    }

    /// Tokens that the grammar forces next.
    pub(super) fn forced_tokens(&mut self) -> Vec<u32> {
        if matches!(self.phase, Phase::Answer) { self.matcher.forced_tokens() } else { Vec::new() }
    }
}

/// Runs `work`, and computes the masks of `constraints` on another thread meanwhile. If that cannot start, the masks
/// are computed when they are needed.
pub(super) fn overlap_with<T>(constraints: Vec<&mut Constraint>, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        if !constraints.is_empty() {
            let prepare = || constraints.into_iter().for_each(Constraint::prepare);
            drop(std::thread::Builder::new().spawn_scoped(scope, prepare));
        }
        work()
    })
}
