//! The fields of a JSON object of a request, each taken once by its name.

use serde_json::{Map, Value};

use super::error::ApiError;

/// Fields that change nothing of the answer, or only its cost, and are ignored on purpose.
const IGNORED: &[&str] = &[
    // OpenAI
    "max_tool_calls",
    "metadata",
    "prediction",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
    // vLLM
    "add_special_tokens",
    "cache_salt",
    "detokenize",
    "kv_transfer_params",
    "priority",
    "request_id",
    "spaces_between_special_tokens",
    "stream_reasoning",
    "vllm_xargs",
    // llama.cpp and Ollama
    "cache_prompt",
    "id_slot",
    "keep_alive",
    "n_discard",
    "n_keep",
    "return_progress",
    "timings_per_token",
];

/// Fields that would change the answer and are not supported. Values that ask for nothing are accepted: `null`, false,
/// zero, an empty text, list or object, and those of [`DEFAULTS`].
const REFUSED: &[&str] = &[
    // OpenAI
    "audio",
    "function_call",
    "functions",
    "web_search_options",
    // vLLM
    "include_reasoning",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "separate_reasoning",
    "allowed_token_ids",
    "bad_words",
    "best_of",
    "chat_template",
    "documents",
    "early_stopping",
    "echo",
    "ignore_eos",
    "include_stop_str_in_output",
    "length_penalty",
    "logits_processors",
    "min_tokens",
    "prompt_logprobs",
    "stop_token_ids",
    "truncate_prompt_tokens",
    "use_beam_search",
    "skip_special_tokens",
    "add_generation_prompt",
    "guided_whitespace_pattern",
    // llama.cpp and Ollama
    "dry_multiplier",
    "dynatemp_range",
    "image_data",
    "lora",
    "mirostat",
    "n_probs",
    "options",
    "post_sampling_probs",
    "raw",
    "repeat_last_n",
    "return_tokens",
    "samplers",
    "suffix",
    "t_max_predict_ms",
    "template",
    "tfs_z",
    "top_n_sigma",
    "xtc_probability",
];

/// Values of [`REFUSED`] fields that are their defaults elsewhere, and ask for nothing; 0 does in these.
const DEFAULTS: &[(&str, f64)] =
    &[("best_of", 1.0), ("length_penalty", 1.0), ("repeat_last_n", -1.0), ("tfs_z", 1.0), ("top_n_sigma", -1.0)];

/// [`REFUSED`] fields that ask for something whatever their value is.
const NEVER_NEUTRAL: &[&str] = &["prompt_logprobs", "truncate_prompt_tokens", "web_search_options"];

/// [`REFUSED`] switches that are on elsewhere.
const ON_BY_DEFAULT: &[&str] =
    &["skip_special_tokens", "add_generation_prompt", "include_reasoning", "separate_reasoning"];

/// Fields of messages and their parts that change nothing: names, ids and hints of other systems.
const IGNORED_IN_MESSAGES: &[&str] = &[
    "annotations",
    "cache_control",
    "format",
    "id",
    "index",
    "logprobs",
    "media_type",
    "mime_type",
    "name",
    "reasoning",
    "reasoning_content",
    "refusal",
    "regions",
    "status",
    "strict",
    "tool_call_id",
    "type",
    "uuid",
];

/// Fields of messages and their parts that would change the answer and are not supported.
const REFUSED_IN_MESSAGES: &[&str] =
    &["audio", "file_id", "function_call", "partial", "prefix", "resized_height", "resized_width"];

/// The fields of a JSON object that were not taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    fields: Map<String, Value>,
    /// Path of the object, with a dot at its end; empty for the body.
    path: String,
}

