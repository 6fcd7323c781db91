//! Incremental scanner for boxes and points in the text of an answer.

use std::ops::Range;

use serde_json::{Map, Value};

/// Largest list or object that is parsed, in bytes.
const MAX_JSON_BYTES: usize = 1 << 16;

/// Keys of a box.
const BOX_KEYS: [&str; 2] = ["bbox_2d", "bbox"];

/// Keys of one or several points.
const POINT_KEYS: [&str; 2] = ["point_2d", "points"];

/// A box or points as the model wrote them, in pixels of the resized image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawRegion {
    /// Shape and coordinates.
    pub(super) geometry: RawGeometry,
    /// Value of `label`.
    pub(super) label: Option<String>,
    /// Value of `text_content`.
    pub(super) text: Option<String>,
    /// Byte range in the text of the answer.
    pub(super) range: Range<usize>,
}

/// The shape of a [`RawRegion`].
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RawGeometry {
    /// Left, top, right, bottom.
    Box([f64; 4]),
    /// Points, at least one, each x and y.
    Points(Vec<[f64; 2]>),
}

/// Scans the text of an answer piece by piece, and returns each box and each group of points when it closes.
///
/// - An object with a key `bbox_2d`, `bbox`, `point_2d` or `points` is a region, in a list or not, in a fenced block or
///   not, nested or not. Trailing commas, single quotes, numbers in quotes, and unescaped quotes and line breaks in
///   strings are accepted. If the object is still not valid JSON, the first list of numbers after its key is used.
/// - A bare list of four numbers is a box, and one of two numbers a point, only at the start of the answer or of a
///   fenced block, or after another list, because prose has such lists too. With `in_prose`, four numbers are a box
///   anywhere.
#[derive(Debug, Clone, Default)]
pub(super) struct RegionScanner {
    in_prose: bool,
    text: String,
    /// Bytes of `text` that were scanned.
    scanned: usize,
    /// Open brackets with their byte offsets.
    open_brackets: Vec<(u8, usize)>,
    /// State inside a JSON string; `None` outside.
    string: Option<StringState>,
    /// Quote that opened the string.
    quote: u8,
    /// `true` if the open list is at a place where bare lists are regions.
    in_block: bool,
    /// End of the last list or object at such a place.
    last_block_end: Option<usize>,
    /// End of the last region.
    last_region_end: usize,
}

/// The position inside a JSON string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StringState {
    Plain,
    /// After a backslash.
    Escaped,
    /// After a quote, which closes the string only if a byte follows that may come after a string.
    Quoted,
}

/// Returns `true` if `byte` may come after a string in JSON. A quote before any other byte is an unescaped one inside
/// the string, which models write.
fn may_follow_string(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b']' | b'}')
}

impl RegionScanner {
    /// Creates a scanner; `in_prose` finds boxes without a key anywhere.
    pub(super) fn new(in_prose: bool) -> Self {
        Self { in_prose, ..Self::default() }
    }

    /// Appends `text` and returns the regions that it completes.
    pub(super) fn push(&mut self, text: &str) -> Vec<RawRegion> {
        self.text.push_str(text);
        let mut regions = Vec::new();
        // Brackets, quotes and backslashes are ASCII, so they are never part of another UTF-8 character.
        while let Some(&byte) = self.text.as_bytes().get(self.scanned) {
            let at = self.scanned;
            self.scanned += 1;
            self.scan_byte(byte, at, &mut regions);
        }
        regions
    }

    /// Returns `true` while a list or an object is still open.
    pub(super) fn is_open(&self) -> bool {
        !self.open_brackets.is_empty()
    }

    /// Processes the byte at offset `at`.
    fn scan_byte(&mut self, byte: u8, at: usize, regions: &mut Vec<RawRegion>) {
        if self.open_brackets.first().is_some_and(|(_, start)| at - start > MAX_JSON_BYTES) {
            self.abandon();
        }
        if let Some(state) = self.string {
            self.string = match (state, byte) {
                (StringState::Escaped, _) => Some(StringState::Plain),
                (StringState::Quoted, _) if byte.is_ascii_whitespace() => return,
                (StringState::Quoted, _) if may_follow_string(byte) => None,
                (_, b'\\') => Some(StringState::Escaped),
                (_, quote) if quote == self.quote => Some(StringState::Quoted),
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
                if self.open_brackets.is_empty() {
                    self.in_block = self.starts_block(at);
                }
                self.open_brackets.push((byte, at));
            }
            b'"' | b'\'' if self.open_brackets.iter().any(|&(bracket, _)| bracket == b'{') => {
                self.string = Some(StringState::Plain);
                self.quote = byte;
            }
            b']' | b'}' => self.close_bracket(byte, at, regions),
            _ => {}
        }
    }

