//! Messages, and the prompt that one question adds to a conversation.

use std::str::FromStr;

use super::tools::{self, ToolCall};
use crate::error::{Error, Result};
use crate::media::{Image, Video};

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The one who asks.
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

/// One piece of a message.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Part {
    /// Text, put to the model as it is. Names of special tokens in it are ordinary text.
    Text(String),
    /// A picture.
    Image(Image),
    /// A video.
    Video(Video),
    /// What the model thought before it said the text that follows; only in the assistant's messages.
    Thinking(String),
    /// Functions that the model may call from here on, a JSON list in the form that the chat template takes: OpenAI's. It takes
    /// the place of an earlier one.
    Tools(String),
    /// A function that the model called; only in the assistant's messages.
    ToolCall(ToolCall),
}

/// What one side says at a time: parts in the order in which the model sees them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub parts: Vec<Part>,
}

impl Message {
    /// A message without parts.
    pub fn new(role: Role) -> Self {
        Self { role, parts: Vec::new() }
    }

    /// Add text at the end.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part(Part::Text(text.into()))
    }

    /// Add a picture at the end.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.part(Part::Image(image))
    }

    /// Add a video at the end.
    #[must_use]
    pub fn video(self, video: Video) -> Self {
        self.part(Part::Video(video))
    }

    fn part(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Whether there is neither a picture, nor a video, nor a visible character.
    fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| match part {
            Part::Text(text) => text.trim().is_empty(),
            part => matches!(part, Part::Tools(_)),
        })
    }

    fn ends_with(&self, end: &str) -> bool {
        let last = self.parts.iter().rfind(|part| !matches!(part, Part::Tools(_)));
        matches!(last, Some(Part::Text(text)) if text.ends_with(end))
    }
}

/// Whether the model thinks before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Thinking {
    /// Say nothing about it: the checkpoint's own habit.
    #[default]
    Auto,
    /// Think.
    On,
    /// Answer at once.
    Off,
}

/// How a checkpoint is told to think or not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ThinkingStyle {
    /// ` /no_think` as the very last characters of the user's turn, after all media; nothing is said to think. The
    /// checkpoints of August 2025 (`-2508`) were trained so.
    #[default]
    Slash,
    /// `<no_think>` or `<think>` on a line of its own at the end of the user's turn: those of June 2025.
    Tag,
    /// The answer is begun for the model: with thinking that is empty, or with a tag that opens it. Works with every
    /// checkpoint.
    Prefill,
}

impl ThinkingStyle {
    /// Every style.
    pub const ALL: [Self; 3] = [Self::Slash, Self::Tag, Self::Prefill];

    /// The name, as `from_str` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slash => "slash",
            Self::Tag => "tag",
            Self::Prefill => "prefill",
        }
    }

    /// The style of a published checkpoint, by the name of its folder or of one above: [`Prefill`](Self::Prefill) for those of June 2025,
    /// else [`Slash`](Self::Slash).
    pub fn of_checkpoint(name: &str) -> Self {
        let name = name.to_lowercase();
        let families = ["mimo-vl-7b-rl", "mimo-vl-7b-sft"];
        let folder = name.split(['/', '\\']).rev().find(|part| families.iter().any(|family| part.contains(family)));
        if folder.is_some_and(|folder| !folder.contains("2508")) { Self::Prefill } else { Self::Slash }
    }

    /// What is said at the end of the user's turn, and how the answer is begun.
    fn words(self, thinking: Thinking) -> (&'static str, &'static str) {
        match (thinking, self) {
            (Thinking::Auto, _) | (Thinking::On, Self::Slash) => ("", ""),
            (Thinking::Off, Self::Slash) => (" /no_think", ""),
            (Thinking::On, Self::Tag) => ("\n<think>\n", ""),
            (Thinking::Off, Self::Tag) => ("\n<no_think>\n", ""),
            (Thinking::On, Self::Prefill) => ("", "<think>"),
            (Thinking::Off, Self::Prefill) => ("", "<think>\n</think>\n"),
        }
    }
}

impl FromStr for ThinkingStyle {
    type Err = Error;

    /// # Errors
    /// [`Error::Option`] for a name that is none of these.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("thinking_style", format!("{name:?} is none of {names}"))
        })
    }
}

/// What one question adds to a conversation.
///
/// A picture goes best before the text that asks about it: so were the published weights trained.
#[derive(Debug, Clone)]
pub struct Prompt {
    messages: Vec<Message>,
    thinking: Thinking,
}

impl Prompt {
    /// A user's turn that is still empty.
    pub fn user() -> Self {
        Self::from_messages(vec![Message::new(Role::User)])
    }

