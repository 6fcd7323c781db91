//! Escapes special tokens in the caller's text.
//!
//! Chat templates write special tokens and messages into one string, so `<|image_pad|>` typed by a user would be
//! taken for an image placeholder, and `<|im_end|>` for the end of the message. An escape character, a private-use
//! character that the conversation does not contain, is therefore inserted after the first character of every such
//! text before the template runs. It is removed once the rendered prompt has been split at the special tokens that
//! the template itself wrote.

use std::borrow::Cow;

use super::special_tokens::SpecialTokens;
use crate::error::{Error, Result};

/// Unicode's private-use characters of the basic plane; none has a meaning in a prompt.
const ESCAPES: std::ops::RangeInclusive<char> = '\u{E000}'..='\u{F8FF}';

/// The escape character of one prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpecialTokenEscaper {
    escape: char,
}

impl SpecialTokenEscaper {
    /// Chooses an escape character that occurs in none of `texts`.
    ///
    /// # Errors
    /// [`Error::Prompt`] when `texts` contain all of [`ESCAPES`].
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let used: std::collections::HashSet<char> =
            texts.into_iter().flat_map(str::chars).filter(|c| ESCAPES.contains(c)).collect();
        match ESCAPES.into_iter().find(|escape| !used.contains(escape)) {
            Some(escape) => Ok(Self { escape }),
            None => Err(Error::prompt("it uses every private-use character from U+E000 to U+F8FF: leave one out")),
        }
    }

    /// Escapes everything in `text` that is a special token, or could become one with the text that follows.
    pub(super) fn escape<'a>(&self, text: &'a str, special_tokens: &SpecialTokens) -> Cow<'a, str> {
        let mut escaped = String::new();
        let mut start = 0;
        for at in special_tokens.possible_starts(text) {
            let after = at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            escaped.push_str(text.get(start..after).unwrap_or_default());
            escaped.push(self.escape);
            start = after;
        }
        if start == 0 {
            return Cow::Borrowed(text);
        }
        escaped.push_str(text.get(start..).unwrap_or_default());
        Cow::Owned(escaped)
    }

    /// Removes the escape character: the inverse of [`escape`](Self::escape).
    pub(super) fn unescape<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.contains(self.escape) { Cow::Owned(text.replace(self.escape, "")) } else { Cow::Borrowed(text) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::prompt::special_tokens::Piece;

    #[test]
    fn escaped_text_has_no_special_token_even_across_parts() {
        let special_tokens = SpecialTokens::new([("<|pad|>".to_owned(), 7)]);
        let escaper = SpecialTokenEscaper::new(["\u{E000} taken"]).unwrap();
        for parts in [["a<|pad|>b", "c"], ["x<|p", "ad|>y"], ["<", "|pad|>"], ["<<|pad|>|pad|>", ""], ["\u{E000}", "<"]]
        {
            let rendered: String = parts.iter().map(|part| escaper.escape(part, &special_tokens)).collect();
            match &special_tokens.split(&rendered)[..] {
                [Piece::Text(text)] => assert_eq!(escaper.unescape(text), parts.concat()),
                other => panic!("{parts:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_prompt_with_every_escape_character_is_an_error() {
        let all: String = ESCAPES.collect();
        assert!(matches!(SpecialTokenEscaper::new([all.as_str()]), Err(Error::Prompt { .. })));
    }
}
