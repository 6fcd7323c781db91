//! Stop sequences: texts that end an answer.

/// Finds the first stop sequence in streamed text, also across pieces.
#[derive(Debug, Clone)]
pub struct StopSequences {
    sequences: Vec<String>,
    /// Possible prefix of a stop sequence.
    pending: String,
}

impl StopSequences {
    /// Creates a filter for `sequences`, none of which may be empty.
    pub fn new(sequences: Vec<String>) -> Self {
        Self { sequences, pending: String::new() }
    }

    /// Appends `text`. Returns the text that is safe to emit, and `true` once a stop sequence was matched; do not call
    /// `push` after that.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        let mut all = std::mem::take(&mut self.pending);
        all.push_str(text);
        // The match that ends first; of those with the same end, the longest.
        let ends = self.sequences.iter().filter_map(|stop| all.find(stop.as_str()).map(|at| (at + stop.len(), at)));
        if let Some((_, at)) = ends.min() {
            all.truncate(at);
            return (all, true);
        }
        let is_prefix = |start: &usize| self.sequences.iter().any(|stop| stop.starts_with(&all[*start..]));
        let longest = self.sequences.iter().map(String::len).max().unwrap_or(0);
        let first = all.len().saturating_sub(longest);
        let pending = (first..all.len()).filter(|&start| all.is_char_boundary(start)).find(is_prefix);
        self.pending = all.split_off(pending.unwrap_or(all.len()));
        (all, false)
    }

    /// Returns `true` if a possible prefix of a stop sequence is buffered.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Ends the input: returns the text that was buffered as a possible prefix of a stop sequence.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stop = StopSequences::new(stops.iter().map(|&text| text.to_owned()).collect());
        let mut emitted = String::new();
        for piece in pieces {
            let (text, ended) = stop.push(piece);
            emitted += &text;
            if ended {
                return (emitted, true);
            }
        }
        (emitted + &stop.finish(), false)
    }

    #[test]
    fn the_text_ends_before_a_stop_sequence_for_every_split() {
        let all = "one two\n\n三 three";
        for stops in [&["\n\n"][..], &["\n\n三"], &["xx", "\n\n"], &["\n\n三 t", "\n\n"]] {
            for cut in (0..all.len()).filter(|&at| all.is_char_boundary(at)) {
                let (a, b) = all.split_at(cut);
                assert_eq!(run(stops, &[a, b]), ("one two".to_owned(), true), "{stops:?} {cut}");
            }
        }
        assert_eq!(run(&["aab"], &["a", "a", "a", "b", "c"]), ("a".to_owned(), true));
        assert_eq!(run(&["\n\n\n"], &[all]), (all.to_owned(), false));
        assert_eq!(run(&[], &["a", ""]), ("a".to_owned(), false));
    }

    #[test]
    fn only_a_possible_prefix_is_buffered() {
        let mut stop = StopSequences::new(vec!["END".to_owned()]);
        assert_eq!(stop.push("the E"), ("the ".to_owned(), false));
        assert_eq!(stop.push("N"), (String::new(), false));
        assert_eq!(stop.push("T!"), ("ENT!".to_owned(), false));
        assert_eq!(stop.push("E"), (String::new(), false));
        assert_eq!(stop.finish(), "E");
    }
}
