//! Parses the body of a request for answers.

use std::hash::{BuildHasher, Hasher, RandomState};

use serde_json::{Map, Value, json};

use super::api::Api;
use super::content::MessageLoader;
use super::error::ApiError;
use super::fields::Fields;
use super::media::MediaSettings;
use super::options::ServeOptions;
use super::response_format::grammar;
use super::responses_request::{echoed, to_chat};
use crate::prompt::{Prompt, Thinking, ToolCall};
use crate::sampling::{GenerateOptions, Grammar, drop_annotations, one_line_layout};

/// Fields that have no meaning for a text that is continued.
const CHAT_ONLY: &[&str] = &[
    "messages",
    "tools",
    "tool_choice",
    "continue_final_message",
    "chat_template_kwargs",
    "enable_thinking",
    "thinking",
    "think",
    "reasoning_effort",
    "thinking_budget",
    "mm_processor_kwargs",
    "media_io_kwargs",
    "fps",
    "max_frames",
    "min_frames",
    "nframes",
    "num_frames",
    "max_pixels",
    "min_pixels",
    "total_pixels",
    "video_start",
    "video_end",
    "parallel_tool_calls",
    "input",
    "instructions",
];

/// Tokens of a completion without `max_tokens`, in OpenAI's completions API.
const DEFAULT_TEXT_TOKENS: usize = 16;

/// Largest seed that is drawn: every client can send it back exactly.
const MAX_DRAWN_SEED: u64 = (1 << 53) - 1;

/// A request whose fields are checked and whose media are loaded.
#[derive(Debug)]
pub(super) struct ParsedRequest {
    pub(super) prompt: Prompt,
    pub(super) options: GenerateOptions,
    /// Number of answers.
    pub(super) n: usize,
    /// Reply as server-sent events.
    pub(super) stream: bool,
    /// Last event with the token counts.
    pub(super) include_usage: bool,
    /// Calls that the reply may have; 0 without tools.
    pub(super) max_calls: usize,
    /// Fields of the request that a reply of the responses API repeats.
    pub(super) echo: Map<String, Value>,
}

impl ParsedRequest {
    /// Parses a request body, and loads the images and videos that it names.
    pub(super) fn parse(api: Api, body: &[u8], model_name: &str, options: &ServeOptions) -> Result<Self, ApiError> {
        let mut fields = Fields::parse(body)?;
        let mut echo = Map::new();
        match api {
            Api::Chat => {}
            Api::Responses => {
                echo = echoed(&fields);
                to_chat(&mut fields)?;
            }
            Api::Text => use_text_defaults(&mut fields)?,
        }
        if let Some(requested) = fields.text("model")?.filter(|requested| requested != model_name) {
            return Err(ApiError::model_not_found(&requested, model_name));
        }
        let stream = fields.switch("stream")?.unwrap_or(false);
        let include_usage = match fields.object("stream_options")? {
            Some(mut stream_options) => stream_options.switch("include_usage")?.unwrap_or(false),
            None => false,
        };
        let n = fields.count("n")?.unwrap_or(1);
        let places = options.max_concurrent.saturating_add(options.max_queued);
        let max_choices = if api == Api::Responses { 1 } else { options.max_choices.min(places) };
        if !(1..=max_choices).contains(&n) {
            return Err(fields.error("n", format!("{n} answers; it must be from 1 to {max_choices}")));
        }
        let modalities = fields.texts("modalities")?.unwrap_or_default();
        if let Some(other) = modalities.iter().find(|modality| *modality != "text") {
            return Err(fields.error("modalities", format!("{other:?} is not supported: only text")));
        }
        // All that is cheap is checked before media are loaded.
        let (tools, forced_call) = tools(&mut fields)?;
        let max_calls = match (&tools, fields.switch("parallel_tool_calls")?) {
            (None, _) => 0,
            (Some(_), Some(false)) => 1,
            (Some(_), _) => usize::MAX,
        };
        let settings = media_settings(&mut fields)?;
        let mut generate_options = generate_options(&mut fields, options.max_tokens)?;
        if forced_call.is_some() && generate_options.grammar.is_some() {
            return Err(fields.error("tool_choice", "a form of the answer and a call cannot both be required"));
        }
        generate_options.grammar = generate_options.grammar.or(forced_call);
        let thinking = thinking(&mut fields, &mut generate_options)?;
        generate_options.validate()?;
        let continues = fields.switch("continue_final_message")?.unwrap_or(false);
        if continues {
            // vLLM wants it to be off then.
            fields.switch("add_generation_prompt")?;
        }
        let text = if api == Api::Text { Some(text_prompt(&mut fields)?) } else { None };
        let messages = fields.list("messages")?;
        if messages.is_some() == text.is_some() {
            return Err(fields.error("messages", "they are missing, or do not belong to this API"));
        }
        let messages = messages.unwrap_or_default();
        let unknown = fields.finish()?;
        warn_of_unknown(&unknown);
        let mut loader = MessageLoader::new(options, &settings);
        loader.check_count(&messages)?;
        let load = |(index, message)| loader.load(message, &format!("messages[{index}]"));
        let messages = messages.into_iter().enumerate().map(load).collect::<Result<Vec<_>, _>>()?;
        warn_of_unknown(loader.unknown());
        let mut prompt = match text {
            Some(text) => Prompt::without_template(text),
            None => Prompt::from_messages(messages).thinking(thinking).continue_final_message(continues),
        };
        if let Some(tools) = &tools {
            prompt = prompt.tools(tools)?;
        }
        Ok(Self { prompt, options: generate_options, n, stream, include_usage, max_calls, echo })
    }
}

