//! Finds boxes and points in an answer while it is written.

use std::ops::Range;

use serde_json::{Map, Value};

/// Longest list or object that is looked into, in bytes.
const LONGEST: usize = 1 << 16;

/// Keys under which a box, and one or several points, stand.
const BOX: &str = "bbox_2d";
const POINTS: [&str; 2] = ["point_2d", "points"];

/// A box or points as the model wrote them, in its own pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawRegion {
    pub(super) geometry: RawGeometry,
    pub(super) label: Option<String>,
    pub(super) text: Option<String>,
    /// Where it stands in the text, in bytes.
    pub(super) range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawGeometry {
    /// Left, top, right, bottom.
    Box([f64; 4]),
    Points(Vec<[f64; 2]>),
}

/// Reads the text of an answer, piece by piece, and gives each box and each group of points when it closes.
///
/// - Objects count that have a key `bbox_2d`, `point_2d` or `points`, in a list or not, in a fenced block or not, inside
///   other objects or not. Where one is not valid JSON, the first list of numbers behind its key is taken.
/// - A bare list of four numbers is a box wherever it stands. One of two numbers is a point only where the answer or a
///   fenced block starts with it, or it follows another list, since prose has such pairs too.
#[derive(Debug, Clone, Default)]
pub(super) struct Scanner {
    text: String,
    /// Bytes of `text` that were looked at.
    read: usize,
    /// Brackets that are open, and where.
    open: Vec<(u8, usize)>,
    string: Option<StringState>,
    /// Pairs are points in the list that is open.
    pairs: bool,
    /// Where the last list or object ended in which pairs were points.
    last: Option<usize>,
    /// Where the last find ended.
    found: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StringState {
    Plain,
    Escaped,
    /// Behind a quote, which ends the string if what follows can follow a string.
    Quoted,
}

/// Whether JSON can go on with `byte` behind a string. Models forget to escape the quotes in a name.
fn follows_a_string(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b']' | b'}')
}

impl Scanner {
    /// What `text` completes.
    pub(super) fn push(&mut self, text: &str) -> Vec<RawRegion> {
        self.text.push_str(text);
        let mut found = Vec::new();
        // Brackets, quotes and backslashes are single bytes, and never part of another character.
        while let Some(&byte) = self.text.as_bytes().get(self.read) {
            let at = self.read;
            self.read += 1;
            self.take(byte, at, &mut found);
        }
        found
    }

    /// Whether a list or an object was begun and not ended.
    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn take(&mut self, byte: u8, at: usize, found: &mut Vec<RawRegion>) {
        if self.open.first().is_some_and(|(_, start)| at - start > LONGEST) {
            self.abandon();
        }
        if let Some(state) = self.string {
            self.string = match (state, byte) {
                (StringState::Escaped, _) => Some(StringState::Plain),
                (StringState::Quoted, _) if byte.is_ascii_whitespace() => return,
                (StringState::Quoted, _) if follows_a_string(byte) => None,
                (_, b'\\') => Some(StringState::Escaped),
                (_, b'"') => Some(StringState::Quoted),
                _ => Some(StringState::Plain),
            };
            if self.string.is_some() {
                return;
            }
        }
        if !byte.is_ascii_whitespace() && self.just_opened(at) && !self.may_start_with(byte) {
            self.abandon();
        }
        match byte {
            b'[' | b'{' => {
                if self.open.is_empty() {
                    self.pairs = self.starts_a_block(at);
                }
                self.open.push((byte, at));
            }
            b'"' if self.open.iter().any(|&(bracket, _)| bracket == b'{') => self.string = Some(StringState::Plain),
            b']' | b'}' => self.close(byte, at, found),
            _ => {}
        }
    }

    /// Whether nothing but space stands between the last bracket that opened and `at`.
    fn just_opened(&self, at: usize) -> bool {
        self.open
            .last()
            .is_some_and(|&(_, start)| self.text.as_bytes()[start + 1..at].iter().all(u8::is_ascii_whitespace))
    }

    /// Whether what is open can be JSON that starts with `byte`: prose has brackets too.
    fn may_start_with(&self, byte: u8) -> bool {
        match self.open.last() {
            Some((b'{', _)) => matches!(byte, b'"' | b'}'),
            Some(_) => matches!(byte, b'[' | b'{' | b']' | b'-' | b'"' | b'0'..=b'9') || self.open.len() > 1,
            None => true,
        }
    }

    /// Whether nothing stands before `at` but space, the start of a fenced block, or a list that counted.
    fn starts_a_block(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let follows = |last: usize| before.len() <= last || before[last..].trim() == ",";
        before.is_empty() || line.trim_start().starts_with("```") || self.last.is_some_and(follows)
    }

