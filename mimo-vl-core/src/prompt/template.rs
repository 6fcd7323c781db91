//! The checkpoint's chat template: renders messages as the text format that the model was trained on.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat;
use serde_json::ser::PrettyFormatter;

use super::escape::SpecialTokenEscaper;
use super::json::{to_python_json, write_json};
use super::message::{Message, Part, Role, available_tools};
use super::thinking::strip_thinking;
use super::tokenizer::Tokenizer;
use super::tools::ToolCall;
use crate::config::CheckpointFiles;
use crate::error::{Error, Result};

/// Name of the main template.
const CHAT: &str = "chat";

/// Name of the template for conversations with tools, where it is a separate one.
const TOOLS: &str = "tools";

/// A chat template in the Jinja dialect of transformers (`utils/chat_template_utils.py`).
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Source text of all templates.
    source: String,
    add_vision_id: bool,
    /// Name of the template that supports tools.
    tools: Option<&'static str>,
}

impl ChatTemplate {
    /// Loads the template of a checkpoint directory: `chat_template.jinja`, or else the entry `chat_template` of
    /// `chat_template.json` or `tokenizer_config.json`. Of several templates it takes the one named `default`.
    ///
    /// If that template does not support tools, and the template `tool_use` or `default` of `tokenizer_config.json`
    /// does, conversations with tools use the latter: the published checkpoints have one template for images and
    /// another for tools.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is no template, or it is invalid; [`Error::Io`] when a file cannot be read.
    pub fn load(files: impl Into<CheckpointFiles>) -> Result<Self> {
        let files = files.into();
        let mut template = Self::load_main(&files)?;
        if template.tools.is_none() {
            // Only tools need this file here, so an invalid one is ignored.
            let json: Option<serde_json::Value> =
                files.read("tokenizer_config.json")?.and_then(|text| serde_json::from_str(&text).ok());
            let sources = json.iter().flat_map(|json| {
                let list = json["chat_template"].as_array();
                [list.and_then(|list| named(list, "tool_use")), entry(json).ok().flatten()]
            });
            let supports_tools = |source: &String| Self::parse(source.clone()).is_ok_and(|other| other.tools.is_some());
            if let Some(source) = sources.flatten().find(supports_tools) {
                template.source += &source;
                if template.environment.add_template_owned(TOOLS, source).is_ok() {
                    template.tools = Some(TOOLS);
                }
            }
        }
        Ok(template)
    }

    fn load_main(files: &CheckpointFiles) -> Result<Self> {
        let path = files.directory().join("chat_template.jinja");
        if let Some(source) = files.read("chat_template.jinja")? {
            return Self::parse(source).map_err(|reason| Error::checkpoint(path, reason));
        }
        for file in ["chat_template.json", "tokenizer_config.json"] {
            let path = files.directory().join(file);
            let Some(text) = files.read(file)? else { continue };
            let json = serde_json::from_str(&text).map_err(|error| Error::checkpoint(&path, error.to_string()))?;
            if let Some(source) = entry(&json).map_err(|reason| Error::checkpoint(&path, reason))? {
                return Self::parse(source).map_err(|reason| Error::checkpoint(path, reason));
            }
        }
        let reason = "the checkpoint has no chat template: add this file, chat_template.json or tokenizer_config.json";
        Err(Error::checkpoint(path, reason))
    }

    /// Creates a template from its source.
    ///
    /// # Errors
    /// [`Error::Prompt`] when the source is invalid.
    pub fn from_source(source: impl Into<String>) -> Result<Self> {
        Self::parse(source.into()).map_err(Error::prompt)
    }