/// Logs the names of fields that are ignored: the first ones, because a client can send any number of them.
fn warn_of_unknown(names: &[String]) {
    if !names.is_empty() {
        let short = |name: &String| name.chars().take(60).collect::<String>();
        let shown = names.iter().take(10).map(short).collect::<Vec<_>>().join(", ");
        tracing::warn!(count = names.len(), fields = shown, "a request has fields that are unknown, and ignored");
    }
}

/// Rewrites the fields of the completions API that differ from the chat completions API.
fn use_text_defaults(fields: &mut Fields) -> Result<(), ApiError> {
    if let Some(name) = CHAT_ONLY.iter().find(|name| fields.has(name)) {
        return Err(fields.error(name, "a text is continued without a chat: leave it out"));
    }
    if let Some(count) = fields.count("logprobs")? {
        fields.set("logprobs", true.into());
        fields.set("top_logprobs", count.into());
    }
    if ["max_tokens", "n_predict"].iter().all(|name| !fields.has(name)) {
        fields.set("max_tokens", DEFAULT_TEXT_TOKENS.into());
    }
    Ok(())
}

/// The text that the completions API continues: a text, or a list with one.
fn text_prompt(fields: &mut Fields) -> Result<String, ApiError> {
    match fields.take("prompt") {
        Some(Value::String(text)) => Ok(text),
        Some(Value::Array(texts)) => match &texts[..] {
            [Value::String(text)] => Ok(text.clone()),
            _ => Err(fields.error("prompt", "a list must have one text: send a request for each")),
        },
        _ => Err(fields.error("prompt", "it must be a text")),
    }
}

/// The tool definitions as the JSON array that the chat template takes, and the grammar of a call that is required.
fn tools(fields: &mut Fields) -> Result<(Option<String>, Option<Grammar>), ApiError> {
    let tools = fields.list("tools")?.unwrap_or_default();
    for (index, tool) in tools.iter().enumerate() {
        check_tool(tool).map_err(|reason| fields.error(&format!("tools[{index}]"), reason))?;
    }
    let choice = fields.take("tool_choice").unwrap_or("auto".into());
    let named = choice["function"]["name"].as_str().or(choice["name"].as_str());
    let callable: Vec<&Value> = match (choice.as_str(), named) {
        (Some("none"), _) => return Ok((None, None)),
        (Some("auto"), _) if tools.is_empty() => return Ok((None, None)),
        (Some("auto"), _) => return Ok((Some(Value::from(tools).to_string()), None)),
        (Some("required"), _) => tools.iter().collect(),
        (_, Some(name)) => tools.iter().filter(|tool| tool["function"]["name"] == name).collect(),
        _ => return Err(fields.error("tool_choice", "it is not one of auto, none, required and a function")),
    };
    if callable.is_empty() {
        return Err(fields.error("tool_choice", "there is no such function in `tools`"));
    }
    let grammar = call_grammar(callable.into_iter().map(|tool| &tool["function"]));
    Ok((Some(Value::from(tools).to_string()), Some(grammar)))
}

