//! Parses the body of a chat completion request.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::media;
use super::options::ServeOptions;
use crate::error::Error;
use crate::prompt::{Message, Part, Prompt, Role, Thinking, ToolCall};
use crate::sampling::{GenerateOptions, Grammar};

/// Bytes of decoded pixels of all images and video frames of one request.
const MAX_PIXEL_BYTES: usize = 256 << 20;

/// The supported fields of OpenAI's `CreateChatCompletionRequest`, and vLLM's extensions. Other fields are ignored.
#[derive(Debug, Deserialize)]
struct ChatCompletionRequest {
    model: Option<String>,
    messages: Vec<RequestMessage>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    typical_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<StopField>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    repetition_penalty: Option<f32>,
    logit_bias: Option<BTreeMap<String, f32>>,
    logprobs: Option<bool>,
    top_logprobs: Option<usize>,
    n: Option<u64>,
    response_format: Option<ResponseFormat>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    reasoning_effort: Option<String>,
    thinking_budget: Option<usize>,
    chat_template_kwargs: Option<ChatTemplateKwargs>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct ChatTemplateKwargs {
    enable_thinking: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum StopField {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<JsonSchemaFormat>,
}

#[derive(Debug, Deserialize)]
struct JsonSchemaFormat {
    schema: Value,
}

#[derive(Debug, Deserialize)]
struct RequestMessage {
    role: String,
    content: Option<MessageContent>,
    tool_calls: Option<Vec<RequestToolCall>>,
}

#[derive(Debug, Deserialize)]
struct RequestToolCall {
    function: FunctionCall,
}

#[derive(Debug, Deserialize)]
struct FunctionCall {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Debug, Deserialize)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    image_url: Option<MediaUrl>,
    video_url: Option<MediaUrl>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum MediaUrl {
    Plain(String),
    Object { url: String },
}

impl MediaUrl {
    fn url(&self) -> &str {
        match self {
            Self::Plain(url) | Self::Object { url } => url,
        }
    }
}

/// A request whose fields are checked and whose media are loaded.
#[derive(Debug)]
pub(super) struct ParsedRequest {
    pub(super) prompt: Prompt,
    pub(super) options: GenerateOptions,
    /// Reply as server-sent events.
    pub(super) stream: bool,
    /// Last event with the token counts.
    pub(super) include_usage: bool,
    /// The answer may contain tool calls.
    pub(super) tools: bool,
}

impl ParsedRequest {
    /// Parses a request body, and loads the images and videos that it names.
    pub(super) fn parse(body: &[u8], model_name: &str, options: &ServeOptions) -> Result<Self, ApiError> {
        let request: ChatCompletionRequest = serde_json::from_slice(body)
            .map_err(|error| ApiError::bad_request("body", format!("invalid request body: {error}")))?;
        if let Some(requested) = request.model.as_ref().filter(|requested| *requested != model_name) {
            return Err(ApiError::model_not_found(requested, model_name));
        }
        if request.n.is_some_and(|n| n != 1) {
            return Err(ApiError::bad_request("n", "only 1 is supported: send a request for each answer"));
        }
        let tools = request.tools_json()?;
        // All that is cheap is checked before media are loaded.
        let generate_options = request.generate_options(options.max_tokens)?;
        let thinking = request.thinking()?;
        let media_items = |message: &RequestMessage| match &message.content {
            Some(MessageContent::Parts(parts)) => parts.iter().filter(|part| part.kind != "text").count(),
            _ => 0,
        };
        if request.messages.iter().map(media_items).sum::<usize>() > options.max_media_items {
            let reason = format!("more than {} images and videos", options.max_media_items);
            return Err(ApiError::bad_request("messages", reason));
        }
        let mut messages = Vec::with_capacity(request.messages.len());
        let mut pixel_bytes = 0;
        for (index, message) in request.messages.iter().enumerate() {
            messages.push(message.load(index, options, &mut pixel_bytes)?);
        }
        let mut prompt = Prompt::from_messages(messages).thinking(thinking);
        if let Some(tools) = &tools {
            prompt = prompt.tools(tools)?;
        }
        let stream = request.stream.unwrap_or(false);
        let include_usage = request.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        Ok(Self { prompt, options: generate_options, stream, include_usage, tools: tools.is_some() })
    }
}

impl ChatCompletionRequest {
    /// The tool definitions as the JSON array that the chat template takes.
    fn tools_json(&self) -> Result<Option<String>, ApiError> {
        let choice = match &self.tool_choice {
            None | Some(Value::Null) => "auto",
            Some(Value::String(choice)) => choice,
            Some(_) => "a named tool",
        };
        let tools = self.tools.as_deref().unwrap_or_default();
        match (choice, tools) {
            ("auto" | "none", []) | ("none", _) => Ok(None),
            ("auto", tools) => Ok(Some(Value::from(tools).to_string())),
            (other, _) => {
                Err(ApiError::bad_request("tool_choice", format!("{other} is not supported: send auto or none")))
            }
        }
    }

    /// The thinking mode: `chat_template_kwargs.enable_thinking`, else `reasoning_effort`.
    fn thinking(&self) -> Result<Thinking, ApiError> {
        let template = self.chat_template_kwargs.as_ref().and_then(|kwargs| kwargs.enable_thinking);
        let effort = match self.reasoning_effort.as_deref() {
            None => None,
            Some("none") => Some(false),
            Some("minimal" | "low" | "medium" | "high" | "xhigh") => Some(true),
            Some(other) => {
                let reason = format!("{other:?} is not one of none, minimal, low, medium, high, xhigh");
                return Err(ApiError::bad_request("reasoning_effort", reason));
            }
        };
        Ok(match template.or(effort) {
            None => Thinking::Auto,
            Some(true) => Thinking::On,
            Some(false) => Thinking::Off,
        })
    }

    /// The generation options; `max_tokens` is the server's default and limit.
    fn generate_options(&self, max_tokens: usize) -> Result<GenerateOptions, ApiError> {
        let requested = self.max_completion_tokens.or(self.max_tokens).unwrap_or(max_tokens);
        let mut options = GenerateOptions::new().max_tokens(requested.min(max_tokens));
        for (value, field) in [
            (self.temperature, &mut options.temperature),
            (self.top_p, &mut options.top_p),
            (self.min_p, &mut options.min_p),
            (self.typical_p, &mut options.typical_p),
            (self.frequency_penalty, &mut options.frequency_penalty),
            (self.presence_penalty, &mut options.presence_penalty),
            (self.repetition_penalty, &mut options.repetition_penalty),
        ] {
            *field = value.unwrap_or(*field);
        }
        // In vLLM top_k = -1 is off, and seeds may be negative.
        options.top_k = self.top_k.and_then(|top_k| usize::try_from(top_k).ok()).unwrap_or(options.top_k);
        options.seed = self.seed.map_or(options.seed, i64::cast_unsigned);
        options.stop = match &self.stop {
            None => Vec::new(),
            Some(StopField::One(text)) => vec![text.clone()],
            Some(StopField::Many(texts)) => texts.clone(),
        };
        for (token, bias) in self.logit_bias.iter().flatten() {
            let invalid = || ApiError::bad_request("logit_bias", format!("{token:?} is not a token id"));
            options.logit_bias.push((token.parse().map_err(|_| invalid())?, *bias));
        }
        options.logprobs = self.logprobs.unwrap_or(false).then(|| self.top_logprobs.unwrap_or(0));
        options.grammar = self.response_format.as_ref().map(ResponseFormat::grammar).transpose()?.flatten();
        options.thinking_budget = self.thinking_budget;
        options.validate()?;
        Ok(options)
    }
}

impl ResponseFormat {
    fn grammar(&self) -> Result<Option<Grammar>, ApiError> {
        match (self.kind.as_str(), &self.json_schema) {
            ("text", _) => Ok(None),
            ("json_object", _) => Ok(Some(Grammar::JsonSchema(r#"{"type": "object"}"#.into()))),
            ("json_schema", Some(format)) => Ok(Some(Grammar::JsonSchema(format.schema.to_string()))),
            ("json_schema", None) => Err(ApiError::bad_request("response_format.json_schema", "the schema is missing")),
            (other, _) => {
                let reason = format!("{other:?} is not one of text, json_object, json_schema");
                Err(ApiError::bad_request("response_format.type", reason))
            }
        }
    }
}

impl RequestMessage {
    /// Loads the media of message `index`. `pixel_bytes` sums the decoded pixels over all messages.
    fn load(&self, index: usize, options: &ServeOptions, pixel_bytes: &mut usize) -> Result<Message, ApiError> {
        let param = format!("messages[{index}]");
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                let reason = format!("{other:?} is not one of system, developer, user, assistant, tool");
                return Err(ApiError::bad_request(format!("{param}.role"), reason));
            }
        };
        let mut message = Message::new(role);
        match &self.content {
            None => {}
            Some(MessageContent::Text(text)) => message.parts.push(Part::Text(text.clone())),
            Some(MessageContent::Parts(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let param = format!("{param}.content[{index}]");
                    let part = part.load(&param, role, options)?;
                    *pixel_bytes += match &part {
                        Part::Image(image) => image.pixels().len(),
                        Part::Video(video) => video.frames().iter().map(|frame| frame.pixels().len()).sum(),
                        _ => 0,
                    };
                    if *pixel_bytes > MAX_PIXEL_BYTES {
                        return Err(ApiError::media_too_large(param, MAX_PIXEL_BYTES));
                    }
                    message.parts.push(part);
                }
            }
        }
        for (index, RequestToolCall { function }) in self.tool_calls.iter().flatten().enumerate() {
            // Some clients send an empty text for a function without parameters.
            let arguments = if function.arguments.trim().is_empty() { "{}" } else { &function.arguments };
            let call = ToolCall::new(&*function.name, arguments);
            let invalid =
                |error: Error| ApiError::bad_request(format!("{param}.tool_calls[{index}]"), error.to_string());
            message.parts.push(Part::ToolCall(call.map_err(invalid)?));
        }
        Ok(message)
    }
}

impl ContentPart {
    fn load(&self, param: &str, role: Role, options: &ServeOptions) -> Result<Part, ApiError> {
        let missing = || {
            let reason = format!("a part of type {:?} needs the field {:?}", self.kind, self.kind);
            ApiError::bad_request(param, reason)
        };
        match self.kind.as_str() {
            "text" => self.text.clone().map(Part::Text).ok_or_else(missing),
            "image_url" | "video_url" if role != Role::User => {
                Err(ApiError::bad_request(param, "only user messages may have images and videos"))
            }
            "image_url" => {
                let image = self.image_url.as_ref().ok_or_else(missing)?;
                media::load_image(image.url(), param, options).map(Part::Image)
            }
            "video_url" => {
                let video = self.video_url.as_ref().ok_or_else(missing)?;
                media::load_video(video.url(), param, options).map(Part::Video)
            }
            other => Err(ApiError::bad_request(param, format!("{other:?} is not one of text, image_url, video_url"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(fields: &str) -> GenerateOptions {
        let body = format!(r#"{{"messages": [{{"role": "user", "content": "Hello"}}], {fields}}}"#);
        let options = ServeOptions::new().max_tokens(100);
        ParsedRequest::parse(body.as_bytes(), "tiny", &options).unwrap().options
    }

    #[test]
    fn every_sampling_field_sets_its_generate_option() {
        let fields = r#""max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.1, "typical_p": 0.8,
            "seed": 3, "stop": ["a", "b"], "frequency_penalty": 0.25, "presence_penalty": 0.75,
            "repetition_penalty": 1.5, "logit_bias": {"5": -1.0}, "logprobs": true, "top_logprobs": 2,
            "thinking_budget": 9, "response_format": {"type": "json_object"}"#;
        let mut expected = GenerateOptions::new().max_tokens(7).temperature(0.5).top_p(0.9).top_k(40).min_p(0.1);
        expected.typical_p = 0.8;
        expected.seed = 3;
        expected.stop = vec!["a".into(), "b".into()];
        expected.frequency_penalty = 0.25;
        expected.presence_penalty = 0.75;
        expected.repetition_penalty = 1.5;
        expected.logit_bias = vec![(5, -1.0)];
        expected.logprobs = Some(2);
        expected.thinking_budget = Some(9);
        expected.grammar = Some(Grammar::JsonSchema(r#"{"type": "object"}"#.into()));
        assert_eq!(parse(fields), expected);
    }

    #[test]
    fn absent_and_extreme_fields_take_the_defaults() {
        assert_eq!(parse(r#""stop": "a""#), GenerateOptions::new().max_tokens(100).stop("a"));
        assert_eq!(parse(r#""top_k": -1, "max_tokens": 5000"#), GenerateOptions::new().max_tokens(100));
        assert_eq!(parse(r#""max_tokens": 5, "max_completion_tokens": 6"#).max_tokens, 6);
        assert_eq!(parse(r#""seed": -1"#).seed, u64::MAX);
    }
}
