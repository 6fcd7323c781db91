//! Keywords of a JSON schema that the standard lets an implementation ignore, and llguidance refuses.

use serde_json::Value;

/// The formats that llguidance enforces.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];

/// Keywords whose value is a schema or a list of schemas.
const SCHEMAS: [&str; 18] = [
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "contentSchema",
    "anyOf",
    "oneOf",
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "extends",
    "disallow",
];

/// Keywords whose value is an object of schemas by name.
const MAPS: [&str; 5] = ["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"];

/// Removes formats that are not enforced, which are annotations (JSON Schema 2020-12, validation, 7.2), and
/// `uniqueItems: false`, which is the default.
pub(crate) fn drop_annotations(schema: &mut Value) {
    match schema {
        Value::Object(keywords) => {
            let unknown = |format: &Value| format.as_str().is_some_and(|format| !FORMATS.contains(&format));
            if keywords.get("format").is_some_and(unknown) {
                keywords.remove("format");
            }
            if keywords.get("uniqueItems") == Some(&Value::Bool(false)) {
                keywords.remove("uniqueItems");
            }
            for (keyword, value) in keywords {
                if SCHEMAS.contains(&keyword.as_str()) {
                    drop_annotations(value);
                } else if let Some(schemas) = value.as_object_mut().filter(|_| MAPS.contains(&keyword.as_str())) {
                    schemas.values_mut().for_each(drop_annotations);
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(drop_annotations),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_keywords_are_dropped() {
        let mut schema = json!({
            "type": "object",
            "properties": {
                "format": {"type": "string", "format": "color"},
                "day": {"type": "string", "format": "date"},
                "tags": {"type": "array", "uniqueItems": false, "items": {"format": "x"}, "default": {"format": "x"}},
            },
            "$defs": {"a": {"anyOf": [{"uniqueItems": false}, {"uniqueItems": true}]}},
            "const": {"format": "x"},
        });
        drop_annotations(&mut schema);
        let expected = json!({
            "type": "object",
            "properties": {
                "format": {"type": "string"},
                "day": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {}, "default": {"format": "x"}},
            },
            "$defs": {"a": {"anyOf": [{}, {"uniqueItems": true}]}},
            "const": {"format": "x"},
        });
        assert_eq!(schema, expected);
    }
}
