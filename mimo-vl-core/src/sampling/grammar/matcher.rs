//! Follows an answer through its grammar.

use std::fmt;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::Grammar;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// Most tokens that are looked ahead for an end.
const FARTHEST_END: usize = 512;

/// Where an answer stands in its grammar.
#[derive(Clone)]
pub struct GrammarMatcher {
    vocabulary: Vocabulary,
    matcher: Matcher,
    quotes: Quotes,
}

/// Whether the text stands between quotation marks.
#[derive(Debug, Clone, Copy, Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    fn push(&mut self, byte: u8) {
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'\\' if self.open => self.escaped = !escaped,
            b'"' if !escaped => self.open = !self.open,
            _ => {}
        }
    }
}

/// Which tokens may come next, a bit for each.
#[derive(Clone)]
pub struct TokenMask(SimpleVob);

impl TokenMask {
    /// Forbid all other tokens: their logits become −∞.
    pub fn apply(&self, logits: &mut [f32]) {
        for (id, logit) in (0..).zip(logits) {
            if !self.contains(id) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// Whether a token may come next.
    pub fn contains(&self, id: u32) -> bool {
        (id as usize) < self.0.len() && self.0.is_allowed(id)
    }
}

impl GrammarMatcher {
    /// At the start of an answer about a picture that the model sees with this width and height.
    ///
    /// # Errors
    /// [`Error::Option`] when the grammar cannot be read, or nothing fulfils it.
    pub fn new(grammar: &Grammar, vocabulary: &Vocabulary, picture: (usize, usize)) -> Result<Self> {
        let parser = vocabulary.factory().create_parser(grammar.compile(picture)?);
        let matcher = Matcher::new(parser);
        if let Some(error) = matcher.get_error() {
            return Err(Error::option("grammar", plain(&error)));
        }
        let mut started = Self { vocabulary: vocabulary.clone(), matcher, quotes: Quotes::default() };
        match started.allowed() {
            Ok(allowed) if !allowed.0.is_zero() => Ok(started),
            Ok(_) => Err(Error::option("grammar", "nothing fulfils it")),
            Err(error) => Err(Error::option("grammar", error.to_string())),
        }
    }

    /// Which tokens may come next; only those that end the answer once nothing else may.
    ///
    /// # Errors
    /// [`Error::Answer`] when the grammar takes too much time or memory.
    pub fn allowed(&mut self) -> Result<TokenMask> {
        self.matcher.compute_mask_or_eos().map(TokenMask).map_err(|error| failed(&error))
    }

    /// Take in the next token.
    ///
    /// # Errors
    /// [`Error::Answer`] when it is not allowed.
    pub fn push(&mut self, id: u32) -> Result<()> {
        self.matcher.consume_token(id).map_err(|error| failed(&error))?;
        self.vocabulary.bytes(id).iter().for_each(|&byte| self.quotes.push(byte));
        Ok(())
    }

    /// The vocabulary.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Whether nothing can follow.
    pub fn is_over(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// Tokens that come next whatever the model says, as far as they are known; none where there is a choice.
    pub fn forced(&mut self) -> Vec<u32> {
        self.matcher.compute_ff_tokens()
    }

    /// A short way to the end: tokens of which the last is allowed to be followed by the end of the answer. `None` when none
    /// was found.
    pub fn shortest_completion(&self) -> Option<Vec<u32>> {
        let mut ahead = self.clone();
        let mut way = Vec::new();
        while way.len() <= FARTHEST_END {
            if ahead.is_over() || ahead.matcher.is_accepting().ok()? {
                return Some(way);
            }
            let id = ahead.toward_end()?;
            ahead.push(id).ok()?;
            way.push(id);
        }
        None
    }

    /// A token that brings the end nearer: one that closes what is open, else the shortest that is allowed.
    fn toward_end(&mut self) -> Option<u32> {
        let allowed = self.allowed().ok()?;
        let closing = self.vocabulary.closing(self.quotes.open).iter().copied().find(|&id| allowed.contains(id));
        closing.or_else(|| allowed.0.iter().min_by_key(|&id| self.vocabulary.bytes(id).len()))
    }
}

fn failed(error: &impl fmt::Display) -> Error {
    Error::answer(format!("its grammar cannot be followed: {}", plain(error)))
}

/// What went wrong, without what the crate adds for its own debugging.
fn plain(error: &impl fmt::Display) -> String {
    error.to_string().replace("<non-verbose/>", "").trim().to_owned()
}

impl fmt::Debug for GrammarMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarMatcher").field("over", &self.is_over()).finish_non_exhaustive()
    }
}
