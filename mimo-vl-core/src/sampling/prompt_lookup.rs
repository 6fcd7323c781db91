//! Prompt lookup decoding: draft tokens from earlier occurrences of the last n-gram.

/// Maximum number of draft tokens. With the token before them they are 8 rows, up to which the kernels are
/// batch-invariant: a row's result does not depend on the other rows.
pub const MAX_DRAFT_TOKENS: usize = 7;

/// Longest n-gram that is looked up, in tokens.
const MAX_NGRAM: usize = 3;

/// Shortest n-gram that is looked up, in tokens.
const MIN_NGRAM: usize = 2;

/// Finds the latest earlier occurrence of the trailing n-gram of `tokens` (n = 3, then 2) and returns up to `max_draft`
/// tokens that followed it; empty if there is none (Saxena, "Prompt Lookup Decoding", 2023).
pub fn prompt_lookup(tokens: &[u32], max_draft: usize) -> &[u32] {
    for n in (MIN_NGRAM..=MAX_NGRAM).rev() {
        let Some(start) = tokens.len().checked_sub(n) else { continue };
        let ngram = &tokens[start..];
        // Exclude the trailing n-gram itself: at least one token must follow the match.
        if let Some(found) = tokens[..tokens.len() - 1].windows(n).rposition(|window| window == ngram) {
            let next = found + n;
            return &tokens[next..tokens.len().min(next + max_draft)];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_and_latest_match_is_used() {
        let tokens = [1, 2, 3, 4, 5, 9, 2, 3, 6, 7, 1, 2, 3];
        assert_eq!(prompt_lookup(&tokens, 3), [4, 5, 9], "a match of three tokens is preferred");
        assert_eq!(prompt_lookup(&tokens, 1), [4]);
        let tokens = [5, 2, 3, 4, 8, 2, 3, 6, 7, 2, 3];
        assert_eq!(prompt_lookup(&tokens, 2), [6, 7], "the latest of two matches is used");
        assert_eq!(prompt_lookup(&[4, 4, 4, 4], 7), [4], "a match may overlap the trailing n-gram");
        assert!(prompt_lookup(&[1, 2, 3, 4], 7).is_empty());
        assert!(prompt_lookup(&[1, 2], 7).is_empty() && prompt_lookup(&[], 7).is_empty());
        assert!(prompt_lookup(&tokens, 0).is_empty());
    }
}