    fn parse(source: String) -> Result<Self, String> {
        let mut environment = Environment::new();
        let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| error.to_string())?);
        environment.set_unknown_method_callback(pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_template_owned(CHAT, source.clone()).map_err(|error| format!("chat template: {error}"))?;
        let template = environment.get_template(CHAT).map_err(|error| error.to_string())?;
        let tools = template.undeclared_variables(false).contains("tools").then_some(CHAT);
        Ok(Self { environment, source, add_vision_id: false, tools })
    }

    /// Sets whether images and videos are numbered (`Picture 1: `), if the template supports it. Default `false`.
    #[must_use]
    pub fn add_vision_id(mut self, add_vision_id: bool) -> Self {
        self.add_vision_id = add_vision_id;
        self
    }

    /// Renders messages as text, with one pad token for each image or video. `add_generation_prompt` appends the start
    /// of an answer.
    ///
    /// The caller's text is not escaped: use [`ChatTemplate::encode`] for token ids.
    ///
    /// # Errors
    /// [`Error::Prompt`] when there is no message, the template rejects them, or they have tools and the template does
    /// not support tools.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_escaped(&messages.iter().collect::<Vec<_>>(), add_generation_prompt, str::to_owned)
    }

    /// Renders and encodes messages, with one pad token for each image or video. Only the template produces special
    /// tokens: their names in messages are ordinary text.
    ///
    /// # Errors
    /// [`Error::Prompt`] as for [`ChatTemplate::render`].
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<u32>> {
        self.encode_refs(tokenizer, messages, add_generation_prompt)
    }

    /// [`encode`](Self::encode) of messages that do not lie in one slice.
    pub(crate) fn encode_refs<'a>(
        &self,
        tokenizer: &Tokenizer,
        messages: impl IntoIterator<Item = &'a Message>,
        add_generation_prompt: bool,
    ) -> Result<Vec<u32>> {
        let messages: Vec<&Message> = messages.into_iter().collect();
        let escaper = SpecialTokenEscaper::new(texts(&messages).chain([self.source.as_str()]))?;
        let escape = |text: &str| escaper.escape(text, tokenizer.special_tokens()).into_owned();
        let rendered = self.render_escaped(&messages, add_generation_prompt, escape)?;
        tokenizer.encode_escaped(&rendered, escaper)
    }

    /// Renders messages, with every text of the caller passed through `escape`.
    fn render_escaped(
        &self,
        messages: &[&Message],
        add_generation_prompt: bool,
        escape: impl Fn(&str) -> String,
    ) -> Result<String> {
        if messages.is_empty() {
            return Err(Error::prompt("it has no message"));
        }
        let tools = available_tools(messages.iter().copied())?;
        let template = self.template_for(messages, tools.is_some())?;
        let tools = tools.map(|tools| escape_json(tools, &escape));
        let message = |message: &&Message| {
            let calls = tool_calls(message, &escape)?;
            let content = match template {
                TOOLS => Value::from(text_content(message, &escape)),
                _ => content(message, &escape),
            };
            Ok(match calls.is_empty() {
                true => context! { role => message.role.as_str(), content => content },
                false => context! { role => message.role.as_str(), content => content, tool_calls => calls },
            })
        };
        let messages = messages.iter().map(message).collect::<Result<Vec<Value>>>()?;
        let context = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            add_vision_id => self.add_vision_id,
            ..tools.map_or_else(|| context! {}, |tools| context! { tools => tools })
        };
        self.render_template(template, context)
    }

    /// Name of the template that can render these messages.
    fn template_for(&self, messages: &[&Message], has_tools: bool) -> Result<&'static str> {
        let parts = || messages.iter().flat_map(|message| &message.parts);
        let has_calls = || parts().any(|part| matches!(part, Part::ToolCall(_)));
        let has_results = || messages.iter().any(|message| message.role == Role::Tool);
        if !(has_tools || has_calls() || has_results()) {
            return Ok(CHAT);
        }
        match self.tools {
            None => Err(Error::prompt("it has tools, which the checkpoint's chat template does not support")),
            Some(name) => Ok(name),
        }
    }

    /// Renders a template context of transformers: `context` is a JSON object with `messages`,
    /// `add_generation_prompt`, `tools` and any other variable of the template.
    ///
    /// The context reaches the template unchanged: thinking stays in the history, and names of special tokens in a
    /// text become those tokens in [`Tokenizer::encode`].
    ///
    /// # Errors
    /// [`Error::Prompt`] when `context` is not a JSON object, or the template rejects it.
    pub fn render_json(&self, context: &str) -> Result<String> {
        let json: serde_json::Map<_, _> = serde_json::from_str(context).map_err(|error| {
            Error::prompt(format!("the context of the chat template is not a JSON object: {error}"))
        })?;
        let messages = json.get("messages").and_then(|messages| messages.as_array());
        let uses_tools = |message: &serde_json::Value| message["role"] == "tool" || message["tool_calls"].is_array();
        let has_tools = json.get("tools").and_then(|tools| tools.as_array()).is_some_and(|tools| !tools.is_empty())
            || messages.is_some_and(|messages| messages.iter().any(uses_tools));
        let name = self.tools.filter(|_| has_tools).unwrap_or(CHAT);
        self.render_template(name, to_template_value(json.into()))
    }

    fn render_template(&self, name: &str, context: Value) -> Result<String> {
        let template = self.environment.get_template(name).map_err(|error| Error::internal(error.to_string()))?;
        template.render(context).map_err(|error| Error::prompt(format!("the chat template rejects it: {error}")))
    }
}

