//! Notices when an answer goes round in circles.

/// Times that a run of tokens must be there to count as repeated.
const TIMES: usize = 3;

/// Looks for a run of tokens that is repeated at the end of an answer.
#[derive(Debug, Clone)]
pub struct LoopDetector {
    /// Tokens that must be repetition; 0 to look for none.
    limit: usize,
    tokens: Vec<u32>,
    /// For each length of a run, how many of the last tokens equal the one a run before.
    equal: Vec<usize>,
}

impl LoopDetector {
    /// To find repetition in the last `limit` tokens; 0 finds none.
    pub fn new(limit: usize) -> Self {
        Self { limit, tokens: Vec::new(), equal: vec![0; limit / TIMES] }
    }

    /// Take in the next token; gives whether the last `limit` tokens are a run of tokens at least three times.
    pub fn push(&mut self, id: u32) -> bool {
        if self.limit == 0 {
            return false;
        }
        for (index, equal) in self.equal.iter_mut().enumerate() {
            let before = self.tokens.len().checked_sub(index + 1).map(|at| self.tokens[at]);
            *equal = if before == Some(id) { *equal + 1 } else { 0 };
        }
        self.tokens.push(id);
        self.equal.iter().enumerate().any(|(index, equal)| equal + index + 1 >= self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After how many tokens repetition is found.
    fn found(limit: usize, tokens: impl Iterator<Item = u32>) -> Option<usize> {
        let mut repetition = LoopDetector::new(limit);
        tokens.map(|id| repetition.push(id)).position(|found| found).map(|index| index + 1)
    }

    #[test]
    fn runs_of_every_length_are_found() {
        assert_eq!(found(16, std::iter::repeat_n(7, 40)), Some(16));
        assert_eq!(found(30, [1, 2, 3].into_iter().chain((0..200).map(|n| n % 10))), Some(33));
        assert_eq!(found(30, (0..200).map(|n| n % 11)), None, "not three times in 30 tokens");
        assert_eq!(found(16, (0..500).map(|n| n * n % 251)), None);
        assert_eq!(found(0, std::iter::repeat_n(7, 40)), None);
    }
}
