//! The texts that stand for special tokens, and where they occur.

/// A part of a rendered prompt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// Ordinary text.
    Text(&'a str),
    /// A special token.
    Special(u32),
}

/// The special tokens of a tokenizer with the texts that stand for them.
#[derive(Debug, Clone)]
pub(super) struct SpecialTokens {
    /// Longest first, so that of two that match at one place the longer is found.
    items: Vec<(String, u32)>,
    /// The characters that any of them begins with.
    first: Vec<char>,
}

impl SpecialTokens {
    /// Empty texts are left out: they would match everywhere.
    pub(super) fn new(items: impl IntoIterator<Item = (String, u32)>) -> Self {
        let mut items: Vec<_> = items.into_iter().filter(|(text, _)| !text.is_empty()).collect();
        items.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        let mut first: Vec<char> = items.iter().filter_map(|(text, _)| text.chars().next()).collect();
        first.sort_unstable();
        first.dedup();
        Self { items, first }
    }

    /// The text of a special token.
    pub(super) fn text(&self, id: u32) -> Option<&str> {
        self.items.iter().find(|(_, of)| *of == id).map(|(text, _)| text.as_str())
    }

    /// Cut a rendered prompt at its special tokens. CheckpointFiles are never empty.
    pub(super) fn split<'a>(&self, text: &'a str) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        for at in self.candidates(text) {
            // Places inside a special token that was just found are not looked at again.
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

    /// Where in `text` a special token's text begins. One that `text` breaks off counts: what follows may complete it.
    pub(super) fn beginnings<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.candidates(text).filter(move |&at| {
            let rest = text.get(at..).unwrap_or_default();
            self.items.iter().any(|(literal, _)| rest.starts_with(literal) || literal.starts_with(rest))
        })
    }

    fn candidates<'a>(&'a self, text: &'a str) -> impl Iterator<Item = usize> + 'a {
        text.char_indices().filter(|(_, c)| self.first.contains(c)).map(|(at, _)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literals() -> SpecialTokens {
        SpecialTokens::new([("<a>".to_owned(), 1), ("<a>b>".to_owned(), 2), ("é|".to_owned(), 3), (String::new(), 4)])
    }

    #[test]
    fn splits_at_the_longest_special_token() {
        use Piece::{Special, Text};
        assert_eq!(literals().split("x<a>y"), [Text("x"), Special(1), Text("y")]);
        assert_eq!(literals().split("<a>b><a>b<a>"), [Special(2), Special(1), Text("b"), Special(1)]);
        assert_eq!(literals().split("<<a>é|é"), [Text("<"), Special(1), Special(3), Text("é")]);
        assert_eq!(literals().split(""), []);
    }

    #[test]
    fn knows_the_text_of_each() {
        assert_eq!(
            [2, 3, 4, 5].map(|id| literals().text(id).map(str::to_owned)),
            [Some("<a>b>".to_owned()), Some("é|".to_owned()), None, None]
        );
    }

    #[test]
    fn finds_whole_and_broken_off_beginnings() {
        let found = |text| literals().beginnings(text).collect::<Vec<_>>();
        assert_eq!(found("x<a>y"), [1]);
        assert_eq!(found("<a <a> <a"), [3, 7]);
        assert_eq!(found("日é"), [3]);
        assert_eq!(found("<b> plain"), [] as [usize; 0]);
    }
}
