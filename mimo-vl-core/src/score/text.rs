//! Measures of texts.

/// Normalised distance from which an answer is worth nothing in ANLS.
const FARTHEST: f64 = 0.5;
/// Share of the right number that a wrong one may be off.
const TOLERANCE: f64 = 0.05;

/// What stands in the last `\boxed{}`, with braces inside it in pairs.
pub fn boxed(text: &str) -> Option<&str> {
    let starts = text.match_indices("\\boxed{").map(|(at, opening)| at + opening.len());
    starts.filter_map(|start| text.get(start..).and_then(balanced)).last()
}

/// Up to the brace that closes one before the text.
fn balanced(text: &str) -> Option<&str> {
    let mut open = 1_usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'{' => open += 1,
            b'}' => open -= 1,
            _ => {}
        }
        open == 0
    });
    text.get(..end?)
}

/// What the answer says at last: the boxed part where there is one, else all of it.
fn last_word(answer: &str) -> &str {
    let said = boxed(answer).unwrap_or(answer).trim();
    said.strip_prefix("\\text{").and_then(|inner| inner.strip_suffix('}')).unwrap_or(said)
}

/// Whether the answer is `expected`: as numbers where both are, else letter by letter, without regard to case, space
/// around, and a full stop at the end. Of an answer with `\boxed{}` the last box counts.
pub fn exact(answer: &str, expected: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches(['.', '。']).trim().to_lowercase();
    let (answer, expected) = (plain(last_word(answer)), plain(expected));
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (number(&answer), number(&expected)) {
        (Some(answer), Some(expected)) => answer == expected,
        _ => answer == expected,
    }
}

/// The letter of a multiple-choice answer, of `choices` many from A on: the boxed one, a letter alone or at the start
/// (`B`, `(B)`, `B. a cat`), or the last that stands alone in the text.
pub fn choice(answer: &str, choices: usize) -> Option<char> {
    let said = last_word(answer);
    let letter = |word: &str| -> Option<char> {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let mut letters = word.chars();
        let letter = letters.next().filter(|letter| letter.is_ascii_uppercase() && letters.next().is_none())?;
        ((letter as usize - 'A' as usize) < choices).then_some(letter)
    };
    let mut words = said.split(|c: char| c.is_whitespace() || matches!(c, ':' | '：' | ',' | '，' | '。'));
    let first = words.next().and_then(letter);
    let bare = said.trim_matches(|c: char| !c.is_alphanumeric());
    let lower = || (bare.len() == 1).then(|| bare.to_uppercase()).and_then(|bare| letter(&bare));
    // "A cat" and "I think" start with words.
    let is_word = |letter: char| matches!(letter, 'A' | 'I') && said.starts_with(&format!("{letter} "));
    let alone = first.filter(|&letter| !is_word(letter));
    let last = || words.filter_map(letter).rfind(|&letter| letter != 'I');
    alone.or_else(lower).or_else(last).or(first)
}

/// The number that an answer gives: the boxed one, or the last in it; `None` if that is not whole. Digits may be grouped
/// with commas.
pub fn count(answer: &str) -> Option<i64> {
    let numbers = last_word(answer).split(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '.'));
    let mut numbers = numbers.map(|number| number.trim_matches([',', '.']).replace(',', ""));
    numbers.rfind(|number| !number.is_empty())?.parse().ok()
}

/// Average normalised Levenshtein similarity (Biten and others, "Scene Text Visual Question Answering", ICCV 2019), to the
/// nearest of the expected answers: 1 less the number of edits over the longer length, and 0 where that is half or less.
/// Case and space around do not count.
pub fn anls(answer: &str, expected: &[&str]) -> f64 {
    let plain = |text: &str| text.trim().to_lowercase().chars().collect::<Vec<char>>();
    let answer = plain(last_word(answer));
    let similarity = |expected: &&str| {
        let expected = plain(expected);
        let longer = answer.len().max(expected.len());
        let distance = if longer == 0 { 0.0 } else { edits(&answer, &expected) as f64 / longer as f64 };
        if distance < FARTHEST { 1.0 - distance } else { 0.0 }
    };
    expected.iter().map(similarity).fold(0.0, f64::max)
}

