//! Messages, and the prompt that one call adds to a conversation.

use serde_json::Value;

use super::thinking::{Thinking, ThinkingStyle};
use super::tools::{self, ToolCall};
use crate::error::{Error, Result};
use crate::media::{Image, Video};

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// A function that the model called.
    Tool,
}

impl Role {
    /// The role's name in chat templates.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// A piece of a message's content.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Part {
    /// Text, passed to the model unchanged. Names of special tokens in it are ordinary text.
    Text(String),
    /// An image.
    Image(Image),
    /// A video.
    Video(Video),
    /// The model's thinking before the text that follows; only in messages of the assistant.
    Thinking(String),
    /// The functions that the model may call from here on: a JSON list in OpenAI's format, which the chat template
    /// expects. Replaces an earlier list.
    Tools(String),
    /// A function call of the model; only in messages of the assistant.
    ToolCall(ToolCall),
}

/// A role and its content.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The content, in the order in which the model sees it.
    pub parts: Vec<Part>,
}

impl Message {
    /// Creates a message without parts.
    pub fn new(role: Role) -> Self {
        Self { role, parts: Vec::new() }
    }

    /// Appends text.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part(Part::Text(text.into()))
    }

    /// Appends an image.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.part(Part::Image(image))
    }

    /// Appends a video.
    #[must_use]
    pub fn video(self, video: Video) -> Self {
        self.part(Part::Video(video))
    }

    fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Returns `true` if there is no image, no video and no visible character.
    fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(text) => text.trim().is_empty(),
            part => matches!(part, Part::Tools(_)),
        })
    }

    fn ends_with(&self, suffix: &str) -> bool {
        let last = self.parts.iter().rfind(|part| !matches!(part, Part::Tools(_)));
        matches!(last, Some(Part::Text(text)) if text.ends_with(suffix))
    }
}

/// Removes the last message, which an answer continues, and returns its text. Its tools move to the message before.
fn take_continued(messages: &mut Vec<Message>) -> Result<String> {
    let invalid = || Error::prompt("continue_final_message needs a last message of the assistant, with text only");
    let last = messages.pop().filter(|last| last.role == Role::Assistant).ok_or_else(invalid)?;
    let mut continued = String::new();
    for part in last.parts {
        match part {
            Part::Text(text) => continued += &text,
            part @ Part::Tools(_) => messages.last_mut().ok_or_else(invalid)?.parts.push(part),
            _ => return Err(invalid()),
        }
    }
    match continued.is_empty() {
        true => Err(invalid()),
        false => Ok(continued),
    }
}

/// The functions that may be called after these messages; `None` when there are none.
pub(crate) fn available_tools<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Result<Option<Value>> {
    let parts = messages.into_iter().flat_map(|message| &message.parts);
    let tools = parts.filter_map(|part| match part {
        Part::Tools(tools) => Some(tools),
        _ => None,
    });
    let Some(tools) = tools.last() else { return Ok(None) };
    let tools: Vec<Value> = serde_json::from_str(tools)
        .map_err(|error| Error::prompt(format!("the tools are not a JSON list: {error}")))?;
    Ok(if tools.is_empty() { None } else { Some(tools.into()) })
}

/// The messages that one call adds to a conversation.
///
/// An image belongs before the text that asks about it: the published weights were trained in that order.
#[derive(Debug, Clone)]
pub struct Prompt {
    messages: Vec<Message>,
    thinking: Thinking,
    continue_final_message: bool,
    /// Text to continue without the chat template, in place of messages.
    text: Option<String>,
}

/// The messages of a prompt as the model sees them.
#[derive(Debug)]
#[non_exhaustive]
pub struct ResolvedPrompt {
    /// The messages; none for a prompt without template.
    pub messages: Vec<Message>,
    /// Start of the answer that the switch for thinking writes; may be empty.
    pub answer_prefix: &'static str,
    /// Start of the answer from the caller, for [`Prompt::continue_final_message`]; else empty.
    pub continued: String,
}

impl Prompt {
    /// Creates a prompt with one empty message of the user.
    pub fn user() -> Self {
        Self::from_messages(vec![Message::new(Role::User)])
    }

    /// Creates a prompt of several messages, such as an earlier conversation. The last one must be the user's or a
    /// tool's, or, with [`continue_final_message`](Self::continue_final_message), the assistant's.
    pub fn from_messages(messages: Vec<Message>) -> Self {
        Self { messages, thinking: Thinking::Auto, continue_final_message: false, text: None }
    }

