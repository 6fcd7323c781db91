//! Metrics of text.

/// Normalised edit distance from which ANLS is 0.
const ANLS_THRESHOLD: f64 = 0.5;

/// Largest relative error of a number in relaxed accuracy.
const RELAXED_TOLERANCE: f64 = 0.05;

/// The content of the last `\boxed{}`, which may contain balanced braces.
pub fn boxed(text: &str) -> Option<&str> {
    let starts = text.match_indices("\\boxed{").map(|(at, opening)| at + opening.len());
    starts.filter_map(|start| text.get(start..).and_then(until_closing_brace)).last()
}

/// The text up to the brace that closes one before it.
fn until_closing_brace(text: &str) -> Option<&str> {
    let mut depth = 1_usize;
    let end = text.bytes().position(|byte| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    text.get(..end?)
}

/// The final answer: the content of the last `\boxed{}`, else the entire text.
fn final_answer(answer: &str) -> &str {
    let answer = boxed(answer).unwrap_or(answer).trim();
    answer.strip_prefix("\\text{").and_then(|inner| inner.strip_suffix('}')).unwrap_or(answer)
}

/// Exact match: compares as numbers where both are numbers, else as text, ignoring case, surrounding whitespace and a
/// full stop at the end. Uses the last `\boxed{}` of the answer if there is one.
pub fn exact(answer: &str, expected: &str) -> bool {
    let plain = |text: &str| text.trim().trim_end_matches(['.', '。']).trim().to_lowercase();
    let (answer, expected) = (plain(final_answer(answer)), plain(expected));
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    match (number(&answer), number(&expected)) {
        (Some(answer), Some(expected)) => answer == expected,
        _ => answer == expected,
    }
}

/// Extracts the letter of a multiple-choice answer with `choices` options, from A: the boxed one, a single letter, the
/// letter at the start (`(B)`, `B. a cat`), or the last letter that is a word of its own.
pub fn choice(answer: &str, choices: usize) -> Option<char> {
    let answer = final_answer(answer);
    let letter = |word: &str| -> Option<char> {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let mut letters = word.chars();
        let letter = letters.next().filter(|letter| letter.is_ascii_uppercase() && letters.next().is_none())?;
        ((letter as usize - 'A' as usize) < choices).then_some(letter)
    };
    let mut words = answer.split(|c: char| c.is_whitespace() || matches!(c, ':' | '：' | ',' | '，' | '。'));
    let first = words.next().and_then(letter);
    let bare = answer.trim_matches(|c: char| !c.is_alphanumeric());
    let lower = || (bare.len() == 1).then(|| bare.to_uppercase()).and_then(|bare| letter(&bare));
    // "A cat" and "I think" start with a word, not with an option.
    let is_word = |letter: char| matches!(letter, 'A' | 'I') && answer.starts_with(&format!("{letter} "));
    let alone = first.filter(|&letter| !is_word(letter));
    let last = || words.filter_map(letter).rfind(|&letter| letter != 'I');
    alone.or_else(lower).or_else(last).or(first)
}

/// Extracts the count of an answer: the boxed number, or the last number in the text. `None` if it is not an integer.
/// Commas may group digits.
pub fn count(answer: &str) -> Option<i64> {
    let numbers = final_answer(answer).split(|c: char| !c.is_ascii_digit() && !matches!(c, ',' | '.'));
    let mut numbers = numbers.map(|number| number.trim_matches([',', '.']).replace(',', ""));
    numbers.rfind(|number| !number.is_empty())?.parse().ok()
}

/// Average normalised Levenshtein similarity to the closest expected answer (Biten et al., "Scene Text Visual Question
/// Answering", ICCV 2019): 1 minus the edit distance divided by the longer length, or 0 if that is 0.5 or less. Ignores
/// case and surrounding whitespace.
pub fn anls(answer: &str, expected: &[&str]) -> f64 {
    let plain = |text: &str| text.trim().to_lowercase().chars().collect::<Vec<char>>();
    let answer = plain(final_answer(answer));
    let similarity = |expected: &&str| {
        let expected = plain(expected);
        let longer = answer.len().max(expected.len());
        let distance = if longer == 0 { 0.0 } else { levenshtein(&answer, &expected) as f64 / longer as f64 };
        if distance < ANLS_THRESHOLD { 1.0 - distance } else { 0.0 }
    };
    expected.iter().map(similarity).fold(0.0, f64::max)
}

/// Levenshtein distance: the minimum number of insertions, deletions and substitutions.
fn levenshtein(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Relaxed accuracy (Masry et al., "ChartQA", 2022, section 5.1): numbers match within 5 %, percentages count as
/// fractions, and other text must be equal up to case.
pub fn relaxed(answer: &str, expected: &str) -> bool {
    let number = |text: &str| match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.replace(',', "").parse::<f64>().ok(),
    };
    let (answer, expected) = (final_answer(answer).trim_end_matches('.').trim(), expected.trim());
    match (number(answer), number(expected)) {
        (Some(answer), Some(expected)) if expected != 0.0 => {
            (answer - expected).abs() <= RELAXED_TOLERANCE * expected.abs()
        }
        (Some(answer), Some(expected)) => answer == expected,
        _ => answer.to_lowercase() == expected.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_boxed_answer_is_used() {
        assert_eq!(boxed("\\boxed{1} and \\boxed{\\frac{1}{2}}"), Some("\\frac{1}{2}"));
        assert_eq!(boxed("\\boxed{1} and \\boxed{2"), Some("1"));
        assert_eq!(boxed("none"), None);
        assert!(exact("so \\boxed{\\text{Cat}}.", "cat") && exact(" Cat. ", "cat") && exact("5.0", "5"));
        assert!(!exact("cats", "cat") && !exact("", "cat") && exact("三。", "三"));
    }

    #[test]
    fn letters_of_multiple_choice_answers_are_extracted() {
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
    fn the_last_integer_is_the_count() {
        assert_eq!(count("There are 3 of 12"), Some(12));
        assert_eq!(count("12 in all, \\boxed{7}"), Some(7));
        assert_eq!(count("共有 5 个"), Some(5));
        assert_eq!(count("none"), None);
        assert_eq!(count("1,200, I think."), Some(1200));
        assert_eq!(count("about 2.5"), None);
    }

    #[test]
    fn anls_is_the_similarity_to_the_closest_expected_answer() {
        assert_eq!(anls("Hello", &["hello"]), 1.0);
        assert_eq!(anls("hallo", &["xyz", "hello"]), 0.8);
        assert_eq!(anls("ab", &["cd"]), 0.0);
        assert_eq!(anls("abcd", &["abxy"]), 0.0, "a similarity of one half is 0");
        assert_eq!(anls("", &[""]), 1.0);
        assert_eq!(anls("a", &[]), 0.0);
        assert_eq!(levenshtein(&['k', 'i', 't', 't', 'e', 'n'], &['s', 'i', 't', 't', 'i', 'n', 'g']), 3);
    }

    #[test]
    fn relaxed_accuracy_accepts_five_percent() {
        for (answer, expected, correct) in [
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
            assert_eq!(relaxed(answer, expected), correct, "{answer} {expected}");
        }
    }
}
