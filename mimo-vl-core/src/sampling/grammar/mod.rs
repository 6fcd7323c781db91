//! What an answer must look like.

mod matcher;
mod vocabulary;

use llguidance::api::TopLevelGrammar;
pub use matcher::{GrammarMatcher, TokenMask};
use serde_json::{Map, Value, json};
pub use vocabulary::Vocabulary;

use crate::error::{Error, Result};

/// The form of an answer, whatever the model would say: only tokens that keep to it are given.
///
/// It holds from the end of the thinking on. An answer that would reach its limit of tokens is steered to its end before,
/// where the form allows an end within the limit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Grammar {
    /// A JSON value that a JSON schema, given as text, accepts; written on one line.
    JsonSchema(String),
    /// A text that a regular expression matches as a whole.
    Regex(String),
    /// A text of a grammar in Lark's notation, whose first rule is `start`.
    Lark(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A JSON list of boxes with labels, in pixels that the last picture has.
    Boxes,
    /// A JSON list of points with labels, in pixels that the last picture has.
    Points,
    /// One GUI action, with points that the last picture has.
    Action,
    /// One GUI action of those with these names, with points that the last picture has.
    Actions(Vec<String>),
}

impl Grammar {
    /// Whether it needs a picture.
    pub(crate) fn needs_picture(&self) -> bool {
        matches!(self, Self::Boxes | Self::Points | Self::Action | Self::Actions(_))
    }

    /// For a picture that the model sees with this width and height.
    fn compile(&self, (width, height): (usize, usize)) -> Result<TopLevelGrammar> {
        let pixel = |most: usize| json!({"type": "integer", "minimum": 0, "maximum": most});
        let (x, y) = (pixel(width), pixel(height));
        let row = |pixels: &[&Value]| json!({"type": "array", "prefixItems": pixels, "items": false, "minItems": pixels.len()});
        let located = |key: &str, place: Value| {
            let item = object(&[(key, place), ("label", json!({"type": "string", "minLength": 1, "maxLength": 80}))]);
            json!({"type": "array", "items": item})
        };
        match self {
            Self::JsonSchema(text) => {
                let schema = serde_json::from_str(text)
                    .map_err(|error| Error::option("grammar", format!("the JSON schema is no JSON: {error}")))?;
                on_one_line(schema)
            }
            Self::Regex(regex) => Ok(TopLevelGrammar::from_regex(regex)),
            Self::Lark(text) => Ok(TopLevelGrammar::from_lark(text.clone())),
            Self::Choice(texts) if texts.is_empty() || texts.iter().any(String::is_empty) => {
                Err(Error::option("grammar", "a choice needs texts, and none of them empty"))
            }
            Self::Choice(texts) => {
                // Text in JSON's quotes is text in Lark's.
                let quoted: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
                Ok(TopLevelGrammar::from_lark(format!("start: {}", quoted.join(" | "))))
            }
            Self::Boxes => on_one_line(located("bbox_2d", row(&[&x, &y, &x, &y]))),
            Self::Points => on_one_line(located("point_2d", row(&[&x, &y]))),
            Self::Action => on_one_line(one_of(&actions(&row(&[&x, &y])))),
            Self::Actions(names) => {
                let all = actions(&row(&[&x, &y]));
                let named = |name: &String| all.iter().find(|(known, _)| known == name).cloned();
                let unknown = || names.iter().find(|name| named(name).is_none()).cloned().unwrap_or_default();
                let chosen: Option<Vec<_>> = names.iter().map(named).collect();
                match chosen.filter(|chosen| !chosen.is_empty()) {
                    Some(chosen) => on_one_line(one_of(&chosen)),
                    None if names.is_empty() => Err(Error::option("grammar", "no action is offered")),
                    None => Err(Error::option("grammar", format!("there is no action {:?}", unknown()))),
                }
            }
        }
    }
}

/// The schema of an object with exactly these keys, in this order.
fn object(entries: &[(&str, Value)]) -> Value {
    let keys: Vec<&str> = entries.iter().map(|(key, _)| *key).collect();
    let properties: Map<String, Value> =
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    json!({"type": "object", "properties": properties, "required": keys, "additionalProperties": false})
}

fn one_of(actions: &[(&str, Value)]) -> Value {
    json!({"anyOf": actions.iter().map(|(_, schema)| schema).collect::<Vec<_>>()})
}

/// The twelve GUI actions by their names, as schemas.
fn actions(point: &Value) -> Vec<(&'static str, Value)> {
    let text = || json!({"type": "string", "minLength": 1, "maxLength": 200});
    let directions = json!({"enum": ["up", "down", "left", "right"]});
    let keys = json!({"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 20}, "minItems": 1, "maxItems": 4});
    let action = |name: &'static str, rest: &[(&str, Value)]| {
        (name, object(&[&[("action", json!({"const": name}))], rest].concat()))
    };
    vec![
        action("click", &[("start_point", point.clone())]),
        action("scroll", &[("direction", directions)]),
        action("input", &[("text", text())]),
        action("drag", &[("start_point", point.clone()), ("end_point", point.clone())]),
        action("open", &[("app", text())]),
        action("press", &[("keys", keys)]),
        action("finished", &[("status", text())]),
        action("longpress", &[("start_point", point.clone())]),
        action("hover", &[("start_point", point.clone())]),
        action("select", &[("text", text())]),
        action("wait", &[]),
        action("appswitch", &[("app", text())]),
    ]
}

/// A schema whose values stand on one line with a space after each comma and colon, so that none can be spread without
/// end.
fn on_one_line(mut schema: Value) -> Result<TopLevelGrammar> {
    let layout = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
    match &mut schema {
        Value::Object(object) => drop(object.entry("x-guidance").or_insert(layout)),
        Value::Bool(true) => schema = json!({"x-guidance": layout}),
        _ => return Err(Error::option("grammar", "the JSON schema is neither an object nor true")),
    }
    Ok(TopLevelGrammar::from_json_schema(schema))
}
