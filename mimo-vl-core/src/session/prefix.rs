//! The cached tokens of a conversation, and their common prefix with another one.

use std::sync::Arc;

use super::media::MediaItem;

/// Tokens with the media among them: those in the cache, or those of an encoded conversation.
#[derive(Debug, Clone)]
pub(super) struct CachedPrefix<M = Arc<MediaItem>> {
    pub(super) ids: Vec<u32>,
    /// Placeholder ranges, ascending, without overlap.
    pub(super) spans: Vec<MediaSpan<M>>,
}

/// A range of placeholder tokens with the media item whose features replace them.
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
    /// Removes the tokens from index `len` on, and every item that loses one of its tokens.
    pub(super) fn truncate(&mut self, len: usize) {
        self.ids.truncate(len);
        self.spans.retain(|span| span.end() <= len);
    }

    /// Returns the number of tokens at the start of `other` that `self` has too.
    ///
    /// A media item is included entirely or not at all. At least the last token of `other` is excluded, because its
    /// logits are needed.
    pub(super) fn common_prefix_len(&self, other: &Self, same: impl Fn(&M, &M) -> bool) -> usize {
        let equal = self.ids.iter().zip(&other.ids).take_while(|(cached, other)| cached == other).count();
        let mut common = equal.min(other.ids.len().saturating_sub(1));
        for span in other.spans.iter().take_while(|span| span.start < equal) {
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

    /// Test tokens: letters stand for text, digits for media items of three tokens.
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

    fn common_prefix_len(cached: &str, other: &str) -> usize {
        tokens(cached).common_prefix_len(&tokens(other), |a, b| a == b)
    }

    #[test]
    fn text_is_shared_up_to_the_first_difference() {
        assert_eq!(common_prefix_len("", "abc"), 0);
        assert_eq!(common_prefix_len("ab", "abc"), 2);
        assert_eq!(common_prefix_len("abx", "abc"), 2);
        assert_eq!(common_prefix_len("abcdef", "abcx"), 3);
    }

    #[test]
    fn the_last_token_is_never_shared() {
        assert_eq!(common_prefix_len("abc", "abc"), 2);
        assert_eq!(common_prefix_len("abcd", "abc"), 2);
        assert_eq!(common_prefix_len("a", "a"), 0);
        assert_eq!(common_prefix_len("a", ""), 0);
    }

    #[test]
    fn media_are_shared_entirely_or_not_at_all() {
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
    fn adjacent_media_are_distinguished() {
        let mut joined = tokens("a12b");
        joined.spans = vec![MediaSpan { start: 1, len: 6, item: '1' }];
        assert_eq!(joined.common_prefix_len(&tokens("a12bc"), |a, b| a == b), 1);
        assert_eq!(tokens("a12b").common_prefix_len(&joined, |a, b| a == b), 1);
        assert_eq!(common_prefix_len("a12b", "a13b"), 4);
    }

    #[test]
    fn truncation_removes_media_that_lose_a_token() {
        let mut cached = tokens("a1b2");
        cached.truncate(7);
        assert_eq!((cached.ids.len(), cached.spans.len()), (7, 1));
        cached.truncate(4);
        assert_eq!((cached.ids.len(), cached.spans.len()), (4, 1));
        cached.truncate(3);
        assert_eq!((cached.ids.len(), cached.spans.len()), (3, 0));
    }
}
