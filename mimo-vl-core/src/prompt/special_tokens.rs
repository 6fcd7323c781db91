//! The special tokens of a tokenizer, and their occurrences in a text.

/// A piece of a rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Ordinary text.
    Text(&'a str),
    /// A special token.
    Special(u32),
}

/// The special tokens of a tokenizer: text and id.
#[derive(Debug, Clone)]
pub(super) struct SpecialTokens {
    /// Sorted by length, longest first, so that the longest match wins.
    items: Vec<(String, u32)>,
    /// First characters of the tokens, sorted.
    first_chars: Vec<char>,
}

impl SpecialTokens {
    /// Collects tokens; empty texts are skipped, because they would match everywhere.
    pub(super) fn new(items: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut items: Vec<_> = items.into_iter().filter(|(text, _)| !text.is_empty()).collect();
        items.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut first_chars: Vec<char> = items.iter().filter_map(|(text, _)| text.chars().next()).collect();
        first_chars.sort_unstable();
        first_chars.dedup();
        Self { items, first_chars }
    }

    /// The text of a special token.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.items.iter().find(|(_, token)| *token == id).map(|(text, _)| text.as_str())
    }

    /// Splits a rendered prompt at its special tokens. No piece of text is empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for at in self.candidates(text) {
            // Skip candidates inside the special token that was just found.
            let Some(rest) = text.get(at..).filter(|_| at >= start) else { continue };
            let Some((literal, id)) = self.items.iter().find(|(literal, _)| rest.starts_with(literal)) else {
                continue;
            };
            if let Some(before) = text.get(start..at).filter(|before| !before.is_empty()) {
                pieces.push(Piece::Text(before));
            }
            pieces.push(Piece::Special(*id));
            start = at + literal.len();
        }
        if let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
            pieces.push(Piece::Text(rest));
        }
        pieces
    }

    /// Byte offsets in `text` at which a special token starts. Includes a prefix of a token at the end of `text`, which
    /// the text that follows may complete.
    pub(super) fn possible_starts<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.candidates(text).filter(move |&at| {
            let rest = text.get(at..).unwrap_or_default();
            self.items.iter().any(|(literal, _)| rest.starts_with(literal) || literal.starts_with(rest))
        })
    }

    /// Byte offsets of the characters that a special token can start with.
    fn candidates<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        text.char_indices().filter(|(_, c)| self.first_chars.contains(c)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn special_tokens() -> SpecialTokens {
        SpecialTokens::new([("<a>".to_owned(), 1), ("<a>b>".to_owned(), 2), ("é|".to_owned(), 3), (String::new(), 4)])
    }

    #[test]
    fn text_is_split_at_the_longest_special_token() {
        use Piece::{Special, Text};
        assert_eq!(special_tokens().split("x<a>y"), [Text("x"), Special(1), Text("y")]);
        assert_eq!(special_tokens().split("<a>b><a>b<a>"), [Special(2), Special(1), Text("b"), Special(1)]);
        assert_eq!(special_tokens().split("<<a>é|é"), [Text("<"), Special(1), Special(3), Text("é")]);
        assert_eq!(special_tokens().split(""), []);
    }

    #[test]
    fn tokens_are_found_by_id() {
        assert_eq!(
            [2, 3, 4, 5].map(|id| special_tokens().text(id).map(str::to_owned)),
            [Some("<a>b>".to_owned()), Some("é|".to_owned()), None, None]
        );
    }

    #[test]
    fn complete_tokens_and_prefixes_at_the_end_are_found() {
        let found = |text| special_tokens().possible_starts(text).collect::<Vec<_>>();
        assert_eq!(found("x<a>y"), [1]);
        assert_eq!(found("<a <a> <a"), [3, 7]);
        assert_eq!(found("日é"), [3]);
        assert_eq!(found("<b> plain"), [] as [usize; 0]);
    }
}