/// Returns why a tool is not a function with a name and a schema of its arguments.
fn check_tool(tool: &Value) -> Result<(), &'static str> {
    let function = &tool["function"];
    if tool["type"] != "function" || function["name"].as_str().is_none_or(str::is_empty) {
        return Err("it must be of the type function, with the name of the function");
    }
    match &function["parameters"] {
        Value::Null => Ok(()),
        Value::Object(schema) if schema.get("type").is_none_or(|kind| kind == "object") => Ok(()),
        _ => Err("the parameters of the function must be the JSON schema of an object"),
    }
}

/// The grammar of a call of one of these functions.
fn call_grammar<'a>(functions: impl Iterator<Item = &'a Value>) -> Grammar {
    let literal = |text: &str| Value::from(text).to_string();
    let (mut names, mut rules) = (Vec::new(), String::new());
    for (index, function) in functions.enumerate() {
        // The arguments are a document of their own, in which references work.
        let mut schema = match &function["parameters"] {
            Value::Object(parameters) if !parameters.is_empty() => Value::from(parameters.clone()),
            _ => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        };
        drop_annotations(&mut schema);
        schema["x-guidance"] = one_line_layout();
        let start = literal(&format!("{{\"name\": {}, \"arguments\": ", function["name"]));
        rules += &format!("call_{index}: {start} arguments_{index} \"}}\"\narguments_{index}: %json {schema}\n");
        names.push(format!("call_{index}"));
    }
    let (start, end) = (literal(&format!("{}\n", ToolCall::START)), literal(&format!("\n{}", ToolCall::END)));
    Grammar::Lark(format!("start: {start} ({}) {end}\n{rules}", names.join(" | ")))
}

/// Takes the frames and pixels of all media of the request: at the top, and in vLLM's `mm_processor_kwargs` and
/// `media_io_kwargs`.
fn media_settings(fields: &mut Fields) -> Result<MediaSettings, ApiError> {
    let mut settings = MediaSettings::default().with(fields)?;
    if let Some(mut processor) = fields.object("mm_processor_kwargs")? {
        settings = settings.with(&mut processor)?;
        processor.finish_known()?;
    }
    if let Some(mut media) = fields.object("media_io_kwargs")? {
        if let Some(mut video) = media.object("video")? {
            settings = settings.with(&mut video)?;
            video.finish_known()?;
        }
        media.finish_known()?;
    }
    Ok(settings)
}

/// Takes the thinking switch, of whichever system's field: the first of these that is set. A budget goes into the
/// options.
fn thinking(fields: &mut Fields, options: &mut GenerateOptions) -> Result<Thinking, ApiError> {
    let mut switches = Vec::new();
    if let Some(mut template) = fields.object("chat_template_kwargs")? {
        switches.extend([template.switch("enable_thinking")?, template.switch("thinking")?]);
        template.finish_known()?;
    }
    switches.push(fields.switch("enable_thinking")?);
    if let Some(mut thinking) = fields.object("thinking")? {
        switches.push(match thinking.text("type")?.as_deref() {
            None => None,
            Some("enabled" | "adaptive") => Some(true),
            Some("disabled") => Some(false),
            Some(other) => return Err(thinking.error("type", format!("{other:?} is not one of enabled, disabled"))),
        });
        options.thinking_budget = thinking.count("budget_tokens")?.or(options.thinking_budget);
        thinking.finish_known()?;
    }
    for name in ["think", "reasoning_effort"] {
        switches.push(match fields.take(name) {
            None => None,
            Some(Value::Bool(on)) => Some(on),
            Some(Value::String(effort)) => match effort.as_str() {
                "none" => Some(false),
                "minimal" | "low" | "medium" | "high" | "xhigh" | "max" => Some(true),
                other => {
                    let reason = format!("{other:?} is not one of none, minimal, low, medium, high, xhigh");
                    return Err(fields.error(name, reason));
                }
            },
            Some(_) => return Err(fields.error(name, "it must be true, false or an effort")),
        });
    }
    Ok(match switches.into_iter().flatten().next() {
        None => Thinking::Auto,
        Some(true) => Thinking::On,
        Some(false) => Thinking::Off,
    })
}

