//! Keeps text that somebody typed from turning into special tokens.
//!
//! Chat templates write special tokens and messages into one string, so `<|image_pad|>` typed by a user would look
//! like a picture's place, and `<|im_end|>` like the end of the turn. A mark, a private-use character that the
//! conversation does not contain, is therefore put behind the first character of every such text before the
//! template runs, and is taken out again when the rendered prompt has been cut at the special tokens that the
//! template itself wrote.

use std::borrow::Cow;

use super::special_tokens::SpecialTokens;
use crate::error::{Error, Result};

/// Unicode's private-use characters of the basic plane: none of them has a meaning in a prompt.
const MARKS: std::ops::RangeInclusive<char> = '\u{E000}'..='\u{F8FF}';

/// One prompt's mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpecialTokenEscaper {
    mark: char,
}

impl SpecialTokenEscaper {
    /// Choose a mark that occurs in none of `texts`.
    pub(super) fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let used: std::collections::HashSet<char> =
            texts.into_iter().flat_map(str::chars).filter(|c| MARKS.contains(c)).collect();
        let mark = MARKS.into_iter().find(|mark| !used.contains(mark));
        match mark {
            Some(mark) => Ok(Self { mark }),
            None => Err(Error::prompt("it uses every private-use character from U+E000 to U+F8FF: leave one out")),
        }
    }

    /// `text` with the mark inside everything that is, or could become, a special token.
    pub(super) fn protect<'a>(&self, text: &'a str, literals: &SpecialTokens) -> Cow<'a, str> {
        let mut protected = String::new();
        let mut start = 0;
        for at in literals.beginnings(text) {
            let after = at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
            protected.push_str(text.get(start..after).unwrap_or_default());
            protected.push(self.mark);
            start = after;
        }
        if start == 0 {
            return Cow::Borrowed(text);
        }
        protected.push_str(text.get(start..).unwrap_or_default());
        Cow::Owned(protected)
    }

    /// The text that was protected.
    pub(super) fn restore<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if text.contains(self.mark) { Cow::Owned(text.replace(self.mark, "")) } else { Cow::Borrowed(text) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::prompt::special_tokens::Piece;

    #[test]
    fn protected_text_has_no_special_token_even_across_parts() {
        let literals = SpecialTokens::new([("<|pad|>".to_owned(), 7)]);
        let guard = SpecialTokenEscaper::new(["\u{E000} taken"]).unwrap();
        for parts in [["a<|pad|>b", "c"], ["x<|p", "ad|>y"], ["<", "|pad|>"], ["<<|pad|>|pad|>", ""], ["\u{E000}", "<"]]
        {
            let rendered: String = parts.iter().map(|part| guard.protect(part, &literals)).collect();
            match &literals.split(&rendered)[..] {
                [Piece::Text(text)] => assert_eq!(guard.restore(text), parts.concat()),
                other => panic!("{parts:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_prompt_of_all_marks_is_refused() {
        let all: String = MARKS.collect();
        assert!(matches!(SpecialTokenEscaper::new([all.as_str()]), Err(Error::Prompt { .. })));
    }
}
