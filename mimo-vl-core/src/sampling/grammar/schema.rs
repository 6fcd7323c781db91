//! JSON schemas of boxes, points and GUI actions.

use serde_json::{Map, Value, json};

use crate::gui::{ActionKind, Direction, Field};

/// Maximum length of a label, in characters.
const MAX_LABEL: usize = 80;

/// Maximum length of a text of an action, in characters.
const MAX_TEXT: usize = 200;

/// Maximum length of the name of a key, in characters.
const MAX_KEY_NAME: usize = 20;

/// Maximum number of keys that are pressed together.
const MAX_KEYS: usize = 4;

/// A list of `len` pixel coordinates, alternately x and y, inside an image of this width and height.
pub(super) fn pixel_tuple(len: usize, (width, height): (usize, usize)) -> Value {
    let pixel = |max: usize| json!({"type": "integer", "minimum": 0, "maximum": max});
    let pixels: Vec<Value> = [pixel(width), pixel(height)].into_iter().cycle().take(len).collect();
    json!({"type": "array", "prefixItems": pixels, "items": false, "minItems": len})
}

/// A list of objects, each with coordinates under `key` and a label.
pub(super) fn located_list(key: &str, coordinates: Value) -> Value {
    json!({"type": "array", "items": object(&[(key, coordinates), ("label", string(MAX_LABEL))])})
}

/// The object of an action, whose points match the schema `point`.
pub(super) fn action_schema(kind: ActionKind, point: &Value) -> Value {
    let mut entries = vec![("action", json!({"const": kind.name()}))];
    entries.extend(kind.fields().iter().map(|&field| (field.key(), field_schema(field, point))));
    object(&entries)
}

/// A value that matches one of these schemas.
pub(super) fn any_of(schemas: impl Iterator<Item = Value>) -> Value {
    json!({"anyOf": schemas.collect::<Vec<_>>()})
}

fn field_schema(field: Field, point: &Value) -> Value {
    match field {
        Field::StartPoint | Field::EndPoint => point.clone(),
        Field::Text | Field::App | Field::Status => string(MAX_TEXT),
        Field::Keys => json!({"type": "array", "items": string(MAX_KEY_NAME), "minItems": 1, "maxItems": MAX_KEYS}),
        Field::Direction => json!({"enum": Direction::ALL.map(Direction::name)}),
        Field::ScrollDistance => json!({"type": "integer", "minimum": 0}),
    }
}

/// A string of 1 to `max` characters.
fn string(max: usize) -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": max})
}

/// An object with exactly these keys, in this order.
fn object(entries: &[(&str, Value)]) -> Value {
    let keys: Vec<&str> = entries.iter().map(|(key, _)| *key).collect();
    let properties: Map<String, Value> =
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({"type": "object", "properties": properties, "required": keys, "additionalProperties": false})
}
