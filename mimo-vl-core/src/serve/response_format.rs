//! The form of an answer that a request asks for, in the fields of OpenAI, vLLM, llama.cpp and Ollama.

use serde_json::Value;

use super::error::ApiError;
use super::fields::Fields;
use crate::sampling::Grammar;

/// Any JSON object.
const JSON_OBJECT: &str = r#"{"type": "object"}"#;

/// Takes the grammar of the answer. Only one of the fields may ask for one.
pub(super) fn grammar(fields: &mut Fields) -> Result<Option<Grammar>, ApiError> {
    let mut found: Vec<(String, Grammar)> = Vec::new();
    let mut add = |name: String, grammar: Option<Grammar>| found.extend(grammar.map(|grammar| (name, grammar)));
    if let Some(mut format) = fields.object("response_format")? {
        let path = fields.path("response_format");
        add(path, response_format(&mut format)?);
        format.finish_known()?;
    }
    // Ollama's field: "json", a schema, or an empty text.
    let format = match fields.take("format") {
        None => None,
        Some(Value::String(format)) if format.is_empty() => None,
        Some(Value::String(format)) if format == "json" => Some(Grammar::JsonSchema(JSON_OBJECT.into())),
        Some(schema @ Value::Object(_)) => Some(Grammar::JsonSchema(schema.to_string())),
        Some(_) => return Err(fields.error("format", "it must be \"json\" or a JSON schema")),
    };
    add(fields.path("format"), format);
    for name in ["guided_json", "json_schema"] {
        let schema = fields.take(name).map(|value| schema(value, fields, name)).transpose()?;
        add(fields.path(name), schema);
    }
    for name in ["guided_regex", "regex"] {
        add(fields.path(name), fields.text(name)?.map(Grammar::Regex));
    }
    for name in ["guided_grammar", "grammar"] {
        let text = fields.text(name)?.filter(|text| !text.is_empty());
        let lark = text.map(|text| lark(text, fields, name)).transpose()?;
        add(fields.path(name), lark);
    }
    add(fields.path("guided_choice"), fields.texts("guided_choice")?.map(Grammar::Choice));
    if let Some(mut outputs) = fields.object("structured_outputs")? {
        let json = outputs.take("json").map(|value| schema(value, &outputs, "json")).transpose()?;
        add(outputs.path("json"), json);
        add(outputs.path("regex"), outputs.text("regex")?.map(Grammar::Regex));
        add(outputs.path("choice"), outputs.texts("choice")?.map(Grammar::Choice));
        let text = outputs.text("grammar")?;
        let lark = text.map(|text| lark(text, &outputs, "grammar")).transpose()?;
        add(outputs.path("grammar"), lark);
        let object = outputs.switch("json_object")?.unwrap_or(false);
        add(outputs.path("json_object"), object.then(|| Grammar::JsonSchema(JSON_OBJECT.into())));
        outputs.finish_known()?;
    }
    match &found[..] {
        [] => Ok(None),
        [(_, grammar)] => Ok(Some(grammar.clone())),
        [(first, _), (second, _), ..] => Err(ApiError::bad_request(
            second.clone(),
            format!("the form of the answer is set by {first}, too: leave one out"),
        )),
    }
}

/// Parses OpenAI's `response_format`, with the schema in `json_schema.schema` or, as llama.cpp has it, in `schema`; or
/// one of this library's forms.
fn response_format(format: &mut Fields) -> Result<Option<Grammar>, ApiError> {
    let kind = format.text("type")?.ok_or_else(|| format.error("type", "it is missing"))?;
    let nested = match format.object("json_schema")? {
        Some(mut nested) => {
            let schema = nested.take("schema");
            // They change nothing.
            for name in ["name", "description", "strict"] {
                nested.take(name);
            }
            nested.finish_known()?;
            schema
        }
        None => None,
    };
    for name in ["name", "description", "strict"] {
        format.take(name);
    }
    let given = nested.or_else(|| format.take("schema"));
    match (kind.as_str(), given) {
        ("text" | "boxes" | "points" | "action", Some(_)) => {
            Err(format.error("schema", "only json_object and json_schema have a schema"))
        }
        ("text", _) => Ok(None),
        ("json_object" | "json_schema", Some(value)) => schema(value, format, "schema").map(Some),
        ("json_object", None) => Ok(Some(Grammar::JsonSchema(JSON_OBJECT.into()))),
        ("json_schema", None) => Err(format.error("json_schema", "the schema is missing")),
        ("boxes", _) => Ok(Some(Grammar::Boxes)),
        ("points", _) => Ok(Some(Grammar::Points)),
        ("action", _) => Ok(Some(Grammar::Action)),
        (other, _) => {
            let reason = format!("{other:?} is not one of text, json_object, json_schema, boxes, points, action");
            Err(format.error("type", reason))
        }
    }
}

