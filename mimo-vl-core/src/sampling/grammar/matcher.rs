//! The state of an answer in its grammar.

use std::fmt;

use llguidance::Matcher;
use llguidance::toktrie::SimpleVob;

use super::compile::Grammar;
use super::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// Digits of a JSON number in a row after which it ends, if the grammar allows that. A schema without bounds allows
/// numbers without end.
const MAX_DIGITS: usize = 20;

/// Maximum length of a completion that is searched for, in tokens.
const MAX_COMPLETION: usize = 512;

/// The state of an answer in its grammar. Clones are independent.
#[derive(Clone)]
pub struct GrammarMatcher {
    vocabulary: Vocabulary,
    matcher: Matcher,
    position: Position,
    /// Digits in a row are limited, where the grammar allows something else.
    limit_digits: bool,
}

/// The position in a text with quoted strings.
#[derive(Debug, Clone, Copy, Default)]
struct Position {
    in_string: bool,
    escaped: bool,
    /// Digits just before, outside of strings.
    digits: usize,
}

impl Position {
    fn push(&mut self, byte: u8) {
        let escaped = std::mem::take(&mut self.escaped);
        match byte {
            b'\\' if self.in_string => self.escaped = !escaped,
            b'"' if !escaped => self.in_string = !self.in_string,
            _ => {}
        }
        self.digits = if byte.is_ascii_digit() && !self.in_string { self.digits + 1 } else { 0 };
    }
}

/// The set of allowed next tokens, as a bit set.
#[derive(Clone)]
pub struct TokenMask(SimpleVob);

impl TokenMask {
    /// Sets the logits of all other tokens to −∞.
    pub fn apply(&self, logits: &mut [f32]) {
        for (id, logit) in (0..).zip(logits) {
            if !self.contains(id) {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    /// Returns `true` if the token is allowed.
    pub fn contains(&self, id: u32) -> bool {
        (id as usize) < self.0.len() && self.0.is_allowed(id)
    }
}

impl GrammarMatcher {
    /// Creates the state at the start of an answer, for an image that the model sees with this width and height, in
    /// pixels.
    ///
    /// # Errors
    /// [`Error::Option`] when the grammar is invalid, or no text matches it.
    pub fn new(grammar: &Grammar, vocabulary: &Vocabulary, image_size: (usize, usize)) -> Result<Self> {
        let parser = vocabulary.factory().create_parser(grammar.compile(image_size)?);
        let matcher = Matcher::new(parser);
        if let Some(error) = matcher.get_error() {
            return Err(Error::option("grammar", message(&error)));
        }
        let (position, limit_digits) = (Position::default(), grammar.has_json());
        let mut start = Self { vocabulary: vocabulary.clone(), matcher, position, limit_digits };
        match start.token_mask() {
            Ok(mask) if !mask.0.is_zero() => Ok(start),
            Ok(_) => Err(Error::option("grammar", "no text matches it")),
            Err(error) => Err(Error::option("grammar", error.to_string())),
        }
    }

    /// Computes the allowed next tokens: only end-of-sequence tokens once the grammar is finished.
    ///
    /// # Errors
    /// [`Error::Answer`] when the grammar exceeds the limits of time or memory.
    pub fn token_mask(&mut self) -> Result<TokenMask> {
        let mask = self.matcher.compute_mask_or_eos().map_err(|error| failed(&error))?;
        if self.limit_digits && self.position.digits >= MAX_DIGITS {
            let mut others = mask.clone();
            self.vocabulary.digit_tokens().iter().for_each(|&id| others.disallow_token(id));
            if !others.is_zero() {
                return Ok(TokenMask(others));
            }
        }
        Ok(TokenMask(mask))
    }

    /// Advances by one token.
    ///
    /// # Errors
    /// [`Error::Answer`] when it is not allowed.
    pub fn push(&mut self, id: u32) -> Result<()> {
        self.matcher.consume_token(id).map_err(|error| failed(&error))?;
        self.vocabulary.bytes(id).iter().for_each(|&byte| self.position.push(byte));
        Ok(())
    }

    /// The vocabulary that the state was created with.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Returns `true` if the grammar is finished: no token can follow.
    pub fn is_finished(&self) -> bool {
        self.matcher.is_stopped()
    }

    /// The next tokens as far as the grammar allows only one; empty where it allows several. llguidance calls them
    /// fast-forward tokens.
    pub fn forced_tokens(&mut self) -> Vec<u32> {
        self.matcher.compute_ff_tokens()
    }

    /// A short completion: tokens after which the answer may end. Found greedily; `None` when it would be longer than
    /// 512 tokens.
    pub fn shortest_completion(&self) -> Option<Vec<u32>> {
        let mut ahead = self.clone();
        let mut completion = Vec::new();
        while completion.len() <= MAX_COMPLETION {
            if ahead.is_finished() || ahead.matcher.is_accepting().ok()? {
                return Some(completion);
            }
            let id = ahead.completing_token()?;
            ahead.push(id).ok()?;
            completion.push(id);
        }
        None
    }

    /// A token towards the end of the grammar: one that closes strings or brackets, else the shortest allowed token.
    fn completing_token(&mut self) -> Option<u32> {
        let mask = self.token_mask().ok()?;
        let closing =
            self.vocabulary.closing_tokens(self.position.in_string).iter().copied().find(|&id| mask.contains(id));
        closing.or_else(|| mask.0.iter().min_by_key(|&id| self.vocabulary.bytes(id).len()))
    }
}

fn failed(error: &impl fmt::Display) -> Error {
    Error::answer(format!("its grammar cannot be followed: {}", message(error)))
}

/// The message of an error of llguidance without its debugging output.
fn message(error: &impl fmt::Display) -> String {
    error.to_string().replace("<non-verbose/>", "").trim().to_owned()
}

impl fmt::Debug for GrammarMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrammarMatcher").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