    fn close(&mut self, byte: u8, at: usize, found: &mut Vec<RawRegion>) {
        if byte == b'}' && self.open.iter().any(|&(bracket, _)| bracket == b'{') {
            // Lists that were not ended inside the object.
            while self.open.last().is_some_and(|&(bracket, _)| bracket == b'[') {
                self.open.pop();
            }
        }
        let Some((bracket, start)) = self.open.pop() else { return };
        if (bracket == b'[') != (byte == b']') {
            self.abandon();
            return;
        }
        let range = start..at + 1;
        match bracket {
            b'{' => found.extend(object(&self.text[range.clone()], range, self.found > start)),
            _ if self.open.iter().all(|&(bracket, _)| bracket == b'[') => {
                let numbers: Option<Vec<f64>> = serde_json::from_str(&self.text[range.clone()]).ok();
                let geometry = match numbers.as_deref() {
                    Some(&[a, b, c, d]) => Some(RawGeometry::Box([a, b, c, d])),
                    Some(&[x, y]) if self.pairs => Some(RawGeometry::Points(vec![[x, y]])),
                    _ => None,
                };
                found.extend(geometry.map(|geometry| RawRegion { geometry, label: None, text: None, range }));
            }
            _ => {}
        }
        self.found = found.last().map_or(self.found, |found| found.range.end);
        if self.open.is_empty() && self.pairs {
            self.last = Some(at + 1);
        }
    }

    /// What is open is no JSON.
    fn abandon(&mut self) {
        self.open.clear();
        self.string = None;
    }
}

/// The boxes and points that an object itself has; `inside`: some were found in an object within it.
fn object(text: &str, range: Range<usize>, inside: bool) -> Vec<RawRegion> {
    let parsed = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    let object = match parsed(text).or_else(|| parsed(&repair_json(text))) {
        Some(object) => object,
        None if inside => return Vec::new(),
        None => return broken(text, range),
    };
    let name = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let (label, text) = (name("label"), name("text_content"));
    let found = |geometry| RawRegion { geometry, label: label.clone(), text: text.clone(), range: range.clone() };
    let boxes = object.get(BOX).map(rows::<4>).unwrap_or_default();
    let points: Vec<[f64; 2]> = POINTS.iter().filter_map(|key| object.get(*key)).flat_map(rows::<2>).collect();
    let points = Some(points).filter(|points| !points.is_empty());
    boxes.into_iter().map(RawGeometry::Box).chain(points.map(RawGeometry::Points)).map(found).collect()
}

/// Rows of `N` numbers: one, or a list of them.
fn rows<const N: usize>(value: &Value) -> Vec<[f64; N]> {
    let row = |value: &Value| -> Option<[f64; N]> {
        let numbers: Vec<f64> = value.as_array()?.iter().map(Value::as_f64).collect::<Option<_>>()?;
        numbers.try_into().ok()
    };
    match row(value) {
        Some(row) => vec![row],
        None => value.as_array().map(|rows| rows.iter().filter_map(row).collect()).unwrap_or_default(),
    }
}

/// With quotes and control characters escaped that stand as they are inside strings.
fn repair_json(text: &str) -> String {
    let mut repair_json = String::with_capacity(text.len() + 8);
    let (mut inside, mut escaped) = (false, false);
    for (at, letter) in text.char_indices() {
        let ends = || text[at + 1..].bytes().find(|byte| !byte.is_ascii_whitespace()).is_none_or(follows_a_string);
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = inside,
            '"' if !inside => inside = true,
            '"' if ends() => inside = false,
            '"' => repair_json.push('\\'),
            control if inside && control.is_control() => {
                repair_json.push_str(&format!("\\u{:04x}", u32::from(control)));
                continue;
            }
            _ => {}
        }
        repair_json.push(letter);
    }
    repair_json
}

