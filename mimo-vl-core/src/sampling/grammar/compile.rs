//! The grammars that an answer can be constrained to, and their compilation for llguidance.

use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};

use super::annotations::drop_annotations;
use super::schema::{action_schema, any_of, located_list, pixel_tuple};
use crate::error::{Error, Result};
use crate::gui::{ActionKind, Task};

/// A grammar that constrains an answer: only tokens that fit it are sampled.
///
/// It applies from the end of the thinking on. If the answer would exceed its token limit, it is steered to the end of
/// the grammar in time, where the grammar allows an end within the limit.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Grammar {
    /// A JSON value that matches a JSON schema, given as text; written on one line, with at most 20 digits in a row
    /// where the schema allows fewer. A `format` that is none of date-time, time, date, duration, email, hostname,
    /// ipv4, ipv6, uuid and uri is not enforced, as the standard has it.
    JsonSchema(String),
    /// A text that matches a regular expression from start to end.
    Regex(String),
    /// A text of a grammar in Lark's notation with the start rule `start`.
    Lark(String),
    /// Any one of these texts.
    Choice(Vec<String>),
    /// A JSON list of boxes with labels, in pixels of the last image.
    Boxes,
    /// A JSON list of points with labels, in pixels of the last image.
    Points,
    /// A GUI action of any kind, with points in pixels of the last image.
    Action,
    /// A GUI action of one of these kinds, with points in pixels of the last image.
    Actions(Vec<ActionKind>),
}

impl Task {
    /// The grammar of an answer that is one action of the action space.
    pub fn grammar(&self) -> Grammar {
        Grammar::Actions(self.actions().to_vec())
    }
}

impl Grammar {
    /// Returns `true` if the answer has JSON of a schema, whose numbers may be without bounds.
    pub(super) fn has_json(&self) -> bool {
        match self {
            Self::Regex(_) | Self::Choice(_) => false,
            Self::Lark(text) => text.contains("%json"),
            _ => true,
        }
    }

    /// Returns `true` if the grammar has coordinates, and thus needs an image.
    pub(crate) fn needs_image(&self) -> bool {
        matches!(self, Self::Boxes | Self::Points | Self::Action | Self::Actions(_))
    }

    /// Compiles the grammar for an image that the model sees with this width and height, in pixels.
    ///
    /// # Errors
    /// [`Error::Option`] when the grammar is invalid.
    pub(super) fn compile(&self, image_size: (usize, usize)) -> Result<TopLevelGrammar> {
        match self {
            Self::JsonSchema(text) => {
                let mut schema = serde_json::from_str(text)
                    .map_err(|error| Error::option("grammar", format!("the JSON schema is not JSON: {error}")))?;
                drop_annotations(&mut schema);
                on_one_line(schema)
            }
            Self::Regex(regex) => Ok(TopLevelGrammar::from_regex(regex)),
            Self::Lark(text) => Ok(TopLevelGrammar::from_lark(text.clone())),
            Self::Choice(texts) if texts.is_empty() || texts.iter().any(String::is_empty) => {
                Err(Error::option("grammar", "a choice needs at least one text, and no text may be empty"))
            }
            Self::Choice(texts) => {
                // A JSON string is a valid Lark string.
                let quoted: Vec<String> = texts.iter().map(|text| Value::from(text.as_str()).to_string()).collect();
                Ok(TopLevelGrammar::from_lark(format!("start: {}", quoted.join(" | "))))
            }
            Self::Boxes => on_one_line(located_list("bbox_2d", pixel_tuple(4, image_size))),
            Self::Points => on_one_line(located_list("point_2d", pixel_tuple(2, image_size))),
            Self::Action => actions(&ActionKind::ALL, image_size),
            Self::Actions(kinds) if kinds.is_empty() => {
                Err(Error::option("grammar", "the action space is empty: it needs at least one action"))
            }
            Self::Actions(kinds) => actions(kinds, image_size),
        }
    }
}

fn actions(kinds: &[ActionKind], image_size: (usize, usize)) -> Result<TopLevelGrammar> {
    let point = pixel_tuple(2, image_size);
    on_one_line(any_of(kinds.iter().map(|&kind| action_schema(kind, &point))))
}

/// The value of `x-guidance` in a schema whose values are written on one line.
pub(crate) fn one_line_layout() -> Value {
    json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "})
}

/// Compiles a schema whose values are written on one line, with a space after each comma and colon, so that the model
/// cannot emit whitespace without end.
fn on_one_line(mut schema: Value) -> Result<TopLevelGrammar> {
    let layout = one_line_layout();
    match &mut schema {
        Value::Object(object) => drop(object.entry("x-guidance").or_insert(layout)),
        Value::Bool(true) => schema = json!({"x-guidance": layout}),
        _ => return Err(Error::option("grammar", "the JSON schema is neither an object nor true")),
    }
    Ok(TopLevelGrammar::from_json_schema(schema))
}
