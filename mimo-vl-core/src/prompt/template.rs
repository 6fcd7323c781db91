//! The checkpoint's chat template: messages to the one string that the model was trained on.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat;
use serde_json::ser::PrettyFormatter;

use super::escape::SpecialTokenEscaper;
use super::json::{spaced_json, write_json};
use super::message::{Message, Part, Role, strip_thinking};
use super::tokenizer::Tokenizer;
use super::tools::{ToolCall, offered};
use crate::config::CheckpointFiles;
use crate::error::{Error, Result};

const NAME: &str = "chat";

/// The name of the template for functions that the model may call, where that is another one.
const TOOLS: &str = "tools";

/// A chat template in the dialect of Jinja that transformers gives to templates.
#[derive(Debug, Clone)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Of all templates.
    source: String,
    vision_ids: bool,
    /// Which template knows of functions that the model may call.
    tools: Option<&'static str>,
}

impl ChatTemplate {
    /// Read the template of a checkpoint directory: `chat_template.jinja`, or else the entry `chat_template` of
    /// `chat_template.json` or `tokenizer_config.json`. Of several templates the one named `default` is taken.
    ///
    /// Where that template knows nothing of tools, and one in `tokenizer_config.json` does, `tool_use` or `default`, conversations
    /// with tools take that one: the published checkpoints have one template for pictures, and one for tools.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when there is none, or it is not valid; [`Error::Io`] when a file cannot be read.
    pub fn load(texts: impl Into<CheckpointFiles>) -> Result<Self> {
        let texts = texts.into();
        let mut template = Self::load_main(&texts)?;
        if template.tools.is_none() {
            // What is not valid there is needed for nothing else.
            let json: Option<serde_json::Value> =
                texts.read("tokenizer_config.json")?.and_then(|text| serde_json::from_str(&text).ok());
            let sources = json.iter().flat_map(|json| {
                let list = json["chat_template"].as_array();
                [list.and_then(|list| named(list, "tool_use")), entry(json).ok().flatten()]
            });
            let knows_tools = |source: &String| Self::parse(source.clone()).is_ok_and(|other| other.tools.is_some());
            if let Some(source) = sources.flatten().find(knows_tools) {
                template.source += &source;
                if template.environment.add_template_owned(TOOLS, source).is_ok() {
                    template.tools = Some(TOOLS);
                }
            }
        }
        Ok(template)
    }

    fn load_main(texts: &CheckpointFiles) -> Result<Self> {
        let path = texts.directory().join("chat_template.jinja");
        if let Some(source) = texts.read("chat_template.jinja")? {
            return Self::parse(source).map_err(|reason| Error::checkpoint(path, reason));
        }
        for file in ["chat_template.json", "tokenizer_config.json"] {
            let path = texts.directory().join(file);
            let Some(text) = texts.read(file)? else { continue };
            let json = serde_json::from_str(&text).map_err(|error| Error::checkpoint(&path, error.to_string()))?;
            if let Some(source) = entry(&json).map_err(|reason| Error::checkpoint(&path, reason))? {
                return Self::parse(source).map_err(|reason| Error::checkpoint(path, reason));
            }
        }
        let reason = "no chat template: it must be here, in chat_template.json or in tokenizer_config.json";
        Err(Error::checkpoint(path, reason))
    }

