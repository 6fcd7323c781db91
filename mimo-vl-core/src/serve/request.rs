//! The body of a request for a chat completion.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::error::ApiError;
use super::media;
use super::options::ServeOptions;
use crate::error::Error;
use crate::prompt::{Message, Part, Prompt, Role, Thinking, ToolCall};
use crate::sampling::{GenerateOptions, Grammar};

/// Most bytes of decoded pictures and frames in a request.
const MOST_PIXELS: usize = 256 << 20;

/// What is understood of a request; other fields are passed over, as other servers do.
#[derive(Debug, Deserialize)]
struct Body {
    model: Option<String>,
    messages: Vec<Said>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    seed: Option<i64>,
    stop: Option<Stop>,
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
    chat_template_kwargs: Option<TemplateOptions>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct TemplateOptions {
    enable_thinking: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Deserialize)]
struct ResponseFormat {
    #[serde(rename = "type")]
    kind: String,
    json_schema: Option<JsonSchema>,
}

#[derive(Debug, Deserialize)]
struct JsonSchema {
    schema: Value,
}

#[derive(Debug, Deserialize)]
struct Said {
    role: String,
    content: Option<Content>,
    tool_calls: Option<Vec<Called>>,
}

#[derive(Debug, Deserialize)]
struct Called {
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Piece>),
}

#[derive(Debug, Deserialize)]
struct Piece {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    image_url: Option<Address>,
    video_url: Option<Address>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Address {
    Plain(String),
    Object { url: String },
}

impl Address {
    fn url(&self) -> &str {
        match self {
            Self::Plain(url) | Self::Object { url } => url,
        }
    }
}

/// A question, and how its answer is wanted.
#[derive(Debug)]
pub(super) struct Chat {
    pub(super) prompt: Prompt,
    pub(super) generate: GenerateOptions,
    /// As server-sent events.
    pub(super) stream: bool,
    /// With an event at their end that counts tokens.
    pub(super) usage: bool,
    /// Whether the answer may be calls of functions.
    pub(super) tools: bool,
}

impl Chat {
    /// Read a request's body, and the pictures and videos that it names.
    pub(super) fn read(body: &[u8], name: &str, options: &ServeOptions) -> Result<Self, ApiError> {
        let body: Body =
            serde_json::from_slice(body).map_err(|error| ApiError::of("body", format!("not a request: {error}")))?;
        if body.model.as_ref().is_some_and(|model| model != name) {
            let asked = body.model.unwrap_or_default();
            return Err(ApiError::no_model(&asked, name));
        }
        if body.n.is_some_and(|n| n != 1) {
            return Err(ApiError::of("n", "one answer is given for a request: ask again for another"));
        }
        let tools = body.offered()?;
        // All that costs little is checked before pictures are read.
        let generate = body.generate(options)?;
        let thinking = body.thinking()?;
        let media = |said: &Said| match &said.content {
            Some(Content::Parts(parts)) => parts.iter().filter(|part| part.kind != "text").count(),
            _ => 0,
        };
        if body.messages.iter().map(media).sum::<usize>() > options.max_media {
            let reason = format!("it has more than {} pictures and videos", options.max_media);
            return Err(ApiError::of("messages", reason));
        }
        let mut messages = Vec::with_capacity(body.messages.len());
        let mut bytes = 0;
        for (number, said) in body.messages.iter().enumerate() {
            messages.push(said.message(number, options, &mut bytes)?);
        }
        let mut prompt = Prompt::from_messages(messages).thinking(thinking);
        if let Some(offered) = &tools {
            prompt = prompt.tools(offered)?;
        }
        let stream = body.stream.unwrap_or(false);
        let usage = body.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        Ok(Self { prompt, generate, stream, usage, tools: tools.is_some() })
    }
}

impl Body {
    /// The functions that the model may call, as the chat template gets them.
    fn offered(&self) -> Result<Option<String>, ApiError> {
        let choice = match &self.tool_choice {
            None | Some(Value::Null) => "auto",
            Some(Value::String(choice)) => choice,
            Some(_) => "a function",
        };
        let tools = self.tools.as_deref().unwrap_or_default();
        match (choice, tools) {
            ("auto" | "none", []) | ("none", _) => Ok(None),
            ("auto", tools) => Ok(Some(Value::from(tools).to_string())),
            (other, _) => Err(ApiError::of("tool_choice", format!("{other}: it can be auto or none"))),
        }
    }

    fn thinking(&self) -> Result<Thinking, ApiError> {
        let template = self.chat_template_kwargs.as_ref().and_then(|options| options.enable_thinking);
        let effort = match self.reasoning_effort.as_deref() {
            None => None,
            Some("none") => Some(false),
            Some("minimal" | "low" | "medium" | "high" | "xhigh") => Some(true),
            Some(other) => {
                let reason = format!("{other:?} is none of none, minimal, low, medium, high, xhigh");
                return Err(ApiError::of("reasoning_effort", reason));
            }
        };
        Ok(match template.or(effort) {
            None => Thinking::Auto,
            Some(true) => Thinking::On,
            Some(false) => Thinking::Off,
        })
    }