/// The content of a message as a template value: a string for text only, a list of parts with media.
fn content(message: &Message, escape: &impl Fn(&str) -> String) -> Value {
    if message.parts.iter().any(|part| matches!(part, Part::Image(_) | Part::Video(_))) {
        let parts = message.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(context! { type => "text", text => escape(text) }),
            Part::Thinking(text) => Some(context! { type => "text", text => thinking_block(&escape(text)) }),
            Part::Image(_) => Some(context! { type => "image" }),
            Part::Video(_) => Some(context! { type => "video" }),
            Part::Tools(_) | Part::ToolCall(_) => None,
        });
        return Value::from(parts.collect::<Vec<_>>());
    }
    Value::from(text_content(message, escape))
}

/// The content of a message as text, with images and videos in the form that Qwen2.5-VL's template gives them
/// (`chat_template.json`): for templates that take only text.
fn text_content(message: &Message, escape: &impl Fn(&str) -> String) -> String {
    let (mut thinking, mut content, mut text) = (String::new(), String::new(), String::new());
    let own = |text: &str| match message.role {
        Role::Assistant => escape(strip_thinking(text)),
        _ => escape(text),
    };
    for part in &message.parts {
        match part {
            Part::Thinking(part) => thinking += &thinking_block(&escape(part)),
            Part::Text(part) => text += part,
            Part::Image(_) | Part::Video(_) => {
                content += &own(&std::mem::take(&mut text));
                let pad = if matches!(part, Part::Image(_)) { "<|image_pad|>" } else { "<|video_pad|>" };
                content += &format!("<|vision_start|>{pad}<|vision_end|>");
            }
            Part::Tools(_) | Part::ToolCall(_) => {}
        }
    }
    thinking + &content + &own(&text)
}

/// Thinking in the form in which the model writes it.
fn thinking_block(text: &str) -> String {
    format!("<think>\n{text}\n</think>\n\n")
}

/// Every text of the caller in these messages.
fn texts<'a>(messages: &[&'a Message]) -> impl Iterator<Item = &'a str> {
    messages.iter().flat_map(|message| &message.parts).flat_map(|part| match part {
        Part::Text(text) | Part::Thinking(text) | Part::Tools(text) => [text.as_str(), ""],
        Part::ToolCall(call) => [call.name.as_str(), call.arguments.as_str()],
        Part::Image(_) | Part::Video(_) => [""; 2],
    })
}

/// The tool calls of a message as template values, in OpenAI's format.
fn tool_calls(message: &Message, escape: &impl Fn(&str) -> String) -> Result<Vec<Value>> {
    let call = |part: &Part| match part {
        Part::ToolCall(ToolCall { name, arguments }) => Some(parse_arguments(arguments).map(|arguments| {
            let arguments = escape_json(arguments, escape);
            context! { type => "function", function => context! { name => escape(name), arguments => arguments } }
        })),
        _ => None,
    };
    message.parts.iter().filter_map(call).collect()
}

fn parse_arguments(arguments: &str) -> Result<serde_json::Value> {
    serde_json::from_str(arguments)
        .map_err(|error| Error::prompt(format!("the arguments of a tool call are not JSON: {error}")))
}

/// JSON as a template value, with every key and string passed through `escape`.
fn escape_json(json: serde_json::Value, escape: &impl Fn(&str) -> String) -> Value {
    fn escaped(json: serde_json::Value, escape: &impl Fn(&str) -> String) -> serde_json::Value {
        match json {
            serde_json::Value::String(text) => escape(&text).into(),
            serde_json::Value::Array(items) => items.into_iter().map(|item| escaped(item, escape)).collect(),
            serde_json::Value::Object(entries) => {
                entries.into_iter().map(|(key, item)| (escape(&key), escaped(item, escape))).collect()
            }
            other => other,
        }
    }
    to_template_value(escaped(json, escape))
}

/// The entry `chat_template` of a JSON file: a string, or the template `default` of a list.
fn entry(json: &serde_json::Value) -> Result<Option<String>, &'static str> {
    match json.get("chat_template") {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(source)) => Ok(Some(source.clone())),
        Some(serde_json::Value::Array(list)) => {
            named(list, "default").map(Some).ok_or("chat_template has no entry named \"default\"")
        }
        Some(_) => Err("chat_template must be a string or a list"),
    }
}