    /// Several messages at once, an earlier conversation for example. The last one must be the user's.
    pub fn from_messages(messages: Vec<Message>) -> Self {
        Self { messages, thinking: Thinking::Auto }
    }

    /// Set the system message, which comes first and replaces the template's own one.
    #[must_use]
    pub fn system(mut self, text: impl Into<String>) -> Self {
        let message = Message::new(Role::System).text(text);
        match self.messages.first_mut() {
            Some(first) if first.role == Role::System => *first = message,
            _ => self.messages.insert(0, message),
        }
        self
    }

    /// Add text to the last message.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Self {
        self.part(Part::Text(text.into()))
    }

    /// Add a picture to the last message.
    #[must_use]
    pub fn image(self, image: Image) -> Self {
        self.part(Part::Image(image))
    }

    /// Add a video to the last message.
    #[must_use]
    pub fn video(self, video: Video) -> Self {
        self.part(Part::Video(video))
    }

    /// Let the model call functions from here on: `tools` is a JSON list of them in OpenAI's form, which the chat template
    /// writes. What the model then calls is found by [`ToolCall::split`]; what came of it goes into a message of [`Role::Tool`]. An
    /// empty list ends it.
    ///
    /// # Errors
    /// [`Error::Prompt`] when it is no JSON list of objects.
    pub fn tools(self, tools: &str) -> Result<Self> {
        Ok(self.part(Part::Tools(tools::tools(tools)?)))
    }

    /// Choose whether the model thinks first. It does not matter when in the chain this is called.
    #[must_use]
    pub fn thinking(mut self, thinking: Thinking) -> Self {
        self.thinking = thinking;
        self
    }

    /// What [`Prompt::thinking`] was set to.
    pub fn chosen_thinking(&self) -> Thinking {
        self.thinking
    }

    /// The same with these limits of pixels for its pictures and videos, in order.
    pub(crate) fn with_max_pixels(&self, limits: impl IntoIterator<Item = u32>) -> Self {
        let (mut same, mut limits) = (self.clone(), limits.into_iter());
        for part in same.messages.iter_mut().flat_map(|message| &mut message.parts) {
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
        same
    }

    /// The messages as they were given.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The messages as they are put to the model, checked, with what [`Prompt::thinking`] adds to the last one; and how
    /// the answer is begun for the model, which may be empty.
    ///
    /// # Errors
    /// [`Error::Prompt`] when there is no message, the last one is the assistant's or the system's, or it is empty, or another one than
    /// the assistant's has thinking or calls.
    pub fn resolve(&self, style: ThinkingStyle) -> Result<(Vec<Message>, &'static str)> {
        let mut messages = self.messages.clone();
        let thinks =
            |message: &Message| message.parts.iter().any(|part| matches!(part, Part::Thinking(_) | Part::ToolCall(_)));
        if let Some(message) = messages.iter().find(|message| message.role != Role::Assistant && thinks(message)) {
            return Err(Error::prompt(format!(
                "a message of the {}'s has thinking or calls: only answers do",
                message.role.as_str()
            )));
        }
        let Some(last) = messages.last_mut() else {
            return Err(Error::prompt("it has no message: add a user's message with text, an image or a video"));
        };
        if !matches!(last.role, Role::User | Role::Tool) {
            let role = last.role.as_str();
            return Err(Error::prompt(format!(
                "its last message is the {role}'s: it must end with the user's or a tool's"
            )));
        }
        if last.role == Role::User && last.is_empty() {
            return Err(Error::prompt("it is empty: add text, an image or a video"));
        }
        let (said, begun) = style.words(self.thinking);
        // After a call the question is further up; a session has said it already.
        let asked = messages.iter_mut().rfind(|message| message.role == Role::User);
        if let Some(asked) = asked.filter(|asked| !said.is_empty() && !asked.ends_with(said)) {
            asked.parts.push(Part::Text(said.to_owned()));
        }
        Ok((messages, begun))
    }

    fn part(mut self, part: Part) -> Self {
        match self.messages.last_mut() {
            Some(last) => last.parts.push(part),
            None => self.messages.push(Message::new(Role::User).part(part)),
        }
        self
    }
}

