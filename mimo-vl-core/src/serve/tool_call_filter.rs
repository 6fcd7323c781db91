//! Streams the text that precedes tool calls.

use crate::prompt::ToolCall;

/// Splits a streamed answer into content that can be sent at once and text that may turn out to be a tool call.
#[derive(Debug, Default)]
pub(super) struct ContentFilter {
    /// Text that may be the beginning of a tool call.
    pending: String,
    /// Bytes of content that were sent.
    sent: usize,
}

impl ContentFilter {
    /// Appends `text`, and returns the content that is safe to send.
    pub(super) fn push(&mut self, text: &str) -> String {
        self.pending += text;
        let end = match self.pending.find(ToolCall::START) {
            Some(start) => start,
            None => {
                let ends_with_prefix = |len: &usize| self.pending.ends_with(&ToolCall::START[..*len]);
                self.pending.len() - (1..ToolCall::START.len()).rev().find(ends_with_prefix).unwrap_or(0)
            }
        };
        // White space before a tool call is not part of the content.
        let end = self.pending[..end].trim_end().len();
        let rest = self.pending.split_off(end);
        self.sent += end;
        std::mem::replace(&mut self.pending, rest)
    }

    /// The text still to send once the full answer's `content` is known.
    pub(super) fn remaining<'a>(&self, content: &'a str) -> &'a str {
        content.get(self.sent..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_sent_as_soon_as_it_cannot_begin_a_tool_call() {
        let sent = |pieces: &[&str]| {
            let mut filter = ContentFilter::default();
            let mut sent: Vec<String> = pieces.iter().map(|piece| filter.push(piece)).collect();
            sent.push(filter.remaining(&ToolCall::split(&pieces.concat()).0).to_owned());
            sent
        };
        assert_eq!(sent(&["a ", "<b ", "<tool ", "é"]), ["a", " <b", " <tool", " é", ""]);
        assert_eq!(sent(&["a <tool", " "]), ["a", " <tool", " "]);
        let call = ["<tool", "_call>\n{\"name\": \"a\", \"arguments\": {}}", "</tool_call>"];
        assert_eq!(sent(&[&["I ", "look.\n"], &call[..]].concat()), ["I", " look.", "", "", "", ""]);
        assert_eq!(sent(&[&["<tool_call> is a tag. "], &call[..]].concat()), ["", "", "", "", "<tool_call> is a tag."]);
        assert_eq!(sent(&["a\n", "<tool_call>", "{x"]), ["a", "", "", "\n<tool_call>{x"]);
        assert_eq!(sent(&[&["I look.\n"], &call[..], &[" Done."]].concat()), ["I look.", "", "", "", "", "\nDone."]);
    }
}
