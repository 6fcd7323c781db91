//! What an answer says before it calls functions, while it is written.

use crate::prompt::ToolCall;

/// The text of an answer without the calls at its end, as far as it can be told while it is written.
#[derive(Debug, Default)]
pub(super) struct ContentFilter {
    /// What may be the beginning of a call.
    held: String,
    /// Bytes that were told.
    told: usize,
}

impl ContentFilter {
    /// What of the text so far can be told now.
    pub(super) fn push(&mut self, text: &str) -> String {
        self.held += text;
        let end = match self.held.find(ToolCall::START) {
            Some(start) => start,
            None => {
                let beginning = |len: &usize| self.held.ends_with(&ToolCall::START[..*len]);
                self.held.len() - (1..ToolCall::START.len()).rev().find(beginning).unwrap_or(0)
            }
        };
        // Space before a call is no part of what is said.
        let end = self.held[..end].trim_end().len();
        let rest = self.held.split_off(end);
        self.told += end;
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back of `said`, which the whole answer turned out to say.
    pub(super) fn rest<'a>(&self, said: &'a str) -> &'a str {
        said.get(self.told..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_as_soon_as_it_is_no_call() {
        let told = |pieces: &[&str]| {
            let mut said = ContentFilter::default();
            let mut told: Vec<String> = pieces.iter().map(|piece| said.push(piece)).collect();
            told.push(said.rest(ToolCall::split(&pieces.concat()).0).to_owned());
            told
        };
        assert_eq!(told(&["a ", "<b ", "<tool ", "é"]), ["a", " <b", " <tool", " é", ""]);
        assert_eq!(told(&["a <tool", " "]), ["a", " <tool", " "]);
        let call = ["<tool", "_call>\n{\"name\": \"a\", \"arguments\": {}}", "</tool_call>"];
        assert_eq!(told(&[&["I ", "look.\n"], &call[..]].concat()), ["I", " look.", "", "", "", ""]);
        assert_eq!(told(&[&["<tool_call> is a tag. "], &call[..]].concat()), ["", "", "", "", "<tool_call> is a tag."]);
        assert_eq!(told(&["a\n", "<tool_call>", "{x"]), ["a", "", "", "\n<tool_call>{x"]);
    }
}