/// The first list of numbers behind a known key of what is no valid object.
fn broken(text: &str, range: Range<usize>) -> Vec<RawRegion> {
    let numbers = |key: &str| -> Option<Vec<f64>> {
        let (_, after) = text.split_once(&format!("\"{key}\""))?;
        let (_, list) = after.split_once('[')?;
        let list = list.split([']', '}', '"']).next()?.trim_start_matches('[').trim_end().trim_end_matches(',');
        list.split(',').map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite())).collect()
    };
    let geometry = match (numbers(BOX).as_deref(), POINTS.iter().find_map(|key| numbers(key)).as_deref()) {
        (Some(&[a, b, c, d]), _) => RawGeometry::Box([a, b, c, d]),
        (_, Some(&[x, y])) => RawGeometry::Points(vec![[x, y]]),
        _ => return Vec::new(),
    };
    vec![RawRegion { geometry, label: None, text: None, range }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found, whether the text comes at once or byte by byte, written shortly.
    fn scan(text: &str) -> Vec<String> {
        let mut whole = Scanner::default();
        let found = whole.push(text);
        let mut pieces = Scanner::default();
        let letters: Vec<RawRegion> =
            text.chars().flat_map(|letter| pieces.push(letter.encode_utf8(&mut [0; 4]))).collect();
        assert_eq!(found, letters, "{text}");
        let short = |found: &RawRegion| {
            assert!(text[found.range.clone()].starts_with(['[', '{']), "{text}");
            let name = [&found.label, &found.text].map(|name| name.clone().unwrap_or_default()).join("|");
            match &found.geometry {
                RawGeometry::Box(edges) => format!("{edges:?} {name}"),
                RawGeometry::Points(points) => format!("{points:?} {name}"),
            }
        };
        found.iter().map(short).collect()
    }

    #[test]
    fn every_form_is_found() {
        let one = "[1.0, 2.0, 30.0, 40.5] cat|";
        for text in [
            r#"{"bbox_2d": [1, 2, 30, 40.5], "label": "cat"}"#,
            "```json\n[\n\t{\"bbox_2d\": [1, 2, 30, 40.5], \"label\": \"cat\"}\n]\n```",
            r#"Here it is: [{"label": "cat", "bbox_2d": [1,2,30,40.5]}]. Done."#,
            r#"{"objects": [{"bbox_2d": [[1, 2, 30, 40.5]], "label": "cat"}], "n": {"a": [1, 2, 3, 4]}}"#,
        ] {
            assert_eq!(scan(text), [one], "{text}");
        }
        assert_eq!(scan("[10, 20, 30, 40]"), ["[10.0, 20.0, 30.0, 40.0] |"]);
        assert_eq!(scan("The box [10, 20, 30, 40]."), ["[10.0, 20.0, 30.0, 40.0] |"]);
        assert_eq!(scan("[[1,2,3,4], [5,6,7,8]]").len(), 2);
        assert_eq!(scan(r#"{"point_2d": [5, 6], "label": "a"}"#), ["[[5.0, 6.0]] a|"]);
        assert_eq!(scan(r#"[{"points": [[5, 6], [7, 8]], "label": "a"}]"#), ["[[5.0, 6.0], [7.0, 8.0]] a|"]);
        assert_eq!(
            scan(r#"{"bbox_2d": [1,2,3,4], "text_content": "税额 \"[}\""}"#),
            ["[1.0, 2.0, 3.0, 4.0] |税额 \"[}\""]
        );
    }

    #[test]
    fn pairs_are_points_where_the_answer_starts_with_them() {
        assert_eq!(scan("[5, 6]"), ["[[5.0, 6.0]] |"]);
        assert_eq!(scan("```\n[[5, 6], [7, 8]]\n```").len(), 2);
        assert_eq!(scan("[5, 6], [7, 8]").len(), 2);
        assert_eq!(scan("between [5, 6] and [7, 8]"), [""; 0]);
        assert_eq!(scan("[5, 6] and [7, 8]").len(), 1);
    }

    #[test]
    fn prose_and_broken_json_do_no_harm() {
        for text in [
            "",
            "a [b] {c}",
            "\\frac{1}{2} [1]",
            "[1, 2, 3]",
            "[01:05, 01:10]",
            "{\"a\": 1}",
            "]}[{",
            "{\"bbox_2d\": null}",
        ] {
            assert_eq!(scan(text), [""; 0], "{text}");
        }
        let rest = "[1, 2, 3, 4]";
        for start in ["a { b ", "use [x to open, ", "{\"a]", "f(x} = "] {
            let text = format!("{start}{rest}");
            let expected = if start.starts_with("{\"") { 0 } else { 1 };
            assert_eq!(scan(&text).len(), expected, "{text}");
        }
        assert_eq!(scan(r#"[{"bbox_2d": [1, 2, 3, 4, "label": "x"}]"#), ["[1.0, 2.0, 3.0, 4.0] |"]);
        assert_eq!(scan("{\"bbox_2d\": [1, 2, 3, 4], \"label\": 'x'}"), ["[1.0, 2.0, 3.0, 4.0] |"]);
        assert_eq!(scan(r#"{"objects": [{"bbox_2d": [1, 2, 3, 4], "label": "x"},]}"#), ["[1.0, 2.0, 3.0, 4.0] x|"]);
        let endless = format!("[{} [1, 2, 3, 4]", "1, ".repeat(40_000));
        assert_eq!(scan(&endless), ["[1.0, 2.0, 3.0, 4.0] |"]);
    }

    #[test]
    fn names_with_quotes_and_line_breaks_lose_nothing() {
        let second = r#"{"bbox_2d": [5, 6, 7, 8], "label": "b"}"#;
        for (name, read) in [
            (r#"a "big" cat"#, "a \"big\" cat"),
            (r#""quoted""#, "\"quoted\""),
            ("two\nlines", "two\nlines"),
            (r#"6\" pipe"#, "6\" pipe"),
            (r#"[}"{"#, "[}\"{"),
        ] {
            let text = format!("[{{\"bbox_2d\": [1, 2, 3, 4], \"label\": \"{name}\"}}, {second}]");
            let expected = [format!("[1.0, 2.0, 3.0, 4.0] {read}|"), "[5.0, 6.0, 7.0, 8.0] b|".to_owned()];
            assert_eq!(scan(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_was_whole_is_given_when_the_answer_is_cut() {
        let mut scanner = Scanner::default();
        let found = scanner.push(r#"[{"bbox_2d": [1,2,3,4], "label": "a"}, {"bbox_2d": [5,6,"#);
        assert_eq!((found.len(), scanner.is_open()), (1, true));
        let mut scanner = Scanner::default();
        scanner.push("[1,2,3,4]");
        assert!(!scanner.is_open());
    }
}