    /// Returns `true` if there is only whitespace between the last opening bracket and `at`.
    fn just_opened(&self, at: usize) -> bool {
        self.open_brackets
            .last()
            .is_some_and(|&(_, start)| self.text.as_bytes()[start + 1..at].iter().all(u8::is_ascii_whitespace))
    }

    /// Returns `true` if the open bracket can be JSON whose content starts with `byte`. Prose has brackets too.
    fn may_start_with(&self, byte: u8) -> bool {
        match self.open_brackets.last() {
            Some((b'{', _)) => matches!(byte, b'"' | b'\'' | b'}'),
            Some(_) => matches!(byte, b'[' | b'{' | b']' | b'-' | b'"' | b'0'..=b'9') || self.open_brackets.len() > 1,
            None => true,
        }
    }

    /// Returns `true` if `at` is preceded only by whitespace, by the start of a fenced block, or by a list at such a
    /// place.
    fn starts_block(&self, at: usize) -> bool {
        let before = self.text[..at].trim_end();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let follows = |end: usize| before.len() <= end || before[end..].trim() == ",";
        before.is_empty() || line.trim_start().starts_with("```") || self.last_block_end.is_some_and(follows)
    }

    /// Processes a closing bracket at offset `at`.
    fn close_bracket(&mut self, byte: u8, at: usize, regions: &mut Vec<RawRegion>) {
        if byte == b'}' && self.open_brackets.iter().any(|&(bracket, _)| bracket == b'{') {
            // Unclosed lists inside the object.
            while self.open_brackets.last().is_some_and(|&(bracket, _)| bracket == b'[') {
                self.open_brackets.pop();
            }
        }
        let Some((bracket, start)) = self.open_brackets.pop() else { return };
        if (bracket == b'[') != (byte == b']') {
            self.abandon();
            return;
        }
        let range = start..at + 1;
        match bracket {
            b'{' => regions.extend(object_regions(&self.text[range.clone()], range, self.last_region_end > start)),
            _ if self.open_brackets.iter().all(|&(bracket, _)| bracket == b'[') => {
                let numbers: Option<Vec<f64>> = serde_json::from_str(&self.text[range.clone()]).ok();
                let geometry = match numbers.as_deref() {
                    Some(&[a, b, c, d]) if self.in_block || self.in_prose => Some(RawGeometry::Box([a, b, c, d])),
                    Some(&[x, y]) if self.in_block => Some(RawGeometry::Points(vec![[x, y]])),
                    _ => None,
                };
                regions.extend(geometry.map(|geometry| RawRegion { geometry, label: None, text: None, range }));
            }
            _ => {}
        }
        self.last_region_end = regions.last().map_or(self.last_region_end, |region| region.range.end);
        if self.open_brackets.is_empty() && self.in_block {
            self.last_block_end = Some(at + 1);
        }
    }

    /// Gives up on the open brackets, which are not JSON.
    fn abandon(&mut self) {
        self.open_brackets.clear();
        self.string = None;
    }
}

/// The regions of an object itself. `has_nested`: an object inside it already gave regions.
fn object_regions(text: &str, range: Range<usize>, has_nested: bool) -> Vec<RawRegion> {
    let parsed = |text: &str| serde_json::from_str::<Map<String, Value>>(text).ok();
    let object = match parsed(text).or_else(|| parsed(&repair_json(text))) {
        Some(object) => object,
        None if has_nested => return Vec::new(),
        None => return malformed_object_regions(&repair_json(text), range),
    };
    let name = |key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let (label, text) = (name("label"), name("text_content"));
    let region = |geometry| RawRegion { geometry, label: label.clone(), text: text.clone(), range: range.clone() };
    let boxes = BOX_KEYS.iter().find_map(|key| object.get(*key)).map(rows::<4>).unwrap_or_default();
    let points: Vec<[f64; 2]> = POINT_KEYS.iter().filter_map(|key| object.get(*key)).flat_map(rows::<2>).collect();
    let points = Some(points).filter(|points| !points.is_empty());
    boxes.into_iter().map(RawGeometry::Box).chain(points.map(RawGeometry::Points)).map(region).collect()
}

