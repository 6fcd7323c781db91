//! The messages of a request, with their media.

use serde_json::Value;

use super::error::ApiError;
use super::fields::Fields;
use super::media::{MAX_PIXEL_BYTES, MediaSettings, load_frames, load_image, load_video};
use super::options::ServeOptions;
use crate::prompt::{Message, Part, Role, ToolCall};

/// Types of the parts that are images and videos, of OpenAI's two APIs, vLLM, transformers and Anthropic.
const MEDIA_TYPES: [&str; 6] = ["image_url", "input_image", "image", "video_url", "input_video", "video"];

/// Loads the messages of a request.
pub(super) struct MessageLoader<'a> {
    options: &'a ServeOptions,
    settings: &'a MediaSettings,
    /// Decoded pixels so far.
    pixel_bytes: usize,
    /// Paths of fields that are not known.
    unknown: Vec<String>,
}

impl<'a> MessageLoader<'a> {
    pub(super) fn new(options: &'a ServeOptions, settings: &'a MediaSettings) -> Self {
        Self { options, settings, pixel_bytes: 0, unknown: Vec::new() }
    }

    /// Paths of the fields so far that are not known.
    pub(super) fn unknown(&self) -> &[String] {
        &self.unknown
    }

    /// Checks the number of images and videos, before any is loaded.
    pub(super) fn check_count(&self, messages: &[Value]) -> Result<(), ApiError> {
        let parts = messages.iter().flat_map(|message| match &message["content"] {
            Value::Array(parts) => &parts[..],
            part => std::slice::from_ref(part),
        });
        let is_media = |part: &&Value| part["type"].as_str().is_some_and(|kind| MEDIA_TYPES.contains(&kind));
        let (count, max) = (parts.filter(is_media).count(), self.options.max_media_items);
        match count > max {
            true => Err(ApiError::bad_request(
                "messages",
                format!("it has {count} images and videos, which is more than {max}"),
            )),
            false => Ok(()),
        }
    }

