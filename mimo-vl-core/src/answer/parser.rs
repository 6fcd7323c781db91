//! Splits streamed text at `<think>` and `</think>`.

use super::event::Event;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// The part of the output that the next text belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserMode {
    Answer,
    Thinking,
}

/// The position of the next text, which decides about whitespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Start of the output: whitespace is dropped if a tag follows, else it is part of the answer.
    Start,
    /// After a tag: whitespace is dropped.
    AfterTag,
    /// Inside text: whitespace is kept.
    InText,
}

/// Incremental parser that separates thinking from answer.
///
/// - Thinking comes before the answer. Once the answer has begun, tags are text, because an answer may mention them.
///   Thinking without a closing tag extends to the end.
/// - Whitespace around both tags is dropped, and so is whitespace at the end of unclosed thinking.
/// - Tags may be split across pieces, repeated, or unbalanced.
/// - The concatenated text of each kind of event does not depend on how the input is split into pieces.
#[derive(Debug, Clone)]
pub struct AnswerParser {
    mode: ParserMode,
    position: Position,
    /// Whitespace that is dropped if a tag follows, and emitted otherwise.
    whitespace: String,
    /// Possible start of a tag.
    pending: String,
    /// `true` if tags are ordinary text.
    ignore_tags: bool,
}

impl Default for AnswerParser {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerParser {
    /// Creates a parser for output that starts with the answer or with `<think>`.
    pub fn new() -> Self {
        Self {
            mode: ParserMode::Answer,
            position: Position::Start,
            whitespace: String::new(),
            pending: String::new(),
            ignore_tags: false,
        }
    }

    /// Creates a parser for output that starts inside thinking, because the prompt ends with `<think>`.
    pub fn in_thinking() -> Self {
        Self { mode: ParserMode::Thinking, position: Position::AfterTag, ..Self::new() }
    }

    /// Returns `true` if the parser is inside thinking.
    pub fn is_thinking(&self) -> bool {
        self.mode == ParserMode::Thinking
    }

    /// Treats all text that follows as plain text, tags included.
    pub fn ignore_tags(&mut self) {
        self.ignore_tags = true;
        self.position = Position::InText;
    }

    /// Returns `true` if a possible start of a tag is buffered.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Appends `text` and returns the events that it completes.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        let mut input = std::mem::take(&mut self.pending);
        input.push_str(text);
        let mut events = Vec::new();
        let mut rest = input.as_str();
        while let Some((before, mode, after)) = split_at_tag(rest).filter(|_| !self.ignore_tags) {
            self.write(before, &mut events);
            if self.ignore_tags {
                rest = &rest[before.len()..];
                break;
            }
            self.enter(mode);
            rest = after;
        }
        if self.ignore_tags {
            self.write(rest, &mut events);
            return events;
        }
        let (text, pending) = rest.split_at(rest.len() - partial_tag_len(rest));
        self.write(text, &mut events);
        match self.ignore_tags {
            true => self.write(pending, &mut events),
            false => self.pending = pending.to_owned(),
        }
        events
    }

    /// Ends the input and returns the remaining events.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        self.write(&pending, &mut events);
        let whitespace = std::mem::take(&mut self.whitespace);
        if self.mode == ParserMode::Answer && !whitespace.is_empty() {
            events.push(Event::Text(whitespace));
        }
        events
    }

    /// Switches the mode at a tag.
    fn enter(&mut self, mode: ParserMode) {
        if self.mode == mode && mode == ParserMode::Thinking {
            // A repeated opening tag changes nothing.
            return;
        }
        self.whitespace.clear();
        self.mode = mode;
        self.position = Position::AfterTag;
    }

    /// Emits text that has no tags.
    fn write(&mut self, text: &str, events: &mut Vec<Event>) {
        let text = if self.position == Position::AfterTag { text.trim_start() } else { text };
        let body = match (self.mode, self.position) {
            (ParserMode::Thinking, _) => text.trim_end(),
            (ParserMode::Answer, Position::Start) if text.trim_start().is_empty() => "",
            (ParserMode::Answer, _) => text,
        };
        if body.is_empty() {
            self.whitespace.push_str(text);
            return;
        }
        self.position = Position::InText;
        let mut run = std::mem::take(&mut self.whitespace);
        run.push_str(body);
        self.whitespace.push_str(text.get(body.len()..).unwrap_or_default());
        events.push(match self.mode {
            ParserMode::Thinking => Event::Thinking(run),
            ParserMode::Answer => {
                self.ignore_tags = true;
                Event::Text(run)
            }
        });
    }
}