    /// Creates a prompt of text alone, which the answer continues without the chat template, as a base model would. The
    /// conversation must be empty.
    pub fn without_template(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::from_messages(Vec::new()).thinking(Thinking::Off) }
    }

    /// Sets the system message, which comes first and replaces the template's default.
    #[must_use]
    pub fn system(mut self, text: impl Into<String>) -> Self {
        let message = Message::new(Role::System).text(text);
        match self.messages.first_mut() {
            Some(first) if first.role == Role::System => *first = message,
            _ => self.messages.insert(0, message),
        }
        self
    }

    /// Appends a message, to which everything is appended from here on. It replaces the empty message of a new prompt.
    #[must_use]
    pub fn message(mut self, message: Message) -> Self {
        if matches!(&self.messages[..], [only] if only.parts.is_empty()) {
            self.messages.clear();
        }
        self.messages.push(message);
        self
    }

    /// Appends text to the last message.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part(Part::Text(text.into()))
    }

    /// Appends an image to the last message.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.part(Part::Image(image))
    }

    /// Appends a video to the last message.
    #[must_use]
    pub fn video(self, video: Video) -> Self {
        self.part(Part::Video(video))
    }

    /// Lets the model call functions from here on: `tools` is a JSON list in OpenAI's format, which the chat template
    /// writes into the prompt. [`ToolCall::split`] finds the calls in an answer; their results belong into messages
    /// of [`Role::Tool`]. An empty list withdraws all functions.
    ///
    /// # Errors
    /// [`Error::Prompt`] when `tools` is not a JSON list of objects.
    pub fn tools(self, tools: &str) -> Result<Self> {
        Ok(self.part(Part::Tools(tools::validate_tools(tools)?)))
    }

    /// Lets the answer continue the text of the last message, which must be the assistant's. The answer has only what
    /// is added; the conversation then has the whole message. A grammar applies to what is added.
    #[must_use]
    pub fn continue_final_message(mut self, continues: bool) -> Self {
        self.continue_final_message = continues;
        self
    }

    /// Sets whether the model thinks first. Its position in the chain of calls does not matter.
    #[must_use]
    pub fn thinking(mut self, thinking: Thinking) -> Self {
        self.thinking = thinking;
        self
    }

    /// The value set by [`Prompt::thinking`].
    pub fn thinking_mode(&self) -> Thinking {
        self.thinking
    }

    /// Returns a copy with these pixel limits for its images and videos, in order.
    pub(crate) fn with_max_pixels(&self, limits: impl IntoIterator<Item = u32>) -> Self {
        let (mut limited, mut limits) = (self.clone(), limits.into_iter());
        for part in limited.messages.iter_mut().flat_map(|message| &mut message.parts) {
            match part {
                Part::Image(image) => {
                    *image = limits.next().map_or(image.clone(), |limit| image.clone().limit_pixels(limit))
                }
                Part::Video(video) => {
                    *video = limits.next().map_or(video.clone(), |limit| video.clone().limit_pixels(limit))
                }
                _ => {}
            }
        }
        limited
    }

    /// The messages as the caller built them.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Returns the validated messages for the model, with the text that [`Prompt::thinking`] adds to the last message
    /// of the user.
    ///
    /// # Errors
    /// [`Error::Prompt`] when there is no message; when the last one is the assistant's, the system's or empty; when a
    /// message to continue is not the assistant's, or has no text; or when a message that is not the assistant's has
    /// thinking or tool calls.
    pub fn resolve(&self, style: ThinkingStyle) -> Result<ResolvedPrompt> {
        if let Some(text) = &self.text {
            if text.is_empty() || !self.messages.is_empty() {
                return Err(Error::prompt("a prompt without template needs text, and has nothing else"));
            }
            return Ok(ResolvedPrompt { messages: Vec::new(), answer_prefix: "", continued: text.clone() });
        }
        let mut messages = self.messages.clone();
        let continued = if self.continue_final_message { take_continued(&mut messages)? } else { String::new() };
        let has_output =
            |message: &Message| message.parts.iter().any(|part| matches!(part, Part::Thinking(_) | Part::ToolCall(_)));
        if let Some(message) = messages.iter().find(|message| message.role != Role::Assistant && has_output(message)) {
            return Err(Error::prompt(format!(
                "a message with the role {} has thinking or tool calls: only the assistant's messages may have them",
                message.role.as_str()
            )));
        }
        let Some(last) = messages.last_mut() else {
            return Err(Error::prompt("it has no message: add a user's message with text, an image or a video"));
        };
        if !matches!(last.role, Role::User | Role::Tool) {
            let role = last.role.as_str();
            return Err(Error::prompt(format!(
                "its last message has the role {role}: it must be the user's or a tool's"
            )));
        }
        if last.role == Role::User && last.is_empty() {
            return Err(Error::prompt("it is empty: add text, an image or a video"));
        }
        let (suffix, answer_prefix) = style.directives(self.thinking);
        // An answer that has begun does not begin with thinking.
        let answer_prefix = if answer_prefix == "<think>" && !continued.is_empty() { "" } else { answer_prefix };
        // After a tool call the user's message is further up, and may have the suffix already.
        let user = messages.iter_mut().rfind(|message| message.role == Role::User);
        if let Some(user) = user.filter(|user| !suffix.is_empty() && !user.ends_with(suffix)) {
            user.parts.push(Part::Text(suffix.to_owned()));
        }
        Ok(ResolvedPrompt { messages, answer_prefix, continued })
    }

    fn part(mut self, part: Part) -> Self {
        match self.messages.last_mut() {
            Some(last) => last.parts.push(part),
            None => self.messages.push(Message::new(Role::User).part(part)),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn image() -> Image {
        Image::from_rgb(1, 1, 3, &[9, 8, 7]).unwrap()
    }

    fn last_text(messages: &[Message]) -> &str {
        match messages.last().unwrap().parts.last().unwrap() {
            Part::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_think_comes_last_for_any_order_of_builder_calls() {
        let prompt = Prompt::user().thinking(Thinking::Off).text("what?").image(image());
        let messages = prompt.resolve(ThinkingStyle::Slash).unwrap().messages;
        assert_eq!(messages[0].parts.len(), 3);
        assert_eq!(last_text(&messages), " /no_think");
        assert_eq!(prompt.messages()[0].parts.len(), 2, "the caller's messages are unchanged");
    }

    #[test]
    fn no_think_is_not_repeated() {
        let prompt = Prompt::user().text("what? /no_think").thinking(Thinking::Off);
        let messages = prompt.resolve(ThinkingStyle::Slash).unwrap().messages;
        assert_eq!(messages[0].parts.len(), 1);
        assert_eq!(last_text(&messages), "what? /no_think");
    }

    #[test]
    fn each_style_writes_the_form_that_its_checkpoints_were_trained_with() {
        let resolved = |style, thinking| {
            let resolved = Prompt::user().text("what?").thinking(thinking).resolve(style).unwrap();
            let (messages, answer_prefix) = (resolved.messages, resolved.answer_prefix);
            (messages[0].parts.len(), last_text(&messages).to_owned(), answer_prefix)
        };
        use ThinkingStyle::{Prefill, Tag};
        assert_eq!(resolved(Tag, Thinking::Off), (2, "\n<no_think>\n".to_owned(), ""));
        assert_eq!(resolved(Tag, Thinking::On), (2, "\n<think>\n".to_owned(), ""));
        assert_eq!(resolved(Prefill, Thinking::Off), (1, "what?".to_owned(), "<think>\n</think>\n"));
        assert_eq!(resolved(Prefill, Thinking::On), (1, "what?".to_owned(), "<think>"));
        assert_eq!(resolved(Prefill, Thinking::Auto), (1, "what?".to_owned(), ""));
    }

    #[test]
    fn thinking_in_a_user_message_is_an_error() {
        let mut message = Message::new(Role::User).text("what?");
        message.parts.push(Part::Thinking("hm".to_owned()));
        let prompt = Prompt::from_messages(vec![message]);
        assert!(matches!(prompt.resolve(ThinkingStyle::Slash), Err(Error::Prompt { .. })));
    }

    #[test]
    fn thinking_on_and_auto_add_nothing() {
        for thinking in [Thinking::On, Thinking::Auto] {
            let prompt = Prompt::user().text("what?").thinking(thinking);
            assert_eq!(last_text(&prompt.resolve(ThinkingStyle::Slash).unwrap().messages), "what?");
        }
    }

    #[test]
    fn the_system_message_comes_first_and_only_once() {
        let prompt = Prompt::user().text("a").system("one").system("two").text("b");
        let roles: Vec<_> = prompt.messages().iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User]);
        assert!(matches!(&prompt.messages()[0].parts[..], [Part::Text(text)] if text == "two"));
        assert_eq!(prompt.messages()[1].parts.len(), 2);
    }

    #[test]
    fn prompts_without_content_are_errors() {
        let empty = [
            Prompt::user(),
            Prompt::user().text(""),
            Prompt::user().text(" \n\t"),
            Prompt::user().thinking(Thinking::Off),
            Prompt::from_messages(Vec::new()),
            Prompt::from_messages(vec![Message::new(Role::Assistant).text("hello")]),
        ];
        for prompt in empty {
            assert!(matches!(prompt.resolve(ThinkingStyle::Slash), Err(Error::Prompt { .. })), "{prompt:?}");
        }
        assert!(Prompt::user().image(image()).resolve(ThinkingStyle::Slash).is_ok());
    }
}