impl Fields {
    /// Parses a request body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let fields = serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request("body", format!("the request is not a JSON object: {error}")))?;
        Ok(Self { fields, path: String::new() })
    }

    /// The fields of the object at `path`.
    pub(super) fn of(value: Value, path: &str) -> Result<Self, ApiError> {
        match value {
            Value::Object(fields) => Ok(Self { fields, path: format!("{path}.") }),
            _ => Err(ApiError::bad_request(path, "it must be an object")),
        }
    }

    /// Path of a field.
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    /// An error that names a field.
    pub(super) fn error(&self, name: &str, reason: impl Into<String>) -> ApiError {
        ApiError::bad_request(self.path(name), reason)
    }

    /// A field, which stays.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// Returns `true` if there is such a field, and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.get(name).is_some_and(|value| !value.is_null())
    }

    /// Sets a field.
    pub(super) fn set(&mut self, name: &str, value: Value) {
        self.fields.insert(name.to_owned(), value);
    }

    /// Takes a field; `None` if it is absent or `null`.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a field whose value `convert` turns into what is `expected`.
    fn convert<T>(
        &mut self,
        name: &str,
        expected: &str,
        convert: impl FnOnce(Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        convert(value).map(Some).ok_or_else(|| self.error(name, format!("it must be {expected}")))
    }

    /// Takes a boolean.
    pub(super) fn switch(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.convert(name, "true or false", |value| value.as_bool())
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        self.convert(name, "a text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    /// Takes a number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, ApiError> {
        self.convert(name, "a number", |value| value.as_f64())
    }

    /// Takes an integer, which may be written with a fraction of zero.
    pub(super) fn integer(&mut self, name: &str) -> Result<Option<i128>, ApiError> {
        self.convert(name, "an integer", |value| match (value.as_i64(), value.as_u64(), value.as_f64()) {
            (Some(number), ..) => Some(number.into()),
            (_, Some(number), _) => Some(number.into()),
            (.., Some(number)) if number.fract() == 0.0 && number.abs() < 1e18 => Some(number as i128),
            _ => None,
        })
    }

    /// Takes a count: an integer from 0 on.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(number) = self.integer(name)? else { return Ok(None) };
        usize::try_from(number).map(Some).map_err(|_| self.error(name, format!("{number} is not a count")))
    }

    /// Takes a list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        self.convert(name, "a list", |value| match value {
            Value::Array(list) => Some(list),
            _ => None,
        })
    }

    /// Takes a list of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        self.convert(name, "a list of texts", |value| serde_json::from_value(value).ok())
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        let path = self.path(name);
        self.take(name).map(|value| Self::of(value, &path)).transpose()
    }

    /// Refuses the fields that are left and would change the answer. Returns the names of those that are unknown.
    pub(super) fn finish(self) -> Result<Vec<String>, ApiError> {
        if let Some((name, _)) =
            self.fields.iter().find(|(name, value)| REFUSED.contains(&name.as_str()) && !is_neutral(name, value))
        {
            return Err(self.error(name, "this server does not support it: leave it out"));
        }
        let known = |name: &&String| REFUSED.contains(&name.as_str()) || IGNORED.contains(&name.as_str());
        Ok(self.fields.keys().filter(|name| !known(name)).map(|name| self.path(name)).collect())
    }

    /// The same for a message or a part of one.
    pub(super) fn finish_message(self, unknown: &mut Vec<String>) -> Result<(), ApiError> {
        let left = || self.fields.iter().filter(|(_, value)| !value.is_null());
        if let Some((name, _)) = left().find(|(name, _)| REFUSED_IN_MESSAGES.contains(&name.as_str())) {
            return Err(self.error(name, "this server does not support it: leave it out"));
        }
        let known = |name: &str| IGNORED_IN_MESSAGES.contains(&name);
        unknown.extend(left().filter(|(name, _)| !known(name)).map(|(name, _)| self.path(name)));
        Ok(())
    }

    /// Refuses all fields that are left.
    pub(super) fn finish_known(self) -> Result<(), ApiError> {
        match self.fields.iter().find(|(_, value)| !value.is_null()) {
            Some((name, _)) => Err(self.error(name, "this server does not know it: leave it out")),
            None => Ok(()),
        }
    }
}

/// Returns `true` if the value of a refused field asks for nothing.
fn is_neutral(name: &str, value: &Value) -> bool {
    match value {
        Value::Null => true,
        _ if NEVER_NEUTRAL.contains(&name) => false,
        Value::Bool(on) => *on == ON_BY_DEFAULT.contains(&name),
        Value::Number(number) => {
            let default = DEFAULTS.iter().find(|(field, _)| *field == name).map_or(0.0, |(_, default)| *default);
            number.as_f64() == Some(default)
        }
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_converted_or_named() {
        let mut fields =
            Fields::parse(br#"{"a": 50.0, "b": -1, "c": 18446744073709551615, "d": null, "e": "x"}"#).unwrap();
        assert_eq!(fields.count("a").unwrap(), Some(50));
        assert_eq!(fields.count("b").unwrap_err().json()["error"]["param"], "b");
        assert_eq!(fields.integer("c").unwrap(), Some(u64::MAX.into()));
        assert_eq!(fields.integer("d").unwrap(), None);
        assert_eq!(fields.number("e").unwrap_err().json()["error"]["message"], "it must be a number");
        assert!(fields.finish().unwrap().is_empty());
    }

    #[test]
    fn fields_that_would_change_the_answer_are_refused_unless_they_ask_for_nothing() {
        let left = |body: &str| Fields::parse(body.as_bytes()).unwrap().finish();
        let neutral = r#"{"ignore_eos": false, "min_tokens": 0, "length_penalty": 1.0, "bad_words": [], "echo": null,
            "skip_special_tokens": true, "user": "x", "color": 1}"#;
        assert_eq!(left(neutral).unwrap(), ["color"]);
        for body in [
            r#"{"ignore_eos": true}"#,
            r#"{"min_tokens": 3}"#,
            r#"{"length_penalty": 2}"#,
            r#"{"stop_token_ids": [1]}"#,
            r#"{"skip_special_tokens": false}"#,
            r#"{"options": {"temperature": 1}}"#,
            r#"{"web_search_options": {}}"#,
            r#"{"prompt_logprobs": 0}"#,
            r#"{"tfs_z": 0}"#,
        ] {
            assert!(left(body).is_err(), "{body}");
        }
    }
}