    /// A template of your own.
    ///
    /// # Errors
    /// [`Error::Prompt`] when it is not valid.
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
        environment.add_template_owned(NAME, source.clone()).map_err(|error| format!("chat template: {error}"))?;
        let template = environment.get_template(NAME).map_err(|error| error.to_string())?;
        let tools = template.undeclared_variables(false).contains("tools").then_some(NAME);
        Ok(Self { environment, source, vision_ids: false, tools })
    }

    /// Number the pictures and videos (`Picture 1: `), if the template knows how to.
    #[must_use]
    pub fn vision_ids(mut self, vision_ids: bool) -> Self {
        self.vision_ids = vision_ids;
        self
    }

    /// The prompt as text, with one pad token for each picture or video. `add_generation_prompt` opens the answer.
    ///
    /// What users typed is in it as it is: give messages to [`ChatTemplate::encode`] to get token ids.
    ///
    /// # Errors
    /// [`Error::Prompt`] when there is no message, or the template refuses them or takes no tools where they have some.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        self.render_with(messages, add_generation_prompt, str::to_owned)
    }

    /// The prompt as token ids, with one pad token for each picture or video. Special tokens come from the template
    /// only: their names in the messages are ordinary text.
    ///
    /// # Errors
    /// [`Error::Prompt`] as for [`ChatTemplate::render`].
    pub fn encode(&self, tokenizer: &Tokenizer, messages: &[Message], add_generation_prompt: bool) -> Result<Vec<u32>> {
        let guard = SpecialTokenEscaper::new(texts(messages).chain([self.source.as_str()]))?;
        let protect = |text: &str| guard.protect(text, tokenizer.literals()).into_owned();
        let rendered = self.render_with(messages, add_generation_prompt, protect)?;
        tokenizer.encode_guarded(&rendered, guard)
    }

    fn render_with(&self, messages: &[Message], open_answer: bool, write: impl Fn(&str) -> String) -> Result<String> {
        if messages.is_empty() {
            return Err(Error::prompt("it has no message"));
        }
        let tools = offered(messages)?;
        let template = self.template_for(messages, tools.is_some())?;
        let tools = tools.map(|tools| guarded(tools, &write));
        let message = |message: &Message| {
            let calls = calls(message, &write)?;
            let content = content(message, &write);
            Ok(match calls.is_empty() {
                true => context! { role => message.role.as_str(), content => content },
                false => context! { role => message.role.as_str(), content => content, tool_calls => calls },
            })
        };
        let messages = messages.iter().map(message).collect::<Result<Vec<Value>>>()?;
        let context = context! {
            messages => messages,
            add_generation_prompt => open_answer,
            add_vision_id => self.vision_ids,
            ..tools.map_or_else(|| context! {}, |tools| context! { tools => tools })
        };
        self.fill(template, context)
    }

    /// The name of the template that can write these messages.
    fn template_for(&self, messages: &[Message], offered: bool) -> Result<&'static str> {
        let parts = || messages.iter().flat_map(|message| &message.parts);
        let called = || parts().any(|part| matches!(part, Part::ToolCall(_)));
        let answered = || messages.iter().any(|message| message.role == Role::Tool);
        if !(offered || called() || answered()) {
            return Ok(NAME);
        }
        match self.tools {
            None => Err(Error::prompt("it has tools, and the checkpoint's chat template takes none")),
            Some(TOOLS) if parts().any(|part| matches!(part, Part::Image(_) | Part::Video(_))) => Err(Error::prompt(
                "it has tools beside pictures or videos, and the checkpoint's template for tools takes text only",
            )),
            Some(name) => Ok(name),
        }
    }

    /// The prompt of messages in the form of transformers, with whatever else the template reads: `context` is a JSON
    /// object with `messages`, `add_generation_prompt`, `tools` and so on.
    ///
    /// The template gets all as it is. Thinking stays in the history, and names of special tokens in a text are such
    /// tokens to [`Tokenizer::encode`].
    ///
    /// # Errors
    /// [`Error::Prompt`] when `context` is no JSON object, or the template refuses it.
    pub fn render_json(&self, context: &str) -> Result<String> {
        let json: serde_json::Map<_, _> = serde_json::from_str(context).map_err(|error| {
            Error::prompt(format!("what the chat template is to render is no JSON object: {error}"))
        })?;
        let messages = json.get("messages").and_then(|messages| messages.as_array());
        let calls = |message: &serde_json::Value| message["role"] == "tool" || message["tool_calls"].is_array();
        let has_tools = json.get("tools").and_then(|tools| tools.as_array()).is_some_and(|tools| !tools.is_empty())
            || messages.is_some_and(|messages| messages.iter().any(calls));
        let name = self.tools.filter(|_| has_tools).unwrap_or(NAME);
        self.fill(name, value(json.into()))
    }

    fn fill(&self, name: &str, context: Value) -> Result<String> {
        let template = self.environment.get_template(name).map_err(|error| Error::internal(error.to_string()))?;
        template.render(context).map_err(|error| Error::prompt(format!("the chat template refuses it: {error}")))
    }
}