/// Parses one row of `N` numbers, in quotes or not, or a list of such rows.
fn rows<const N: usize>(value: &Value) -> Vec<[f64; N]> {
    let number = |value: &Value| match value {
        Value::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        value => value.as_f64(),
    };
    let row = |value: &Value| -> Option<[f64; N]> {
        let numbers: Vec<f64> = value.as_array()?.iter().map(number).collect::<Option<_>>()?;
        numbers.try_into().ok()
    };
    match row(value) {
        Some(row) => vec![row],
        None => value.as_array().map(|rows| rows.iter().filter_map(row).collect()).unwrap_or_default(),
    }
}

/// Makes JSON of what models write in its place: escapes unescaped quotes and control characters inside strings, turns
/// single quotes around strings into double ones, and removes commas before a closing bracket.
fn repair_json(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len() + 8);
    // The quote that opened the string, inside one.
    let mut quote = None;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        let next = || text[at + letter.len_utf8()..].bytes().find(|byte| !byte.is_ascii_whitespace());
        match (letter, quote) {
            // JSON has no escape of a single quote.
            ('\'', _) if escaped => {
                escaped = false;
                repaired.pop();
                repaired.push('\'');
            }
            _ if escaped => {
                escaped = false;
                repaired.push(letter);
            }
            ('"' | '\'', None) => {
                quote = Some(letter);
                repaired.push('"');
            }
            (letter, Some(open)) if letter == open && next().is_none_or(may_follow_string) => {
                quote = None;
                repaired.push('"');
            }
            ('"', Some(_)) => repaired.push_str("\\\""),
            (control, Some(_)) if control.is_control() => {
                repaired.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            (',', None) if matches!(next(), Some(b']' | b'}')) => {}
            (letter, quote) => {
                escaped = letter == '\\' && quote.is_some();
                repaired.push(letter);
            }
        }
    }
    repaired
}