    fn generate(&self, options: &ServeOptions) -> Result<GenerateOptions, ApiError> {
        let most = self.max_completion_tokens.or(self.max_tokens).unwrap_or(options.max_tokens);
        let mut generate = GenerateOptions::new().max_tokens(most.min(options.max_tokens));
        for (value, field) in [
            (self.temperature, &mut generate.temperature),
            (self.top_p, &mut generate.top_p),
            (self.min_p, &mut generate.min_p),
            (self.frequency_penalty, &mut generate.frequency_penalty),
            (self.presence_penalty, &mut generate.presence_penalty),
            (self.repetition_penalty, &mut generate.repetition_penalty),
        ] {
            *field = value.unwrap_or(*field);
        }
        // Some clients send -1 for no limit, and a negative seed is as good as another.
        generate.top_k = self.top_k.and_then(|top_k| usize::try_from(top_k).ok()).unwrap_or(generate.top_k);
        generate.seed = self.seed.map_or(generate.seed, i64::cast_unsigned);
        generate.stop = match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Several(texts)) => texts.clone(),
        };
        for (token, bias) in self.logit_bias.iter().flatten() {
            let wrong = || ApiError::of("logit_bias", format!("{token:?} is no token: a key is a token's number"));
            generate.logit_bias.push((token.parse().map_err(|_| wrong())?, *bias));
        }
        generate.logprobs = self.logprobs.unwrap_or(false).then(|| self.top_logprobs.unwrap_or(0));
        generate.grammar = self.response_format.as_ref().map(ResponseFormat::grammar).transpose()?.flatten();
        generate.validate()?;
        Ok(generate)
    }
}

impl ResponseFormat {
    fn grammar(&self) -> Result<Option<Grammar>, ApiError> {
        match (self.kind.as_str(), &self.json_schema) {
            ("text", _) => Ok(None),
            ("json_object", _) => Ok(Some(Grammar::JsonSchema(r#"{"type": "object"}"#.into()))),
            ("json_schema", Some(format)) => Ok(Some(Grammar::JsonSchema(format.schema.to_string()))),
            ("json_schema", None) => Err(ApiError::of("response_format.json_schema", "the schema is missing")),
            (other, _) => {
                let reason = format!("{other:?} is none of text, json_object, json_schema");
                Err(ApiError::of("response_format.type", reason))
            }
        }
    }
}

impl Said {
    /// `bytes` counts what pictures take in memory over all messages.
    fn message(&self, number: usize, options: &ServeOptions, bytes: &mut usize) -> Result<Message, ApiError> {
        let place = format!("messages[{number}]");
        let role = match self.role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                let reason = format!("{other:?} is none of system, developer, user, assistant, tool");
                return Err(ApiError::of(format!("{place}.role"), reason));
            }
        };
        let mut message = Message::new(role);
        match &self.content {
            None => {}
            Some(Content::Text(text)) => message.parts.push(Part::Text(text.clone())),
            Some(Content::Parts(parts)) => {
                for (number, part) in parts.iter().enumerate() {
                    let place = format!("{place}.content[{number}]");
                    let part = part.part(&place, role, options)?;
                    *bytes += match &part {
                        Part::Image(image) => image.pixels().len(),
                        Part::Video(video) => video.frames().iter().map(|frame| frame.pixels().len()).sum(),
                        _ => 0,
                    };
                    if *bytes > MOST_PIXELS {
                        return Err(ApiError::too_large(place, MOST_PIXELS));
                    }
                    message.parts.push(part);
                }
            }
        }
        for (number, Called { function }) in self.tool_calls.iter().flatten().enumerate() {
            // Some clients send nothing for a function without parameters.
            let arguments = if function.arguments.trim().is_empty() { "{}" } else { &function.arguments };
            let call = ToolCall::new(&*function.name, arguments);
            let wrong = |error: Error| ApiError::of(format!("{place}.tool_calls[{number}]"), error.to_string());
            message.parts.push(Part::ToolCall(call.map_err(wrong)?));
        }
        Ok(message)
    }
}

impl Piece {
    fn part(&self, place: &str, role: Role, options: &ServeOptions) -> Result<Part, ApiError> {
        let missing = || ApiError::of(place, format!("a part of the type {:?} without {}", self.kind, self.kind));
        match self.kind.as_str() {
            "text" => self.text.clone().map(Part::Text).ok_or_else(missing),
            "image_url" | "video_url" if role != Role::User => {
                Err(ApiError::of(place, "only messages of the user's have pictures and videos"))
            }
            "image_url" => {
                let address = self.image_url.as_ref().ok_or_else(missing)?;
                media::image(address.url(), place, options).map(Part::Image)
            }
            "video_url" => {
                let address = self.video_url.as_ref().ok_or_else(missing)?;
                media::video(address.url(), place, options).map(Part::Video)
            }
            other => Err(ApiError::of(place, format!("{other:?} is none of text, image_url, video_url"))),
        }
    }
}
