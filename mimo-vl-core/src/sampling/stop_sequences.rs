//! Ends an answer at given texts.

/// Passes text on until one of some texts appears in it, across the pieces that it comes in.
#[derive(Debug, Clone)]
pub struct StopSequences {
    texts: Vec<String>,
    /// What may become one of `texts`.
    held: String,
}

impl StopSequences {
    /// To end before any of `texts`, none of which is empty.
    pub fn new(texts: Vec<String>) -> Self {
        Self { texts, held: String::new() }
    }

    /// What of the text so far, with `text` behind it, can be passed on, and whether one of the texts follows; then
    /// nothing more may be pushed.
    pub fn push(&mut self, text: &str) -> (String, bool) {
        let mut all = std::mem::take(&mut self.held);
        all.push_str(text);
        // The one that is complete first, and of those the longest.
        let ends = self.texts.iter().filter_map(|stop| all.find(stop.as_str()).map(|at| (at + stop.len(), at)));
        if let Some((_, at)) = ends.min() {
            all.truncate(at);
            return (all, true);
        }
        let begun = |from: &usize| self.texts.iter().any(|stop| stop.starts_with(&all[*from..]));
        let longest = self.texts.iter().map(String::len).max().unwrap_or(0);
        let first = all.len().saturating_sub(longest);
        let held = (first..all.len()).filter(|&from| all.is_char_boundary(from)).find(begun);
        self.held = all.split_off(held.unwrap_or(all.len()));
        (all, false)
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// What is held back when no text follows.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut stop = StopSequences::new(stops.iter().map(|&text| text.to_owned()).collect());
        let mut passed = String::new();
        for piece in pieces {
            let (text, ended) = stop.push(piece);
            passed += &text;
            if ended {
                return (passed, true);
            }
        }
        (passed + &stop.finish(), false)
    }

    #[test]
    fn ends_before_the_text_whatever_the_pieces() {
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
    fn only_what_may_become_the_text_is_held() {
        let mut stop = StopSequences::new(vec!["END".to_owned()]);
        assert_eq!(stop.push("the E"), ("the ".to_owned(), false));
        assert_eq!(stop.push("N"), (String::new(), false));
        assert_eq!(stop.push("T!"), ("ENT!".to_owned(), false));
        assert_eq!(stop.push("E"), (String::new(), false));
        assert_eq!(stop.finish(), "E");
    }
}