/// The regions of an object that is not valid JSON: the first list of numbers after a known key.
fn malformed_object_regions(text: &str, range: Range<usize>) -> Vec<RawRegion> {
    let numbers = |key: &str| -> Option<Vec<f64>> {
        let (_, after) = text.split_once(&format!("\"{key}\""))?;
        let (_, list) = after.split_once('[')?;
        let list = list.split([']', '}', '"']).next()?.trim_start_matches('[').trim_end().trim_end_matches(',');
        list.split(',').map(|number| number.trim().parse().ok().filter(|number: &f64| number.is_finite())).collect()
    };
    let first = |keys: &[&str]| keys.iter().find_map(|key| numbers(key));
    let geometry = match (first(&BOX_KEYS).as_deref(), first(&POINT_KEYS).as_deref()) {
        (Some(&[a, b, c, d]), _) => RawGeometry::Box([a, b, c, d]),
        (_, Some(&[x, y])) => RawGeometry::Points(vec![[x, y]]),
        _ => return Vec::new(),
    };
    vec![RawRegion { geometry, label: None, text: None, range }]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The regions of `text` as short strings, after a check that scanning it by characters gives the same.
    fn scan(text: &str) -> Vec<String> {
        let regions = RegionScanner::default().push(text);
        let mut scanner = RegionScanner::default();
        let by_character: Vec<RawRegion> =
            text.chars().flat_map(|character| scanner.push(character.encode_utf8(&mut [0; 4]))).collect();
        assert_eq!(regions, by_character, "{text}");
        let short = |region: &RawRegion| {
            assert!(text[region.range.clone()].starts_with(['[', '{']), "{text}");
            let name = [&region.label, &region.text].map(|name| name.clone().unwrap_or_default()).join("|");
            match &region.geometry {
                RawGeometry::Box(edges) => format!("{edges:?} {name}"),
                RawGeometry::Points(points) => format!("{points:?} {name}"),
            }
        };
        regions.iter().map(short).collect()
    }

    #[test]
    fn every_format_is_recognised() {
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
        assert_eq!(scan("```json\n[10, 20, 30, 40]\n```"), ["[10.0, 20.0, 30.0, 40.0] |"]);
        assert_eq!(scan("[[1,2,3,4], [5,6,7,8]]").len(), 2);
        assert_eq!(scan(r#"{"point_2d": [5, 6], "label": "a"}"#), ["[[5.0, 6.0]] a|"]);
        assert_eq!(scan(r#"[{"points": [[5, 6], [7, 8]], "label": "a"}]"#), ["[[5.0, 6.0], [7.0, 8.0]] a|"]);
        assert_eq!(
            scan(r#"{"bbox_2d": [1,2,3,4], "text_content": "税额 \"[}\""}"#),
            ["[1.0, 2.0, 3.0, 4.0] |税额 \"[}\""]
        );
    }

    #[test]
    fn pairs_are_points_at_the_start_of_an_answer_or_block() {
        assert_eq!(scan("[5, 6]"), ["[[5.0, 6.0]] |"]);
        assert_eq!(scan("```\n[[5, 6], [7, 8]]\n```").len(), 2);
        assert_eq!(scan("[5, 6], [7, 8]").len(), 2);
        assert_eq!(scan("between [5, 6] and [7, 8]"), [""; 0]);
        assert_eq!(scan("[5, 6] and [7, 8]").len(), 1);
    }

    #[test]
    fn bare_boxes_in_prose_are_an_option() {
        for text in ["The box [10, 20, 30, 40].", "The primes are [2, 3, 5, 7] and [11, 13, 17, 19]."] {
            assert_eq!(scan(text), [""; 0], "{text}");
        }
        assert_eq!(RegionScanner::new(true).push("The box [10, 20, 30, 40].").len(), 1);
    }

    #[test]
    fn what_models_write_in_place_of_json_is_read() {
        let cat = ["[1.0, 2.0, 3.0, 4.0] cat|"];
        for text in [
            r#"{"bbox_2d": [1, 2, 3, 4], "label": "cat",}"#,
            r#"[{"bbox_2d": [1, 2, 3, 4,], "label": "cat"},]"#,
            r#"{'bbox_2d': [1, 2, 3, 4], 'label': 'cat'}"#,
            r#"{"bbox": [1, 2, 3, 4], "label": "cat"}"#,
            r#"{"bbox_2d": ["1", "2.0", " 3", "4"], "label": "cat"}"#,
            r#"{"bbox_2d": [1, 2, 3, 4], "label": 'cat'}"#,
        ] {
            assert_eq!(scan(text), cat, "{text}");
        }
        for (written, label) in
            [("the dog's bowl", "the dog's bowl"), ("6\" pipe", "6\" pipe"), (r"it\'s", "it's"), ("[}", "[}")]
        {
            let text = format!("{{'bbox_2d': [1, 2, 3, 4], 'label': '{written}'}}");
            assert_eq!(scan(&text), [format!("[1.0, 2.0, 3.0, 4.0] {label}|")], "{text}");
        }
        assert_eq!(scan(r#"{"bbox_2d": ["1", "2", "x", "4"]}"#), [""; 0]);
    }

    #[test]
    fn prose_has_no_regions_and_malformed_json_is_recovered() {
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
            assert_eq!(RegionScanner::new(true).push(&text).len(), expected, "{text}");
        }
        assert_eq!(scan(r#"[{"bbox_2d": [1, 2, 3, 4, "label": "x"}]"#), ["[1.0, 2.0, 3.0, 4.0] |"]);
        assert_eq!(scan(r#"{"objects": [{"bbox_2d": [1, 2, 3, 4], "label": "x"},]}"#), ["[1.0, 2.0, 3.0, 4.0] x|"]);
        let endless = format!("[{} [1, 2, 3, 4]", "1, ".repeat(40_000));
        assert_eq!(RegionScanner::new(true).push(&endless).len(), 1);
    }

    #[test]
    fn labels_with_unescaped_quotes_and_line_breaks_are_kept() {
        let second = r#"{"bbox_2d": [5, 6, 7, 8], "label": "b"}"#;
        for (written, label) in [
            (r#"a "big" cat"#, "a \"big\" cat"),
            (r#""quoted""#, "\"quoted\""),
            ("two\nlines", "two\nlines"),
            (r#"6\" pipe"#, "6\" pipe"),
            (r#"[}"{"#, "[}\"{"),
        ] {
            let text = format!("[{{\"bbox_2d\": [1, 2, 3, 4], \"label\": \"{written}\"}}, {second}]");
            let expected = [format!("[1.0, 2.0, 3.0, 4.0] {label}|"), "[5.0, 6.0, 7.0, 8.0] b|".to_owned()];
            assert_eq!(scan(&text), expected, "{text}");
        }
    }

    #[test]
    fn complete_regions_of_a_truncated_answer_are_returned() {
        let mut scanner = RegionScanner::default();
        let regions = scanner.push(r#"[{"bbox_2d": [1,2,3,4], "label": "a"}, {"bbox_2d": [5,6,"#);
        assert_eq!((regions.len(), scanner.is_open()), (1, true));
        let mut scanner = RegionScanner::default();
        scanner.push("[1,2,3,4]");
        assert!(!scanner.is_open());
    }
}