/// Takes the generation options; `max_tokens` is the server's default and limit.
fn generate_options(fields: &mut Fields, max_tokens: usize) -> Result<GenerateOptions, ApiError> {
    let mut options = GenerateOptions::new().max_tokens(max_tokens);
    for name in ["n_predict", "max_tokens", "max_output_tokens", "max_completion_tokens"] {
        match fields.integer(name)? {
            // In llama.cpp -1 is no limit.
            None | Some(-1) => {}
            Some(tokens) => {
                let tokens =
                    usize::try_from(tokens).map_err(|_| fields.error(name, format!("{tokens} is not a count")));
                options.max_tokens = tokens?.min(max_tokens);
            }
        }
    }
    for (names, option) in [
        (&["temperature"][..], &mut options.temperature),
        (&["top_p"], &mut options.top_p),
        (&["min_p"], &mut options.min_p),
        (&["typical_p", "typ_p"], &mut options.typical_p),
        (&["frequency_penalty"], &mut options.frequency_penalty),
        (&["presence_penalty"], &mut options.presence_penalty),
        (&["repetition_penalty", "repeat_penalty"], &mut options.repetition_penalty),
    ] {
        for name in names {
            *option = fields.number(name)?.map_or(*option, |number| number as f32);
        }
    }
    // In vLLM -1 is off.
    options.top_k = fields.integer("top_k")?.map_or(options.top_k, |top_k| usize::try_from(top_k).unwrap_or(0));
    options.seed = match fields.integer("seed")? {
        // In llama.cpp -1 asks for a random one.
        None | Some(-1) => RandomState::new().build_hasher().finish() & MAX_DRAWN_SEED,
        // A negative seed of 64 bits is the same bits without a sign.
        Some(seed) => seed as u64,
    };
    options.stop = match fields.take("stop") {
        None => Vec::new(),
        Some(Value::String(text)) => vec![text],
        Some(texts) => {
            serde_json::from_value(texts).map_err(|_| fields.error("stop", "it must be a text or a list of texts"))?
        }
    };
    if let Some(biases) = fields.take("logit_bias") {
        let invalid = |fields: &Fields| fields.error("logit_bias", "it must have token ids with a number each");
        for (token, bias) in biases.as_object().ok_or_else(|| invalid(fields))? {
            let bias = token.parse().ok().zip(bias.as_f64()).ok_or_else(|| invalid(fields))?;
            options.logit_bias.push((bias.0, bias.1 as f32));
        }
    }
    let top_logprobs = fields.count("top_logprobs")?.unwrap_or(0);
    options.logprobs = fields.switch("logprobs")?.unwrap_or(false).then_some(top_logprobs);
    options.thinking_budget = fields.count("thinking_budget")?;
    options.loop_window = fields.count("loop_window")?.unwrap_or(options.loop_window);
    options.max_context = fields.count("max_context")?;
    options.prose_regions = fields.switch("prose_regions")?.unwrap_or(options.prose_regions);
    options.grammar = grammar(fields)?;
    Ok(options)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn request(fields: &str) -> Result<ParsedRequest, ApiError> {
        let body = format!(r#"{{"messages": [{{"role": "user", "content": "Hello"}}], {fields}}}"#);
        ParsedRequest::parse(Api::Chat, body.as_bytes(), "tiny", &ServeOptions::new().max_tokens(100))
    }

    fn parse(fields: &str) -> GenerateOptions {
        request(&format!(r#""seed": 0, {fields}"#)).unwrap().options
    }

    #[test]
    fn every_sampling_field_sets_its_generate_option() {
        let fields = r#""max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "typical_p": 0.8,
            "stop": ["a", "b"], "frequency_penalty": 0.25, "presence_penalty": 0.75, "repetition_penalty": 1.5,
            "logit_bias": {"5": -1.0}, "logprobs": true, "top_logprobs": 2, "thinking_budget": 9, "loop_window": 32,
            "max_context": 512, "prose_regions": true, "response_format": {"type": "json_object"}"#;
        let mut expected = GenerateOptions::new().max_tokens(7).temperature(0.5).top_p(0.9).top_k(40).min_p(0.1);
        expected.typical_p = 0.8;
        expected.stop = vec!["a".into(), "b".into()];
        expected.frequency_penalty = 0.25;
        expected.presence_penalty = 0.75;
        expected.repetition_penalty = 1.5;
        expected.logit_bias = vec![(5, -1.0)];
        expected.logprobs = Some(2);
        expected.thinking_budget = Some(9);
        expected.loop_window = 32;
        expected.max_context = Some(512);
        expected.prose_regions = true;
        expected.grammar = Some(Grammar::JsonSchema(r#"{"type": "object"}"#.into()));
        assert_eq!(parse(fields), expected);
    }

    #[test]
    fn absent_and_extreme_fields_take_the_defaults() {
        assert_eq!(parse(r#""stop": "a""#), GenerateOptions::new().max_tokens(100).stop("a"));
        assert_eq!(parse(r#""top_k": -1, "max_tokens": 5000"#), GenerateOptions::new().max_tokens(100));
        assert_eq!(parse(r#""max_tokens": -1"#).max_tokens, 100);
        assert_eq!(parse(r#""max_tokens": 50.0"#).max_tokens, 50);
        assert_eq!(parse(r#""n_predict": 8, "repeat_penalty": 1.5"#).repetition_penalty, 1.5);
        assert_eq!(parse(r#""max_tokens": 5, "max_completion_tokens": 6"#).max_tokens, 6);
        assert!(request(r#""max_tokens": 2.5"#).is_err() && request(r#""max_tokens": -2"#).is_err());
    }

    #[test]
    fn seeds_of_64_bits_are_kept_and_absent_ones_are_drawn() {
        let seed = |fields: &str| request(fields).unwrap().options.seed;
        assert_eq!(seed(r#""seed": 18446744073709551615"#), u64::MAX);
        assert_eq!(seed(r#""seed": -2"#), u64::MAX - 1);
        for drawn in [r#""seed": -1"#, r#""seed": null"#, r#""n": 1"#] {
            assert!(seed(drawn) != seed(drawn) && seed(drawn) <= MAX_DRAWN_SEED, "{drawn}");
        }
    }

    #[test]
    fn thinking_is_switched_by_the_fields_of_every_system() {
        let mode = |fields: &str| request(fields).unwrap().prompt.thinking_mode();
        for (fields, expected) in [
            (r#""n": 1"#, Thinking::Auto),
            (r#""chat_template_kwargs": {"enable_thinking": false}"#, Thinking::Off),
            (r#""chat_template_kwargs": {"thinking": true}"#, Thinking::On),
            (r#""enable_thinking": false"#, Thinking::Off),
            (r#""think": true"#, Thinking::On),
            (r#""think": "low""#, Thinking::On),
            (r#""thinking": {"type": "disabled"}"#, Thinking::Off),
            (r#""thinking": {"type": "enabled", "budget_tokens": 9}"#, Thinking::On),
            (r#""reasoning_effort": "none""#, Thinking::Off),
            (r#""reasoning_effort": "high", "enable_thinking": false"#, Thinking::Off),
        ] {
            assert_eq!(mode(fields), expected, "{fields}");
        }
        assert_eq!(parse(r#""thinking": {"type": "enabled", "budget_tokens": 9}"#).thinking_budget, Some(9));
        for fields in [
            r#""chat_template_kwargs": {"color": 1}"#,
            r#""thinking": {"type": "sometimes"}"#,
            r#""reasoning_effort": "wild""#,
        ] {
            assert_eq!(request(fields).unwrap_err().status, 400, "{fields}");
        }
    }

    #[test]
    fn fields_that_would_bind_the_answer_are_never_ignored() {
        for fields in [
            r#""n": 0"#,
            r#""n": 1000"#,
            r#""modalities": ["text", "audio"]"#,
            r#""ignore_eos": true"#,
            r#""mm_processor_kwargs": {"patch_size": 16}"#,
            r#""tool_choice": "required""#,
            r#""tool_choice": {"type": "function", "function": {"name": "look"}}"#,
            r#""temperature": "hot""#,
        ] {
            assert_eq!(request(fields).unwrap_err().status, 400, "{fields}");
        }
    }
}