/// Splits at the first tag: the text before it, the mode that it switches to, and the text after it.
fn split_at_tag(text: &str) -> Option<(&str, ParserMode, &str)> {
    let open = text.split_once(OPEN).map(|(before, after)| (before, ParserMode::Thinking, after));
    let close = text.split_once(CLOSE).map(|(before, after)| (before, ParserMode::Answer, after));
    [open, close].into_iter().flatten().min_by_key(|(before, _, _)| before.len())
}

/// Number of bytes at the end of `text` that may be the start of a tag.
fn partial_tag_len(text: &str) -> usize {
    let Some(start) = text.rfind('<') else { return 0 };
    let end = text.get(start..).unwrap_or_default();
    if OPEN.starts_with(end) || CLOSE.starts_with(end) { end.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events for these pieces, with consecutive events of one kind merged.
    fn collect(pieces: &[&str]) -> Vec<Event> {
        let mut parser = AnswerParser::new();
        let mut events: Vec<Event> = Vec::new();
        let all: Vec<Event> = pieces.iter().flat_map(|piece| parser.push(piece)).collect();
        for event in all.into_iter().chain(parser.finish()) {
            match (events.last_mut(), event) {
                (_, Event::Text(text) | Event::Thinking(text)) if text.is_empty() => panic!("an empty event"),
                (Some(Event::Text(run)), Event::Text(text)) => run.push_str(&text),
                (Some(Event::Thinking(run)), Event::Thinking(text)) => run.push_str(&text),
                (_, event) => events.push(event),
            }
        }
        events
    }

    fn text(text: &str) -> Event {
        Event::Text(text.to_owned())
    }

    fn thinking(text: &str) -> Event {
        Event::Thinking(text.to_owned())
    }

    #[test]
    fn thinking_is_separated_from_the_answer() {
        let cases = [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            (" \n plain <b> \n", vec![text(" \n plain <b> \n")]),
            ("\n ", vec![text("\n ")]),
            ("<think>\nfoo\n</think>\n\nbar\n", vec![thinking("foo"), text("bar\n")]),
            ("\n<think>foo bar</think>baz", vec![thinking("foo bar"), text("baz")]),
            ("<think>\n</think>\n\n", vec![]),
            ("<think>never\n\nends \n", vec![thinking("never\n\nends")]),
            ("first <think>a</think> b", vec![text("first <think>a</think> b")]),
            (
                "<think>a</think> The tag <think> opens, </think> closes.",
                vec![thinking("a"), text("The tag <think> opens, </think> closes.")],
            ),
            ("<think>a<think> b</think></think> c", vec![thinking("a b"), text("c")]),
            ("<think><think>a</think>", vec![thinking("a")]),
            ("said</think>\n more", vec![text("said</think>\n more")]),
            ("</think>\n more", vec![text("more")]),
            ("<think>a</think>\n<think>b</think>c", vec![thinking("a"), thinking("b"), text("c")]),
            ("a < b, <thin", vec![text("a < b, <thin")]),
            ("<<think>x<</think>>", vec![text("<<think>x<</think>>")]),
        ];
        for (input, expected) in cases {
            let mut runs: Vec<Event> = Vec::new();
            for event in expected {
                match (runs.last_mut(), event) {
                    (Some(Event::Text(run)), Event::Text(text)) => run.push_str(&text),
                    (Some(Event::Thinking(run)), Event::Thinking(text)) => run.push_str(&text),
                    (_, event) => runs.push(event),
                }
            }
            assert_eq!(collect(&[input]), runs, "{input:?}");
        }
    }

    #[test]
    fn only_a_possible_tag_is_buffered() {
        let mut parser = AnswerParser::new();
        assert_eq!(parser.push("<"), []);
        assert_eq!(parser.push("b>"), [text("<b>")]);
        assert_eq!(parser.push(" and <"), [text(" and <")], "the answer has begun");
    }

    #[test]
    fn ignored_tags_are_text() {
        let mut parser = AnswerParser::new();
        assert_eq!(parser.push("<think>a</think>\n"), [thinking("a")]);
        parser.ignore_tags();
        assert_eq!(parser.push(" <thi"), [text(" <thi")]);
        assert_eq!(parser.push("nk> </think>"), [text("nk> </think>")]);
    }

    #[test]
    fn events_do_not_depend_on_how_the_text_is_split() {
        let words = ["<think>", "</think>", "\n", " ", "<", "</", "think>", "é票", "a b", "<thi", "nk>", ">"];
        let mut state = 3_u32;
        let mut random = |below: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % below
        };
        for _ in 0..2000 {
            let whole: String = (0..random(12)).map(|_| words[random(words.len())]).collect();
            let mut pieces = Vec::new();
            let mut rest = whole.as_str();
            while !rest.is_empty() {
                let mut cut = 1 + random(6);
                while !rest.is_char_boundary(cut.min(rest.len())) {
                    cut += 1;
                }
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(collect(&pieces), collect(&[&whole]), "{whole:?} in {pieces:?}");
        }
    }
}
