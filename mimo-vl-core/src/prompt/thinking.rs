//! Thinking: the switch, the ways to tell a checkpoint about it, and its removal from earlier answers.

use std::str::FromStr;

use super::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// The switch for thinking before the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Thinking {
    /// The checkpoint's default: the prompt does not mention thinking.
    #[default]
    Auto,
    /// Think first.
    On,
    /// Answer at once.
    Off,
}

/// The way a checkpoint is told to think or not to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ThinkingStyle {
    /// Appends ` /no_think` to the user's message, after all media, to turn thinking off; adds nothing to turn it on.
    /// The form that the checkpoints of August 2025 (`-2508`) were trained with.
    #[default]
    Slash,
    /// Appends `<no_think>` or `<think>` on its own line to the user's message. The form of the checkpoints of June
    /// 2025.
    Tag,
    /// Prefills the answer with empty thinking (off) or with the opening tag (on). Works with every checkpoint.
    Prefill,
}

impl ThinkingStyle {
    /// Every style.
    pub const ALL: [Self; 3] = [Self::Slash, Self::Tag, Self::Prefill];

    /// The name that `from_str` accepts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slash => "slash",
            Self::Tag => "tag",
            Self::Prefill => "prefill",
        }
    }

    /// The style for a published checkpoint, chosen by the name of its folder or of a folder above it:
    /// [`Prefill`](Self::Prefill) for those of June 2025, else [`Slash`](Self::Slash).
    pub fn for_checkpoint(path: &str) -> Self {
        let path = path.to_lowercase();
        let families = ["mimo-vl-7b-rl", "mimo-vl-7b-sft"];
        let folder = path.split(['/', '\\']).rev().find(|part| families.iter().any(|family| part.contains(family)));
        if folder.is_some_and(|folder| !folder.contains("2508")) { Self::Prefill } else { Self::Slash }
    }

    /// The text to append to the user's message, and the prefix of the answer.
    pub(super) fn directives(self, thinking: Thinking) -> (&'static str, &'static str) {
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
    /// [`Error::Option`] for an unknown name.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("thinking_style", format!("{name:?} is none of {names}"))
        })
    }
}

/// Removes the thinking at the start of an answer: `<think>…</think>` and the line breaks after it.
///
/// Earlier answers enter the prompt in this form. Thinking without a closing tag extends to the end of the text. Tags
/// further inside the answer are kept, because an answer may mention them.
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

/// Returns `true` if an answer begins inside the thinking: after a prompt of these tokens, which the template ends, and
/// the text that the answer continues.
pub(crate) fn ends_in_thinking(template_ids: &[u32], continued: &str, tokenizer: &Tokenizer) -> bool {
    if continued.trim_start().starts_with("<think>") {
        return !continued.contains("</think>");
    }
    // The tag may be several tokens, with white space after it.
    let tail = &template_ids[template_ids.len().saturating_sub(16)..];
    !continued.contains("</think>") && tokenizer.decode(tail).trim_end().ends_with("<think>")
}

/// Thinking and text of a whole answer, of which `continued` was given and the rest generated.
pub(crate) fn whole_answer(continued: &str, starts_in_thinking: bool, thinking: &str, text: &str) -> (String, String) {
    if !starts_in_thinking {
        return (thinking.to_owned(), format!("{continued}{text}"));
    }
    let given = continued.trim_start();
    (format!("{}{thinking}", given.strip_prefix("<think>").unwrap_or(given).trim_start()), text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn published_checkpoints_get_the_style_of_their_release() {
        use ThinkingStyle::{Prefill, Slash};
        for (path, style) in [
            ("/models/MiMo-VL-7B-RL-2508", Slash),
            ("models--XiaomiMiMo--MiMo-VL-7B-SFT/snapshots/4bfb27", Prefill),
            ("MiMo-VL-7B-RL-GGUF", Prefill),
            ("/runs/2508/MiMo-VL-7B-RL/snapshots/2508ab", Prefill),
            ("/June/MiMo-VL-7B-RL-2508/snapshots/4bfb27", Slash),
            ("mimo-vl-tiny", Slash),
        ] {
            assert_eq!(ThinkingStyle::for_checkpoint(path), style, "{path}");
        }
    }

    #[test]
    fn every_style_is_parsed_from_its_name() {
        for style in ThinkingStyle::ALL {
            assert_eq!(style.name().parse::<ThinkingStyle>().unwrap(), style);
        }
        assert!(matches!("loud".parse::<ThinkingStyle>(), Err(Error::Option { option: "thinking_style", .. })));
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