/// The template called `name` in a list of templates.
fn named(list: &[serde_json::Value], name: &str) -> Option<String> {
    let item = list.iter().find(|item| item["name"] == name)?;
    item["template"].as_str().map(str::to_owned)
}

/// The template function with which a template rejects messages.
fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// The filter `tojson`: serializes as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` does. Jinja's
/// own filter escapes for HTML, which models were not trained on.
fn to_json(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "tojson: ensure_ascii=true is not supported"));
    }
    options.assert_all_used()?;
    let json = to_json_value(&value)?;
    let spaces = " ".repeat(indent.unwrap_or(0));
    Ok(Value::from(match indent {
        Some(_) => write_json(&json, PrettyFormatter::with_indent(spaces.as_bytes())),
        None => to_python_json(&json),
    }))
}

/// JSON as a template value.
fn to_template_value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().into(),
        },
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(to_template_value).collect(),
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.into_iter().map(|(key, item)| (key, to_template_value(item))))
        }
    }
}

/// A template value as JSON.
fn to_json_value(value: &Value) -> Result<serde_json::Value, minijinja::Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => value.is_true().into(),
        ValueKind::Number => match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
            (Ok(number), _) if value.is_integer() => number.into(),
            (_, Ok(number)) if value.is_integer() => number.into(),
            _ => f64::try_from(value.clone())?.into(),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            serde_json::Value::Array(value.try_iter()?.map(|item| to_json_value(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let entries = value.try_iter()?.map(|key| Ok((key.to_string(), to_json_value(&value.get_item(&key)?)?)));
            serde_json::Value::Object(entries.collect::<Result<_, minijinja::Error>>()?)
        }
        _ => value.to_string().into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn rendered(source: &str, text: &str) -> Result<String> {
        let template = ChatTemplate::parse(source.to_owned()).unwrap();
        template.render(&[Message::new(Role::User).text(text)], true)
    }

    #[test]
    fn json_is_written_as_in_python() {
        let source = "{{ {'a': [1, 2.5, none, true], 'b': messages[0].content} | tojson }}";
        assert_eq!(rendered(source, "<é'\"&>").unwrap(), r#"{"a": [1, 2.5, null, true], "b": "<é'\"&>"}"#);
        assert_eq!(rendered("{{ [1, []] | tojson(indent=2) }}", "").unwrap(), "[\n  1,\n  []\n]");
    }

    #[test]
    fn blocks_and_methods_follow_transformers() {
        let source = "{% for m in messages %}\n  {% if m.content.startswith('x') %}\n{{ m.content.strip() }}\n  \
                      {% endif %}\n{% endfor %}\n";
        assert_eq!(rendered(source, "x <b> ").unwrap(), "x <b>\n");
    }

    #[test]
    fn a_template_can_reject_messages() {
        let rejected = rendered("{{ raise_exception('roles must alternate') }}", "x");
        assert!(matches!(rejected, Err(Error::Prompt { reason }) if reason.contains("roles must alternate")));
        let empty = ChatTemplate::parse(String::new()).unwrap().render(&[], true);
        assert!(matches!(empty, Err(Error::Prompt { .. })));
    }

    #[test]
    fn json_reaches_the_template_unchanged() {
        let source =
            "{% for m in messages %}{{ m | tojson }}{{ m.content }}{% endfor %}{{ tools is none }}{{ flag + 1 }}";
        let template = ChatTemplate::from_source(source).unwrap();
        let context = r#"{"messages": [{"role": "tool", "name": "é", "content": "<think>hm</think>"}], "tools": null,
            "flag": 3}"#;
        let expected = r#"{"role": "tool", "name": "é", "content": "<think>hm</think>"}<think>hm</think>True4"#;
        assert_eq!(template.render_json(context).unwrap(), expected);
        for context in ["", "[]", "{} {}"] {
            assert!(matches!(template.render_json(context), Err(Error::Prompt { .. })), "{context:?}");
        }
        assert!(matches!(ChatTemplate::from_source("{% for %}"), Err(Error::Prompt { .. })));
    }

    #[test]
    fn thinking_is_stripped_from_earlier_answers() {
        let template = ChatTemplate::parse("{% for m in messages %}[{{ m.content }}]{% endfor %}".to_owned()).unwrap();
        let message = |role| Message::new(role).text("<think>hm").text("</think>\n\nyes");
        let text = template.render(&[message(Role::Assistant), message(Role::User)], false).unwrap();
        assert_eq!(text, "[yes][<think>hm</think>\n\nyes]");
    }
}
