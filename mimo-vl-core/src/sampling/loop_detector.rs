//! Detection of answers that repeat themselves.

/// Number of occurrences that make a sequence a loop.
const MIN_REPEATS: usize = 3;

/// Detects a sequence of tokens that is repeated at the end of an answer.
#[derive(Debug, Clone)]
pub struct LoopDetector {
    /// Number of tokens that must be a repetition; 0 is off.
    window: usize,
    tokens: Vec<u32>,
    /// For each period, counted from 1, the number of last tokens that equal the token one period before.
    matches: Vec<usize>,
}

impl LoopDetector {
    /// Creates a detector for repetition in the last `window` tokens; 0 disables it.
    pub fn new(window: usize) -> Self {
        Self { window, tokens: Vec::new(), matches: vec![0; window / MIN_REPEATS] }
    }

    /// Appends a token. Returns `true` when the last `window` tokens are one sequence repeated at least three times.
    pub fn push(&mut self, id: u32) -> bool {
        if self.window == 0 {
            return false;
        }
        for (index, matches) in self.matches.iter_mut().enumerate() {
            let before = self.tokens.len().checked_sub(index + 1).map(|at| self.tokens[at]);
            *matches = if before == Some(id) { *matches + 1 } else { 0 };
        }
        self.tokens.push(id);
        self.matches.iter().enumerate().any(|(index, matches)| matches + index + 1 >= self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number of tokens after which a loop is detected.
    fn detected(window: usize, tokens: impl Iterator<Item = u32>) -> Option<usize> {
        let mut detector = LoopDetector::new(window);
        tokens.map(|id| detector.push(id)).position(|detected| detected).map(|index| index + 1)
    }

    #[test]
    fn loops_of_every_period_are_detected() {
        assert_eq!(detected(16, std::iter::repeat_n(7, 40)), Some(16));
        assert_eq!(detected(30, [1, 2, 3].into_iter().chain((0..200).map(|n| n % 10))), Some(33));
        assert_eq!(detected(30, (0..200).map(|n| n % 11)), None, "not three times in 30 tokens");
        assert_eq!(detected(16, (0..500).map(|n| n * n % 251)), None);
        assert_eq!(detected(0, std::iter::repeat_n(7, 40)), None);
    }
}