/// Text alone is a string to the template; with media it is a list of parts.
fn content(message: &Message, write: &impl Fn(&str) -> String) -> Value {
    if message.parts.iter().any(|part| matches!(part, Part::Image(_) | Part::Video(_))) {
        let parts = message.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(context! { type => "text", text => write(text) }),
            Part::Thinking(text) => Some(context! { type => "text", text => thought(&write(text)) }),
            Part::Image(_) => Some(context! { type => "image" }),
            Part::Video(_) => Some(context! { type => "video" }),
            Part::Tools(_) | Part::ToolCall(_) => None,
        });
        return Value::from(parts.collect::<Vec<_>>());
    }
    let (mut thinking, mut text) = (String::new(), String::new());
    for part in &message.parts {
        match part {
            Part::Thinking(part) => thinking += &thought(&write(part)),
            Part::Text(part) => text += part,
            _ => {}
        }
    }
    let text = if message.role == Role::Assistant { strip_thinking(&text) } else { &text };
    Value::from(thinking + &write(text))
}

/// Thinking in the form in which the model writes it.
fn thought(text: &str) -> String {
    format!("<think>\n{text}\n</think>\n\n")
}

fn texts(messages: &[Message]) -> impl Iterator<Item = &str> {
    messages.iter().flat_map(|message| &message.parts).flat_map(|part| match part {
        Part::Text(text) | Part::Thinking(text) | Part::Tools(text) => [text.as_str(), ""],
        Part::ToolCall(call) => [call.name.as_str(), call.arguments.as_str()],
        Part::Image(_) | Part::Video(_) => [""; 2],
    })
}

/// The calls in an answer, in OpenAI's form.
fn calls(message: &Message, write: &impl Fn(&str) -> String) -> Result<Vec<Value>> {
    let call = |part: &Part| match part {
        Part::ToolCall(ToolCall { name, arguments }) => Some(json("arguments of a call", arguments).map(|arguments| {
            let arguments = guarded(arguments, write);
            context! { type => "function", function => context! { name => write(name), arguments => arguments } }
        })),
        _ => None,
    };
    message.parts.iter().filter_map(call).collect()
}

fn json(what: &str, text: &str) -> Result<serde_json::Value> {
    serde_json::from_str(text).map_err(|error| Error::prompt(format!("{what} are no JSON: {error}")))
}

/// JSON as a template's value, with every text in it written by `write`.
fn guarded(json: serde_json::Value, write: &impl Fn(&str) -> String) -> Value {
    fn each(json: serde_json::Value, write: &impl Fn(&str) -> String) -> serde_json::Value {
        match json {
            serde_json::Value::String(text) => write(&text).into(),
            serde_json::Value::Array(items) => items.into_iter().map(|item| each(item, write)).collect(),
            serde_json::Value::Object(entries) => {
                entries.into_iter().map(|(key, item)| (write(&key), each(item, write))).collect()
            }
            other => other,
        }
    }
    value(each(json, write))
}

/// The template in a JSON file: a string, or a list of named ones.
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

/// One of several templates.
fn named(list: &[serde_json::Value], name: &str) -> Option<String> {
    let item = list.iter().find(|item| item["name"] == name)?;
    item["template"].as_str().map(str::to_owned)
}

/// Templates refuse messages with this.
fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it. Jinja's own filter escapes
/// for HTML, which models were not trained on.
fn to_json(value: Value, options: Kwargs) -> Result<Value, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    if options.get::<Option<bool>>("ensure_ascii")? == Some(true) {
        return Err(minijinja::Error::new(ErrorKind::InvalidOperation, "tojson: ensure_ascii=true is not supported"));
    }
    options.assert_all_used()?;
    let json = plain(&value)?;
    let spaces = " ".repeat(indent.unwrap_or(0));
    Ok(Value::from(match indent {
        Some(_) => write_json(&json, PrettyFormatter::with_indent(spaces.as_bytes())),
        None => spaced_json(&json),
    }))
}