/// A JSON schema, given as an object or as text.
fn schema(value: Value, fields: &Fields, name: &str) -> Result<Grammar, ApiError> {
    match value {
        Value::String(text) => Ok(Grammar::JsonSchema(text)),
        value @ (Value::Object(_) | Value::Bool(_)) => Ok(Grammar::JsonSchema(value.to_string())),
        _ => Err(fields.error(name, "it must be a JSON schema")),
    }
}

/// A grammar in Lark's notation.
fn lark(text: String, fields: &Fields, name: &str) -> Result<Grammar, ApiError> {
    let is_rule = |line: &str| {
        let name = line.split_once("::=").map(|(name, _)| name.trim());
        name.is_some_and(|name| {
            !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || "-_".contains(letter))
        })
    };
    match text.lines().any(is_rule) {
        true => {
            Err(fields.error(name, "GBNF is not supported: send a grammar in Lark's notation with the rule `start`"))
        }
        false => Ok(Grammar::Lark(text)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(body: &str) -> Result<Option<Grammar>, ApiError> {
        grammar(&mut Fields::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn every_system_s_fields_give_a_grammar() {
        let schema = || Some(Grammar::JsonSchema(r#"{"type":"integer"}"#.into()));
        let object = || Some(Grammar::JsonSchema(JSON_OBJECT.into()));
        for (body, expected) in [
            (r#"{}"#, None),
            (r#"{"response_format": {"type": "text"}}"#, None),
            (r#"{"response_format": {"type": "json_object"}}"#, object()),
            (r#"{"response_format": {"type": "json_object", "schema": {"type": "integer"}}}"#, schema()),
            (r#"{"response_format": {"type": "json_schema", "schema": {"type": "integer"}}}"#, schema()),
            (
                r#"{"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "integer"}}}}"#,
                schema(),
            ),
            (r#"{"response_format": {"type": "boxes"}}"#, Some(Grammar::Boxes)),
            (r#"{"format": ""}"#, None),
            (r#"{"format": "json"}"#, object()),
            (r#"{"format": {"type": "integer"}}"#, schema()),
            (r#"{"guided_json": {"type": "integer"}}"#, schema()),
            (r#"{"guided_json": "{\"type\":\"integer\"}"}"#, schema()),
            (r#"{"json_schema": {"type": "integer"}}"#, schema()),
            (r#"{"guided_regex": "a+"}"#, Some(Grammar::Regex("a+".into()))),
            (r#"{"regex": "a+"}"#, Some(Grammar::Regex("a+".into()))),
            (r#"{"guided_choice": ["a", "b"]}"#, Some(Grammar::Choice(vec!["a".into(), "b".into()]))),
            (r#"{"grammar": "start: \"a\""}"#, Some(Grammar::Lark("start: \"a\"".into()))),
            (r#"{"structured_outputs": {"json": {"type": "integer"}}}"#, schema()),
            (r#"{"structured_outputs": {"choice": ["a"]}}"#, Some(Grammar::Choice(vec!["a".into()]))),
        ] {
            assert_eq!(parse(body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn forms_that_are_not_known_or_contradict_each_other_are_refused() {
        for (body, param) in [
            (r#"{"response_format": {"type": "xml"}}"#, "response_format.type"),
            (r#"{"response_format": {"type": "json_schema"}}"#, "response_format.json_schema"),
            (r#"{"grammar": "root ::= \"a\""}"#, "grammar"),
            (r#"{"format": "yaml"}"#, "format"),
            (r#"{"structured_outputs": {"structural_tag": "x"}}"#, "structured_outputs.structural_tag"),
            (r#"{"regex": "a", "guided_json": true}"#, "regex"),
        ] {
            assert_eq!(parse(body).unwrap_err().json()["error"]["param"], param, "{body}");
        }
    }
}
