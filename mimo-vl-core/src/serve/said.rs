//! What an answer says before it calls functions, while it is written.

use crate::prompt::ToolCall;

/// The text of an answer without the calls at its end, as far as it can be told while it is written.
#[derive(Debug, Default)]
pub(super) struct SaidBeforeCalls {
    /// What may be the beginning of a call.
    held: String,
}

impl SaidBeforeCalls {
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
        std::mem::replace(&mut self.held, rest)
    }

    /// What was held back of an answer without calls.
    pub(super) fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told_as_soon_as_it_is_no_call() {
        let told = |text: &str| {
            let mut said = SaidBeforeCalls::default();
            let mut told: Vec<String> = text.split_inclusive(' ').map(|piece| said.push(piece)).collect();
            told.push(said.rest());
            told
        };
        assert_eq!(told("a <b <tool c"), ["a", " <b", " <tool", " c", ""]);
        let mut said = SaidBeforeCalls::default();
        let pieces = ["I ", "look.\n", "<tool", "_call>", "\n{}", "</tool_call>"];
        assert_eq!(pieces.map(|piece| said.push(piece)), ["I", " look.", "", "", "", ""]);
        assert_eq!(said.rest(), "\n<tool_call>\n{}</tool_call>");
    }
}
