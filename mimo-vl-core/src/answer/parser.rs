//! Splits streamed text at `<think>` and `</think>`.

use super::Event;

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where the text goes that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ParserMode {
    Answer,
    Thinking,
}

/// What to do with space at the current mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edge {
    /// At the start of the text: space is dropped if a tag follows, and is part of the answer otherwise.
    Start,
    /// Behind a tag: space is dropped.
    Tag,
    /// Inside text: space belongs to it.
    Inside,
}

/// Tells thinking from answer while the text of both comes in.
///
/// - Text before `<think>` is answer. Thinking that is never closed is all thinking.
/// - Space around thinking is dropped, on both sides of both tags, and at the end of thinking that breaks off.
/// - Tags may come in pieces, repeatedly, or without their counterpart; they are never part of the text.
/// - Events of one kind, put together, do not depend on how the text was cut into pieces.
#[derive(Debug, Clone)]
pub struct AnswerParser {
    mode: ParserMode,
    edge: Edge,
    /// Space that is dropped if a tag follows, and written otherwise.
    space: String,
    /// The beginning of what may become a tag.
    held: String,
    /// No tag follows.
    literal: bool,
}

impl Default for AnswerParser {
    fn default() -> Self {
        Self::new()
    }
}

impl AnswerParser {
    /// For text that starts with the answer or with `<think>`.
    pub fn new() -> Self {
        Self { mode: ParserMode::Answer, edge: Edge::Start, space: String::new(), held: String::new(), literal: false }
    }

    /// For text that starts with thinking whose tag was written already.
    pub fn in_thinking() -> Self {
        Self { mode: ParserMode::Thinking, edge: Edge::Tag, ..Self::new() }
    }

    /// Whether the text that comes next is thinking, as far as can be seen.
    pub fn is_thinking(&self) -> bool {
        self.mode == ParserMode::Thinking
    }

    /// Take all that follows as it is, and nothing of it for a tag.
    pub fn read_literally(&mut self) {
        self.literal = true;
        self.edge = Edge::Inside;
    }

    /// Whether the beginning of what may become a tag is held back.
    pub fn is_holding(&self) -> bool {
        !self.held.is_empty()
    }

    /// The events that `text` completes.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        let mut held = std::mem::take(&mut self.held);
        held.push_str(text);
        let mut events = Vec::new();
        let mut rest = held.as_str();
        if self.literal {
            self.write(rest, &mut events);
            return events;
        }
        while let Some((before, mode, after)) = split_at_tag(rest) {
            self.write(before, &mut events);
            self.enter(mode);
            rest = after;
        }
        let (text, unfinished) = rest.split_at(rest.len() - unfinished_tag(rest));
        self.write(text, &mut events);
        self.held = unfinished.to_owned();
        events
    }

    /// The events that are left when no text follows.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let held = std::mem::take(&mut self.held);
        self.write(&held, &mut events);
        let space = std::mem::take(&mut self.space);
        if self.mode == ParserMode::Answer && !space.is_empty() {
            events.push(Event::Text(space));
        }
        events
    }

    fn enter(&mut self, mode: ParserMode) {
        if self.mode == mode && mode == ParserMode::Thinking {
            // Thinking that opens again goes on as it was.
            return;
        }
        self.space.clear();
        self.mode = mode;
        self.edge = Edge::Tag;
    }

    /// Take text without tags.
    fn write(&mut self, text: &str, events: &mut Vec<Event>) {
        let text = if self.edge == Edge::Tag { text.trim_start() } else { text };
        let body = match (self.mode, self.edge) {
            (ParserMode::Thinking, _) => text.trim_end(),
            (ParserMode::Answer, Edge::Start) if text.trim_start().is_empty() => "",
            (ParserMode::Answer, _) => text,
        };
        if body.is_empty() {
            self.space.push_str(text);
            return;
        }
        self.edge = Edge::Inside;
        let mut whole = std::mem::take(&mut self.space);
        whole.push_str(body);
        self.space.push_str(text.get(body.len()..).unwrap_or_default());
        events.push(match self.mode {
            ParserMode::Thinking => Event::Thinking(whole),
            ParserMode::Answer => Event::Text(whole),
        });
    }
}

/// The text before the first tag, the mode that the tag leads to, and the text behind it.
fn split_at_tag(text: &str) -> Option<(&str, ParserMode, &str)> {
    let open = text.split_once(OPEN).map(|(before, after)| (before, ParserMode::Thinking, after));
    let close = text.split_once(CLOSE).map(|(before, after)| (before, ParserMode::Answer, after));
    [open, close].into_iter().flatten().min_by_key(|(before, _, _)| before.len())
}

/// How many bytes at the end of `text` may be the beginning of a tag.
fn unfinished_tag(text: &str) -> usize {
    let Some(start) = text.rfind('<') else { return 0 };
    let end = text.get(start..).unwrap_or_default();
    if OPEN.starts_with(end) || CLOSE.starts_with(end) { end.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All events put together: the thinking and the answer, as (kind, text) runs.
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
    fn splits_thinking_from_the_answer() {
        let cases = [
            ("", vec![]),
            ("plain", vec![text("plain")]),
            (" \n plain <b> \n", vec![text(" \n plain <b> \n")]),
            ("\n ", vec![text("\n ")]),
            ("<think>\nfoo\n</think>\n\nbar\n", vec![thinking("foo"), text("bar\n")]),
            ("\n<think>foo bar</think>baz", vec![thinking("foo bar"), text("baz")]),
            ("<think>\n</think>\n\n", vec![]),
            ("<think>never\n\nends \n", vec![thinking("never\n\nends")]),
            ("first <think>a</think> b", vec![text("first "), thinking("a"), text("b")]),
            ("<think>a<think> b</think></think> c", vec![thinking("a b"), text("c")]),
            ("<think><think>a</think>", vec![thinking("a")]),
            ("said</think>\n more", vec![text("said"), text("more")]),
            ("<think>a</think>\n<think>b</think>c", vec![thinking("a"), thinking("b"), text("c")]),
            ("a < b, <thin", vec![text("a < b, <thin")]),
            ("<<think>x<</think>>", vec![text("<"), thinking("x<"), text(">")]),
        ];
        for (given, expected) in cases {
            let mut runs: Vec<Event> = Vec::new();
            for event in expected {
                match (runs.last_mut(), event) {
                    (Some(Event::Text(run)), Event::Text(text)) => run.push_str(&text),
                    (Some(Event::Thinking(run)), Event::Thinking(text)) => run.push_str(&text),
                    (_, event) => runs.push(event),
                }
            }
            assert_eq!(collect(&[given]), runs, "{given:?}");
        }
    }

    #[test]
    fn text_is_not_held_back_without_need() {
        let mut parser = AnswerParser::new();
        assert_eq!(parser.push("3 < 4"), [text("3 < 4")]);
        assert_eq!(parser.push(" and <"), [text(" and ")]);
        assert_eq!(parser.push("b>"), [text("<b>")]);
    }

    #[test]
    fn tags_are_text_where_no_tag_follows() {
        let mut parser = AnswerParser::new();
        assert_eq!(parser.push("<think>a</think>\n"), [thinking("a")]);
        parser.read_literally();
        assert_eq!(parser.push(" <thi"), [text(" <thi")]);
        assert_eq!(parser.push("nk> </think>"), [text("nk> </think>")]);
    }

    #[test]
    fn cuts_do_not_matter() {
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