/// An answer without the thinking that it starts with: `<think>…</think>` and the line ends after it are left out.
///
/// Earlier answers are put to the model in this form. Thinking that never ends takes the whole text with it; tags
/// further inside the answer are left alone, since an answer may well speak about them.
pub fn strip_thinking(answer: &str) -> &str {
    let mut rest = answer;
    while let Some(thinking) = rest.trim_start().strip_prefix("<think>") {
        rest = match thinking.split_once("</think>") {
            Some((_, after)) => after.trim_start_matches(['\n', '\r']),
            None => "",
        };
    }
    rest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn picture() -> Image {
        Image::from_rgb(1, 1, 3, &[9, 8, 7]).unwrap()
    }

    fn last_text(messages: &[Message]) -> &str {
        match messages.last().unwrap().parts.last().unwrap() {
            Part::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_think_is_last_whatever_the_order_of_calls() {
        let prompt = Prompt::user().thinking(Thinking::Off).text("what?").image(picture());
        let turn = prompt.resolve(ThinkingStyle::Slash).unwrap().0;
        assert_eq!(turn[0].parts.len(), 3);
        assert_eq!(last_text(&turn), " /no_think");
        assert_eq!(prompt.messages()[0].parts.len(), 2, "the caller's messages stay as they were");
    }

    #[test]
    fn no_think_is_not_said_twice() {
        let turn =
            Prompt::user().text("what? /no_think").thinking(Thinking::Off).resolve(ThinkingStyle::Slash).unwrap().0;
        assert_eq!(turn[0].parts.len(), 1);
        assert_eq!(last_text(&turn), "what? /no_think");
    }

    #[test]
    fn styles_say_what_the_checkpoints_were_trained_with() {
        let turn = |style, thinking| {
            let (messages, begun) = Prompt::user().text("what?").thinking(thinking).resolve(style).unwrap();
            (messages[0].parts.len(), last_text(&messages).to_owned(), begun)
        };
        use ThinkingStyle::{Prefill, Tag};
        assert_eq!(turn(Tag, Thinking::Off), (2, "\n<no_think>\n".to_owned(), ""));
        assert_eq!(turn(Tag, Thinking::On), (2, "\n<think>\n".to_owned(), ""));
        assert_eq!(turn(Prefill, Thinking::Off), (1, "what?".to_owned(), "<think>\n</think>\n"));
        assert_eq!(turn(Prefill, Thinking::On), (1, "what?".to_owned(), "<think>"));
        assert_eq!(turn(Prefill, Thinking::Auto), (1, "what?".to_owned(), ""));
        for (name, style) in [
            ("/models/MiMo-VL-7B-RL-2508", ThinkingStyle::Slash),
            ("models--XiaomiMiMo--MiMo-VL-7B-SFT/snapshots/4bfb27", Prefill),
            ("MiMo-VL-7B-RL-GGUF", Prefill),
            ("/runs/2508/MiMo-VL-7B-RL/snapshots/2508ab", Prefill),
            ("/June/MiMo-VL-7B-RL-2508/snapshots/4bfb27", ThinkingStyle::Slash),
            ("mimo-vl-tiny", ThinkingStyle::Slash),
        ] {
            assert_eq!(ThinkingStyle::of_checkpoint(name), style, "{name}");
        }
        for style in ThinkingStyle::ALL {
            assert_eq!(style.name().parse::<ThinkingStyle>().unwrap(), style);
        }
        assert!(matches!("loud".parse::<ThinkingStyle>(), Err(Error::Option { option: "thinking_style", .. })));
    }

    #[test]
    fn only_answers_have_thinking() {
        let mut asked = Message::new(Role::User).text("what?");
        asked.parts.push(Part::Thinking("hm".to_owned()));
        let prompt = Prompt::from_messages(vec![asked]);
        assert!(matches!(prompt.resolve(ThinkingStyle::Slash), Err(Error::Prompt { .. })));
    }

    #[test]
    fn thinking_on_and_auto_add_nothing() {
        for thinking in [Thinking::On, Thinking::Auto] {
            let turn = Prompt::user().text("what?").thinking(thinking).resolve(ThinkingStyle::Slash).unwrap().0;
            assert_eq!(last_text(&turn), "what?");
        }
    }

    #[test]
    fn system_comes_first_and_only_once() {
        let prompt = Prompt::user().text("a").system("one").system("two").text("b");
        let roles: Vec<_> = prompt.messages().iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User]);
        assert!(matches!(&prompt.messages()[0].parts[..], [Part::Text(text)] if text == "two"));
        assert_eq!(prompt.messages()[1].parts.len(), 2);
    }

    #[test]
    fn prompts_that_ask_nothing_are_errors() {
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
        assert!(Prompt::user().image(picture()).resolve(ThinkingStyle::Slash).is_ok());
    }

    #[test]
    fn thinking_is_stripped_from_answers() {
        for (answer, expected) in [
            ("plain", "plain"),
            ("<think>\nfoo\n</think>\n\nbar\n", "bar\n"),
            ("\n<think>foo</think>bar", "bar"),
            ("<think>a</think>\n<think>b</think>\r\nc", "c"),
            ("<think>\nnever ends", ""),
            ("the tag <think> opens, </think> closes", "the tag <think> opens, </think> closes"),
            ("", ""),
        ] {
            assert_eq!(strip_thinking(answer), expected, "{answer:?}");
        }
    }
}
