//! Byte ranges of values in an answer that is JSON.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// Returns the byte range of a value in the JSON of `text`; `None` where there is no such value.
///
/// The JSON is the entire text, or a fenced block that is the entire text, or else the first object or list in it.
/// `pointer` is a JSON pointer (RFC 6901) such as `/items/0/price`; the empty pointer is the entire JSON.
pub fn json_value_range(text: &str, pointer: &str) -> Option<Range<usize>> {
    let starts = text.match_indices(['{', '[']).map(|(start, _)| start);
    let parsed = |start: usize| serde_json::Deserializer::from_str(&text[start..]).into_iter().next()?.ok();
    let whole = serde_json::from_str(without_fence(text)).ok();
    let mut value: &RawValue = whole.or_else(|| starts.filter_map(parsed).next())?;
    let mut steps = pointer.split('/');
    if !steps.next()?.is_empty() {
        return None;
    }
    for step in steps {
        value = if value.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(value.get()).ok()?;
            let index: usize = step.parse().ok().filter(|index: &usize| index.to_string() == step)?;
            items.get(index).copied()?
        } else {
            let mut fields: HashMap<String, &RawValue> = serde_json::from_str(value.get()).ok()?;
            fields.remove(&step.replace("~1", "/").replace("~0", "~"))?
        };
    }
    // A raw value borrows from `text`.
    let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
    Some(start..start + value.get().len())
}

/// The content of a fenced block that is the entire text; else the text.
fn without_fence(text: &str) -> &str {
    let fenced = || text.trim().strip_prefix("```")?.strip_suffix("```")?.split_once('\n');
    fenced().map_or(text, |(_, content)| content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pointers_find_their_values() {
        let text = "```json\n{\"a/b\": [1, {\"猫~\": \"two \\\"x\\\"\"}], \"\": null, \"a\": 1, \"a\": 2}\n```";
        let at = |pointer| json_value_range(text, pointer).map(|range| &text[range]);
        assert_eq!(at("/a~1b/0"), Some("1"));
        assert_eq!(at("/a~1b/1/猫~0"), Some("\"two \\\"x\\\"\""));
        assert_eq!(at("/"), Some("null"));
        assert_eq!(at("/a"), Some("2"), "the last of two");
        assert_eq!(at("").unwrap().len(), text.len() - "```json\n\n```".len());
        for none in ["a", "/b", "/a~1b/+1", "/a~1b/00", "/a~1b/2", "/a~1b/x", "/a/0", "/a~1b/-1"] {
            assert_eq!(at(none), None, "{none}");
        }
        for none in ["", "two", "{\"a\": ", "[1"] {
            assert_eq!(json_value_range(none, ""), None, "{none}");
        }
        assert_eq!(json_value_range("It is [3].", "/0"), Some(7..8));
        for (whole, range) in [("2", 0..1), (" -2.5e3\n", 1..7), ("\"x [1]\"", 0..7), ("```json\ntrue\n```", 8..12)] {
            assert_eq!(json_value_range(whole, ""), Some(range), "{whole}");
            assert_eq!(json_value_range(whole, "/0"), None, "{whole}");
        }
        assert_eq!(json_value_range("{note} [EUR]: {\"a\": 1}", "/a"), Some(20..21));
    }
}
