//! Keeps an answer to its grammar, from the end of the thinking on.

use crate::answer::AnswerParser;
use crate::error::Result;
use crate::sampling::{GrammarMatcher, TokenMask};

const OPEN: &[u8] = b"<think>";

/// CachedPrefix that the end of the thinking may take, and some to spare.
const END_OF_THINKING: usize = 16;

/// CachedPrefix left, beside those of a short answer, below which each token is chosen so that an end fits.
const CLOSING_MARGIN: usize = 256;

/// An answer that is bound by a grammar.
#[derive(Clone)]
pub(super) struct Constraint {
    matcher: GrammarMatcher,
    phase: Phase,
    /// How many tokens a short answer has; `None` where no way to an end was found.
    shortest: Option<usize>,
    /// What may come next, if it is known already.
    next: Option<TokenMask>,
}

/// Where in an answer the next token stands.
#[derive(Clone)]
enum Phase {
    /// Before everything; some of the tag that opens the thinking may be there.
    Start(Vec<u8>),
    Thinking,
    Answer,
}

impl Constraint {
    /// `may_think`: thinking may come before the answer; `thinks`: its tag is there already.
    pub(super) fn new(matcher: GrammarMatcher, may_think: bool, thinks: bool) -> Self {
        let phase = match (thinks, may_think) {
            (true, _) => Phase::Thinking,
            (false, true) => Phase::Start(Vec::new()),
            (false, false) => Phase::Answer,
        };
        let shortest = matcher.shortest_completion().map(|way| way.len());
        Self { matcher, phase, shortest, next: None }
    }

    /// Whether what may come next is to be worked out.
    pub(super) fn is_unprepared(&self) -> bool {
        self.next.is_none() && !self.is_thinking()
    }

    /// Work out what may come next; for while the model is at work.
    pub(super) fn prepare(&mut self) {
        if self.is_unprepared() {
            let _span = tracing::trace_span!("mask").entered();
            // An error comes again when the answer goes on.
            self.next = self.matcher.token_mask().ok();
        }
    }

    /// Forbid what may not come next, of `remaining` tokens at most; `bytes` gives those of a token.
    pub(super) fn apply<'a>(
        &mut self,
        logits: &mut [f32],
        remaining: usize,
        parser: &AnswerParser,
        bytes: impl Fn(u32) -> &'a [u8],
    ) -> Result<()> {
        if matches!(self.phase, Phase::Thinking) && parser.is_thinking() {
            if parser.has_pending() {
                // The tag may end: what follows it in the same token would be beyond the grammar.
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
        let allowed = match self.next.take() {
            Some(allowed) => allowed,
            None => self.matcher.token_mask()?,
        };
        match &self.phase {
            Phase::Start(tag) if !tag.is_empty() || remaining > self.shortest.unwrap_or(0) + 2 * END_OF_THINKING => {
                let opens = |id: u32| {
                    let more = bytes(id);
                    !more.is_empty() && OPEN.strip_prefix(tag.as_slice()).is_some_and(|rest| rest.starts_with(more))
                };
                let begun = !tag.is_empty();
                for (id, logit) in (0..).zip(logits) {
                    if !opens(id) && (begun || !allowed.contains(id)) {
                        *logit = f32::NEG_INFINITY;
                    }
                }
            }
            _ => allowed.apply(logits),
        }
        self.next = Some(allowed);
        Ok(())
    }

    /// What must come instead of a token after which no end would fit into `remaining` tokens, itself included: the first
    /// token on the way to the end, or one of `ends` where the answer is whole.
    pub(super) fn closing_token(&self, id: u32, remaining: usize, ends: &[u32]) -> Option<u32> {
        let of_grammar = match &self.phase {
            Phase::Start(tag) => tag.is_empty() && self.next.as_ref().is_some_and(|allowed| allowed.contains(id)),
            Phase::Thinking => false,
            Phase::Answer => true,
        };
        if !self.must_close_soon(remaining) || !of_grammar || ends.contains(&id) {
            return None;
        }
        let mut ahead = self.matcher.clone();
        let fits = ahead.push(id).is_ok() && ahead.shortest_completion().is_some_and(|way| way.len() + 2 <= remaining);
        if fits {
            return None;
        }
        let way = self.matcher.shortest_completion()?;
        way.first().or(ends.first()).copied()
    }

    /// Take in the token that was chosen, after the parser did.
    pub(super) fn push(&mut self, id: u32, bytes: &[u8], parser: &AnswerParser) -> Result<()> {
        match &mut self.phase {
            Phase::Start(tag) => {
                let of_grammar = tag.is_empty() && self.next.as_ref().is_none_or(|allowed| allowed.contains(id));
                if of_grammar {
                    self.phase = Phase::Answer;
                    self.next = None;
                    return self.matcher.push(id);
                }
                tag.extend_from_slice(bytes);
                if parser.is_thinking() {
                    self.phase = Phase::Thinking;
                    self.next = None;
                }
                Ok(())
            }
            Phase::Thinking => Ok(()),
            Phase::Answer => {
                self.next = None;
                self.matcher.push(id)
            }
        }
    }

    /// Whether thinking must end so that an answer fits into `remaining` tokens.
    pub(super) fn must_end_thinking(&self, remaining: usize) -> bool {
        matches!(self.phase, Phase::Thinking) && remaining <= self.shortest.unwrap_or(0) + END_OF_THINKING
    }

    /// Whether so few tokens are left that each is chosen so that an end fits.
    pub(super) fn must_close_soon(&self, remaining: usize) -> bool {
        self.shortest.is_some_and(|shortest| remaining <= CLOSING_MARGIN + shortest)
    }

    pub(super) fn is_thinking(&self) -> bool {
        matches!(self.phase, Phase::Thinking)
    }

    /// Whether the grammar holds already.
    pub(super) fn is_answering(&self) -> bool {
        matches!(self.phase, Phase::Answer)
    }

    /// Whether the answer is whole and nothing can follow.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.phase, Phase::Answer) && self.matcher.is_finished()
    }

    /// CachedPrefix that come next whatever the model says.
    pub(super) fn forced(&mut self) -> Vec<u32> {
        if matches!(self.phase, Phase::Answer) { self.matcher.forced_tokens() } else { Vec::new() }
    }
}

/// Work out what may come next, on a thread of its own, while the model is at work. Without a thread it is worked out when
/// it is needed.
pub(super) fn overlap_with<T>(constraints: Vec<&mut Constraint>, work: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        if !constraints.is_empty() {
            let prepare = || constraints.into_iter().for_each(Constraint::prepare);
            drop(std::thread::Builder::new().spawn_scoped(scope, prepare));
        }
        work()
    })
}
