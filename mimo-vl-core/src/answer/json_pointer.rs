//! Where values stand in an answer that is JSON.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// Where in a text a value of its first JSON object or list stands, in bytes; `None` where there is no such value.
///
/// `pointer` names it as RFC 6901 says: `/items/0/price`; an empty one is the whole. What stands before the JSON, such as a
/// fence, and behind it is passed over.
pub fn field(text: &str, pointer: &str) -> Option<Range<usize>> {
    let starts = text.match_indices(['{', '[']).map(|(start, _)| start);
    let parsed = |start: usize| serde_json::Deserializer::from_str(&text[start..]).into_iter().next()?.ok();
    let mut value: &RawValue = starts.filter_map(parsed).next()?;
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
    // A raw value is a part of the text itself.
    let from = value.get().as_ptr() as usize - text.as_ptr() as usize;
    Some(from..from + value.get().len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn pointers_lead_to_values() {
        let text = "```json\n{\"a/b\": [1, {\"猫~\": \"two \\\"x\\\"\"}], \"\": null, \"a\": 1, \"a\": 2}\n```";
        let at = |pointer| field(text, pointer).map(|range| &text[range]);
        assert_eq!(at("/a~1b/0"), Some("1"));
        assert_eq!(at("/a~1b/1/猫~0"), Some("\"two \\\"x\\\"\""));
        assert_eq!(at("/"), Some("null"));
        assert_eq!(at("/a"), Some("2"), "the last of two");
        assert_eq!(at("").unwrap().len(), text.len() - "```json\n\n```".len());
        for none in ["a", "/b", "/a~1b/+1", "/a~1b/00", "/a~1b/2", "/a~1b/x", "/a/0", "/a~1b/-1"] {
            assert_eq!(at(none), None, "{none}");
        }
        for none in ["", "two", "{\"a\": ", "[1"] {
            assert_eq!(field(none, ""), None, "{none}");
        }
        assert_eq!(field("It is [3].", "/0"), Some(7..8));
        assert_eq!(field("{note} [EUR]: {\"a\": 1}", "/a"), Some(20..21));
    }
}