/// Fewest letters to insert, delete or replace.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Relaxed accuracy (Masry and others, "ChartQA", 2022, section 5.1): numbers may be 5 % off, percentages are a hundredth;
/// anything else must be equal without regard to case.
pub fn relaxed(answer: &str, expected: &str) -> bool {
    let number = |text: &str| match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.replace(',', "").parse::<f64>().ok(),
    };
    let (answer, expected) = (last_word(answer).trim_end_matches('.').trim(), expected.trim());
    match (number(answer), number(expected)) {
        (Some(answer), Some(expected)) if expected != 0.0 => (answer - expected).abs() <= TOLERANCE * expected.abs(),
        (Some(answer), Some(expected)) => answer == expected,
        _ => answer.to_lowercase() == expected.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_box_counts() {
        assert_eq!(boxed("\\boxed{1} and \\boxed{\\frac{1}{2}}"), Some("\\frac{1}{2}"));
        assert_eq!(boxed("\\boxed{1} and \\boxed{2"), Some("1"));
        assert_eq!(boxed("none"), None);
        assert!(exact("so \\boxed{\\text{Cat}}.", "cat") && exact(" Cat. ", "cat") && exact("5.0", "5"));
        assert!(!exact("cats", "cat") && !exact("", "cat") && exact("三。", "三"));
    }

    #[test]
    fn letters_of_choices_are_found() {
        for (answer, letter) in [
            ("B", Some('B')),
            ("(c)", Some('C')),
            ("b", Some('B')),
            ("(C) the cat", Some('C')),
            ("D. A cat", Some('D')),
            ("The answer is B", Some('B')),
            ("The answer is (B), not a cat.", Some('B')),
            ("答案：C。", Some('C')),
            ("A cat sits there, so C", Some('C')),
            ("A cat", Some('A')),
            ("\\boxed{D}", Some('D')),
            ("\\boxed{\\text{A}}", Some('A')),
            ("E", None),
            ("", None),
        ] {
            assert_eq!(choice(answer, 4), letter, "{answer}");
        }
        assert_eq!(choice("I would say B", 10), Some('B'));
        assert_eq!(choice("I", 10), Some('I'));
    }

    #[test]
    fn numbers_are_counted() {
        assert_eq!(count("There are 3 of 12"), Some(12));
        assert_eq!(count("12 in all, \\boxed{7}"), Some(7));
        assert_eq!(count("共有 5 个"), Some(5));
        assert_eq!(count("none"), None);
        assert_eq!(count("1,200, I think."), Some(1200));
        assert_eq!(count("about 2.5"), None);
    }

    #[test]
    fn texts_are_compared_by_edits() {
        assert_eq!(anls("Hello", &["hello"]), 1.0);
        assert_eq!(anls("hallo", &["xyz", "hello"]), 0.8);
        assert_eq!(anls("ab", &["cd"]), 0.0);
        assert_eq!(anls("abcd", &["abxy"]), 0.0, "half is too far");
        assert_eq!(anls("", &[""]), 1.0);
        assert_eq!(anls("a", &[]), 0.0);
        assert_eq!(edits(&['k', 'i', 't', 't', 'e', 'n'], &['s', 'i', 't', 't', 'i', 'n', 'g']), 3);
    }

    #[test]
    fn numbers_may_be_a_little_off() {
        for (answer, expected, right) in [
            ("104.9", "100", true),
            ("105.1", "100", false),
            ("-95", "-100", true),
            ("50%", "0.5", true),
            ("0", "0", true),
            ("0.01", "0", false),
            ("1,000", "1010", true),
            ("Blue.", "blue", true),
            ("dark blue", "blue", false),
            ("\\boxed{12}", "12", true),
        ] {
            assert_eq!(relaxed(answer, expected), right, "{answer} {expected}");
        }
    }
}
