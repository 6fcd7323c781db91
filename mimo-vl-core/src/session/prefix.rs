//! What of a conversation the cache holds already.

use std::sync::Arc;

use super::media::MediaItem;

/// CachedPrefix with the media among them: those that the cache holds, or those of a conversation.
#[derive(Debug, Clone)]
pub(super) struct CachedPrefix<M = Arc<MediaItem>> {
    pub(super) ids: Vec<u32>,
    /// In order, without overlap.
    pub(super) spans: Vec<MediaSpan<M>>,
}

/// A run of tokens that hold the features of one item.
#[derive(Debug, Clone)]
pub(super) struct MediaSpan<M = Arc<MediaItem>> {
    pub(super) start: usize,
    pub(super) len: usize,
    pub(super) item: M,
}

impl<M> Default for CachedPrefix<M> {
    fn default() -> Self {
        Self { ids: Vec::new(), spans: Vec::new() }
    }
}

impl<M> MediaSpan<M> {
    fn end(&self) -> usize {
        self.start + self.len
    }
}

impl<M> CachedPrefix<M> {
    /// Forget every token from `len` on, and every item that loses one.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.spans.retain(|span| span.end() <= len);
    }

    /// How many tokens at the start of `wanted` are in `self` already.
    ///
    /// A item counts as a whole or not at all. At least one token of `wanted` is left, since the logits of the
    /// last one are needed.
    pub(super) fn common_prefix_len(&self, wanted: &Self, same: impl Fn(&M, &M) -> bool) -> usize {
        let equal = self.ids.iter().zip(&wanted.ids).take_while(|(cached, wanted)| cached == wanted).count();
        let mut common = equal.min(wanted.ids.len().saturating_sub(1));
        for span in wanted.spans.iter().take_while(|span| span.start < equal) {
            let cached = self
                .spans
                .iter()
                .any(|cached| (cached.start, cached.len) == (span.start, span.len) && same(&cached.item, &span.item));
            if !cached || span.end() > common {
                common = common.min(span.start);
            }
        }
        common
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAD: u32 = 99;

    /// Text as letters; media as digits, three tokens each.
    fn tokens(text: &str) -> CachedPrefix<char> {
        let mut tokens = CachedPrefix::default();
        for letter in text.chars() {
            let start = tokens.ids.len();
            if letter.is_ascii_digit() {
                tokens.ids.extend([PAD; 3]);
                tokens.spans.push(MediaSpan { start, len: 3, item: letter });
            } else {
                tokens.ids.push(letter as u32);
            }
        }
        tokens
    }

    fn common_prefix_len(cached: &str, wanted: &str) -> usize {
        tokens(cached).common_prefix_len(&tokens(wanted), |a, b| a == b)
    }

    #[test]
    fn text_counts_up_to_the_first_difference() {
        assert_eq!(common_prefix_len("", "abc"), 0);
        assert_eq!(common_prefix_len("ab", "abc"), 2);
        assert_eq!(common_prefix_len("abx", "abc"), 2);
        assert_eq!(common_prefix_len("abcdef", "abcx"), 3);
    }

    #[test]
    fn the_last_token_is_always_left() {
        assert_eq!(common_prefix_len("abc", "abc"), 2);
        assert_eq!(common_prefix_len("abcd", "abc"), 2);
        assert_eq!(common_prefix_len("a", "a"), 0);
        assert_eq!(common_prefix_len("a", ""), 0);
    }

    #[test]
    fn media_count_as_a_whole() {
        assert_eq!(common_prefix_len("a1b", "a1bc"), 5);
        assert_eq!(common_prefix_len("a1b", "a2bc"), 1, "another item of the same size");
        assert_eq!(common_prefix_len("a1b2c", "a1b3cd"), 5);
        assert_eq!(common_prefix_len("a1", "a1"), 1, "the last token lies in the item");
        assert_eq!(common_prefix_len("1", "1"), 0);
    }

    #[test]
    fn media_of_another_size_do_not_match() {
        let mut cached = tokens("a1b");
        cached.ids = vec![u32::from(b'a'), PAD, PAD];
        cached.spans = vec![MediaSpan { start: 1, len: 2, item: '1' }];
        assert_eq!(cached.common_prefix_len(&tokens("a1b"), |a, b| a == b), 1);
    }

    #[test]
    fn neighbours_are_told_apart() {
        let mut joined = tokens("a12b");
        joined.spans = vec![MediaSpan { start: 1, len: 6, item: '1' }];
        assert_eq!(joined.common_prefix_len(&tokens("a12bc"), |a, b| a == b), 1);
        assert_eq!(tokens("a12b").common_prefix_len(&joined, |a, b| a == b), 1);
        assert_eq!(common_prefix_len("a12b", "a13b"), 4);
    }

    #[test]
    fn truncating_drops_media_that_lose_a_token() {
        let mut cached = tokens("a1b2");
        cached.truncate(7);
        assert_eq!((cached.ids.len(), cached.spans.len()), (7, 1));
        cached.truncate(4);
        assert_eq!((cached.ids.len(), cached.spans.len()), (4, 1));
        cached.truncate(3);
        assert_eq!((cached.ids.len(), cached.spans.len()), (3, 0));
    }
}