/// JSON as a template's value.
fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(truth) => truth.into(),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().into(),
        },
        serde_json::Value::String(text) => text.into(),
        serde_json::Value::Array(items) => items.into_iter().map(value).collect(),
        serde_json::Value::Object(entries) => {
            Value::from_pairs(entries.into_iter().map(|(key, item)| (key, value(item))))
        }
    }
}

/// A template's value as JSON.
fn plain(value: &Value) -> Result<serde_json::Value, minijinja::Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => serde_json::Value::Null,
        ValueKind::Bool => value.is_true().into(),
        ValueKind::Number => match (i64::try_from(value.clone()), u64::try_from(value.clone())) {
            (Ok(number), _) if value.is_integer() => number.into(),
            (_, Ok(number)) if value.is_integer() => number.into(),
            _ => f64::try_from(value.clone())?.into(),
        },
        ValueKind::Seq | ValueKind::Iterable => {
            serde_json::Value::Array(value.try_iter()?.map(|item| plain(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => {
            let entries = value.try_iter()?.map(|key| Ok((key.to_string(), plain(&value.get_item(&key)?)?)));
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
    fn json_is_written_as_python_does() {
        let source = "{{ {'a': [1, 2.5, none, true], 'b': messages[0].content} | tojson }}";
        assert_eq!(rendered(source, "<é'\"&>").unwrap(), r#"{"a": [1, 2.5, null, true], "b": "<é'\"&>"}"#);
        assert_eq!(rendered("{{ [1, []] | tojson(indent=2) }}", "").unwrap(), "[\n  1,\n  []\n]");
    }

    #[test]
    fn blocks_and_methods_follow_transformers() {
        let source = "{% for m in messages %}\n  {% if m.content.startswith('x') %}\n{{ m.content.strip() }}\n  {% endif %}\n{% endfor %}\n";
        assert_eq!(rendered(source, "x <b> ").unwrap(), "x <b>\n");
    }

    #[test]
    fn a_template_can_refuse_messages() {
        let refused = rendered("{{ raise_exception('roles must alternate') }}", "x");
        assert!(matches!(refused, Err(Error::Prompt { reason }) if reason.contains("roles must alternate")));
        let nobody = ChatTemplate::parse(String::new()).unwrap().render(&[], true);
        assert!(matches!(nobody, Err(Error::Prompt { .. })));
    }

    #[test]
    fn json_reaches_the_template_as_it_is() {
        let source =
            "{% for m in messages %}{{ m | tojson }}{{ m.content }}{% endfor %}{{ tools is none }}{{ flag + 1 }}";
        let template = ChatTemplate::from_source(source).unwrap();
        let context = r#"{"messages": [{"role": "tool", "name": "é", "content": "<think>hm</think>"}], "tools": null, "flag": 3}"#;
        let expected = r#"{"role": "tool", "name": "é", "content": "<think>hm</think>"}<think>hm</think>True4"#;
        assert_eq!(template.render_json(context).unwrap(), expected);
        for context in ["", "[]", "{} {}"] {
            assert!(matches!(template.render_json(context), Err(Error::Prompt { .. })), "{context:?}");
        }
        assert!(matches!(ChatTemplate::from_source("{% for %}"), Err(Error::Prompt { .. })));
    }

    #[test]
    fn thinking_leaves_the_history() {
        let template = ChatTemplate::parse("{% for m in messages %}[{{ m.content }}]{% endfor %}".to_owned()).unwrap();
        let said = |role| Message::new(role).text("<think>hm").text("</think>\n\nyes");
        let text = template.render(&[said(Role::Assistant), said(Role::User)], false).unwrap();
        assert_eq!(text, "[yes][<think>hm</think>\n\nyes]");
    }
}
