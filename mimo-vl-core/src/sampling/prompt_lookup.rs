//! Guesses of what comes next, looked up in what was there before.

/// Most tokens that are guessed at a time: with the one before them, as many rows as the kernels give results for that
/// do not depend on their number.
pub const MAX_DRAFT_TOKENS: usize = 7;

/// Tokens that must be the same before a guess.
const LONGEST: usize = 3;
const SHORTEST: usize = 2;

/// What followed the last place in `tokens` where its last few tokens stood before, at most `most` tokens; empty where
/// they are new (Saxena, "Prompt Lookup Decoding", 2023).
pub fn prompt_lookup(tokens: &[u32], most: usize) -> &[u32] {
    for count in (SHORTEST..=LONGEST).rev() {
        let Some(start) = tokens.len().checked_sub(count) else { continue };
        let end = &tokens[start..];
        // The place itself does not count, and a token must follow.
        if let Some(place) = tokens[..tokens.len() - 1].windows(count).rposition(|window| window == end) {
            let next = place + count;
            return &tokens[next..tokens.len().min(next + most)];
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_and_longest_match_is_followed() {
        let tokens = [1, 2, 3, 4, 5, 9, 2, 3, 6, 7, 1, 2, 3];
        assert_eq!(prompt_lookup(&tokens, 3), [4, 5, 9], "three tokens are alike at the start");
        assert_eq!(prompt_lookup(&tokens, 1), [4]);
        let tokens = [5, 2, 3, 4, 8, 2, 3, 6, 7, 2, 3];
        assert_eq!(prompt_lookup(&tokens, 2), [6, 7], "two tokens are alike twice");
        assert_eq!(prompt_lookup(&[4, 4, 4, 4], 7), [4], "a run repeats itself");
        assert!(prompt_lookup(&[1, 2, 3, 4], 7).is_empty());
        assert!(prompt_lookup(&[1, 2], 7).is_empty() && prompt_lookup(&[], 7).is_empty());
        assert!(prompt_lookup(&tokens, 0).is_empty());
    }
}