    /// Loads the message at `path`.
    pub(super) fn load(&mut self, message: Value, path: &str) -> Result<Message, ApiError> {
        let mut fields = Fields::of(message, path)?;
        let role = fields.text("role")?.ok_or_else(|| fields.error("role", "it is missing"))?;
        let role = match role.as_str() {
            "system" | "developer" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                let reason = format!("{other:?} is not one of system, developer, user, assistant, tool");
                return Err(fields.error("role", reason));
            }
        };
        let mut message = Message::new(role);
        let path_of_content = fields.path("content");
        match fields.take("content") {
            None => {}
            Some(Value::String(text)) => message.parts.push(Part::Text(text)),
            Some(Value::Array(parts)) => {
                for (index, part) in parts.into_iter().enumerate() {
                    message.parts.push(self.part(part, &format!("{path_of_content}[{index}]"), role)?);
                }
            }
            Some(part @ Value::Object(_)) => message.parts.push(self.part(part, &path_of_content, role)?),
            Some(_) => return Err(fields.error("content", "it must be a text or a list of parts")),
        }
        for (index, call) in fields.list("tool_calls")?.into_iter().flatten().enumerate() {
            let path = format!("{path}.tool_calls[{index}]");
            message.parts.push(Part::ToolCall(tool_call(call, &path)?));
        }
        fields.finish_message(&mut self.unknown)?;
        Ok(message)
    }

    /// Loads a part of a message's content.
    fn part(&mut self, part: Value, path: &str, role: Role) -> Result<Part, ApiError> {
        if let Value::String(text) = part {
            return Ok(Part::Text(text));
        }
        let mut fields = Fields::of(part, path)?;
        let kind = fields.text("type")?.ok_or_else(|| fields.error("type", "it is missing"))?;
        let part = match kind.as_str() {
            "text" | "input_text" | "output_text" => {
                let text = fields.text("text")?;
                text.map(Part::Text)
                    .ok_or_else(|| ApiError::bad_request(path, "a part of text needs the field \"text\""))
            }
            kind if MEDIA_TYPES.contains(&kind) => {
                if !matches!(role, Role::User | Role::Tool) {
                    return Err(ApiError::bad_request(
                        path,
                        "only messages of users and tools may have images and videos",
                    ));
                }
                let part = self.media(&mut fields, kind, path)?;
                self.pixel_bytes += match &part {
                    Part::Image(image) => image.pixels().len(),
                    Part::Video(video) => video.frames().iter().map(|frame| frame.pixels().len()).sum(),
                    _ => 0,
                };
                match self.pixel_bytes > MAX_PIXEL_BYTES {
                    true => Err(ApiError::media_too_large(path.to_owned(), MAX_PIXEL_BYTES)),
                    false => Ok(part),
                }
            }
            other => {
                let reason = format!("parts of type {other:?} are not supported: send text, image_url or video_url");
                Err(fields.error("type", reason))
            }
        }?;
        fields.finish_message(&mut self.unknown)?;
        Ok(part)
    }

    /// Loads an image or a video. Its URL is a text, a list of frames, or an object, under the name of the type, `url`
    /// or `source`.
    fn media(&mut self, fields: &mut Fields, kind: &str, path: &str) -> Result<Part, ApiError> {
        let mut settings = self.settings.with(fields)?;
        let names: [&str; 5] = match kind.contains("image") {
            true => ["image_url", "image", "url", "source", "data"],
            false => ["video_url", "video", "url", "source", "data"],
        };
        let Some((name, mut value)) = names.iter().find_map(|name| Some((*name, fields.take(name)?))) else {
            let reason = format!("a part of type {kind:?} needs the field {:?}", names[0]);
            return Err(ApiError::bad_request(path, reason));
        };
        if value.is_object() {
            let mut inner = Fields::of(value, &fields.path(name))?;
            settings = settings.with(&mut inner)?;
            let detail = inner.text("detail")?;
            settings.detail(detail.as_deref()).map_err(|reason| inner.error("detail", reason))?;
            value = ["url", "data"]
                .iter()
                .find_map(|name| inner.take(name))
                .ok_or_else(|| inner.error("url", "it is missing"))?;
            inner.finish_message(&mut self.unknown)?;
        }
        let detail = fields.text("detail")?;
        settings.detail(detail.as_deref()).map_err(|reason| fields.error("detail", reason))?;
        match (value, kind.contains("image")) {
            (Value::String(url), true) => load_image(&url, path, &settings, self.options).map(Part::Image),
            (Value::String(url), false) => load_video(&url, path, &settings, self.options).map(Part::Video),
            (Value::Array(frames), false) => {
                let url = |frame: Value| match frame {
                    Value::String(url) => Some(url),
                    mut frame => match frame.get_mut("url").map(Value::take) {
                        Some(Value::String(url)) => Some(url),
                        _ => None,
                    },
                };
                let urls: Option<Vec<String>> = frames.into_iter().map(url).collect();
                let urls = urls.ok_or_else(|| fields.error(name, "the frames must be URLs"))?;
                load_frames(&urls, path, &settings, self.options).map(Part::Video)
            }
            _ => Err(fields.error(name, "it must be a URL")),
        }
    }
}

/// Parses a function call of an earlier answer.
fn tool_call(call: Value, path: &str) -> Result<ToolCall, ApiError> {
    let mut fields = Fields::of(call, path)?;
    let mut function = fields.object("function")?.ok_or_else(|| fields.error("function", "it is missing"))?;
    let name = function.text("name")?.ok_or_else(|| function.error("name", "it is missing"))?;
    let arguments = match function.take("arguments") {
        // Some clients send an empty text for a function without parameters.
        None => "{}".to_owned(),
        Some(Value::String(text)) if text.trim().is_empty() => "{}".to_owned(),
        Some(Value::String(text)) => text,
        Some(arguments) => arguments.to_string(),
    };
    ToolCall::new(name, &arguments).map_err(|error| ApiError::bad_request(path, error.to_string()))
}
