//! The content of an answer, built token by token: its events, text, thinking, regions and logprobs.

use std::collections::VecDeque;
use std::ops::Range;

use super::answer::{Answer, MemoryUse, Timings, TokenLogprob, mean_probability, overlaps};
use crate::answer::{AnswerParser, Event, Region, RegionParser, StopReason};
use crate::media::Transform;
use crate::prompt::StreamDecoder;
use crate::sampling::StopSequences;

/// The content of an answer that is being decoded.
pub(super) struct AnswerBuilder {
    decoder: StreamDecoder,
    parser: AnswerParser,
    stop_sequences: StopSequences,
    region_parser: RegionParser,
    /// Coordinate transforms, one for each media item of the conversation.
    transforms: Vec<Transform>,
    /// Events that were not returned yet.
    pending_events: VecDeque<Event>,
    ids: Vec<u32>,
    text: String,
    thinking: String,
    /// Tokens of the thinking.
    thinking_tokens: usize,
    regions: Vec<Region>,
    /// Logprobs of `ids`. Their byte ranges are set at the end.
    logprobs: Vec<TokenLogprob>,
    /// Logprob of the EOS token.
    eos_logprob: Option<f32>,
    /// End of the text after each token.
    text_ends: Vec<TextEnd>,
}

/// End of the text after a token.
struct TextEnd {
    /// Length of the text in bytes.
    len: usize,
    /// Some of the token's bytes are buffered: an incomplete character, or a possible tag or stop sequence.
    has_pending: bool,
}

impl AnswerBuilder {
    pub(super) fn new(
        decoder: StreamDecoder,
        stop: Vec<String>,
        transforms: Vec<Transform>,
        starts_in_thinking: bool,
        prose_regions: bool,
    ) -> Self {
        Self {
            decoder,
            parser: if starts_in_thinking { AnswerParser::in_thinking() } else { AnswerParser::new() },
            stop_sequences: StopSequences::new(stop),
            region_parser: RegionParser::new(&transforms, prose_regions),
            transforms,
            pending_events: VecDeque::new(),
            ids: Vec::new(),
            text: String::new(),
            thinking: String::new(),
            thinking_tokens: 0,
            regions: Vec::new(),
            logprobs: Vec::new(),
            eos_logprob: None,
            text_ends: Vec::new(),
        }
    }

    /// The tokens so far.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Text of the answer so far, without the thinking.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Text of the thinking so far.
    pub(super) fn thinking(&self) -> &str {
        &self.thinking
    }

    /// Tokens of the thinking so far.
    pub(super) fn thinking_tokens(&self) -> usize {
        self.thinking_tokens
    }

    /// The parser of the thinking's tags.
    pub(super) fn parser(&self) -> &AnswerParser {
        &self.parser
    }

    /// Reads everything from here on as text of the answer, tags included.
    pub(super) fn ignore_tags(&mut self) {
        self.parser.ignore_tags();
    }

    /// Removes the next pending event.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.pending_events.pop_front()
    }

    /// Drops the pending events.
    pub(super) fn clear_events(&mut self) {
        self.pending_events.clear();
    }

    /// Adds a token. Returns true if it completes a stop sequence, which ends the answer.
    pub(super) fn push(&mut self, id: u32, logprob: Option<TokenLogprob>) -> bool {
        self.ids.push(id);
        self.logprobs.extend(logprob);
        let text = self.decoder.push(id);
        let events = self.parser.push(&text);
        let stopped = self.handle_events(events);
        let has_pending = self.decoder.has_pending() || self.parser.has_pending() || self.stop_sequences.has_pending();
        // Pending bytes within the thinking are not part of the answer's text.
        let has_pending = has_pending && !self.parser.is_thinking();
        self.text_ends.push(TextEnd { len: self.text.len(), has_pending });
        self.thinking_tokens += usize::from(self.parser.is_thinking());
        stopped
    }

    /// Sets the logprob of the EOS token.
    pub(super) fn set_eos_logprob(&mut self, logprob: Option<f32>) {
        self.eos_logprob = logprob;
    }

    /// Ends the answer: emits buffered text and the last event. Returns the reason for the end, which is a stop
    /// sequence if the buffered text completes one.
    pub(super) fn finish(&mut self, mut reason: StopReason) -> StopReason {
        if reason != StopReason::StopSequence {
            let rest = self.decoder.finish();
            let mut events = self.parser.push(&rest);
            events.extend(self.parser.finish());
            if self.handle_events(events) {
                reason = StopReason::StopSequence;
            } else {
                let buffered = self.stop_sequences.finish();
                self.push_text(buffered);
            }
        }
        self.pending_events.push_back(Event::End(reason));
        reason
    }

    /// Mean logprob of the tokens and the EOS token; −∞ for an answer that was cut before its first token.
    pub(super) fn mean_logprob(&self) -> f64 {
        let logprobs = self.logprobs.iter().map(|token| token.logprob).chain(self.eos_logprob);
        let (count, sum) = logprobs.fold((0.0, 0.0), |(count, sum), logprob| (count + 1.0, sum + f64::from(logprob)));
        if count > 0.0 { sum / count } else { f64::NEG_INFINITY }
    }

    /// Takes the complete answer.
    pub(super) fn take_answer(&mut self, stop: StopReason, timings: Timings, memory: MemoryUse) -> Answer {
        let thinking = std::mem::take(&mut self.thinking);
        let ranges = self.token_ranges();
        for (token, range) in self.logprobs.iter_mut().zip(ranges) {
            token.range = range;
        }
        let ended = matches!(stop, StopReason::EndOfText | StopReason::StopSequence);
        // Thinking that the model never closed leaves no answer.
        let answered = stop == StopReason::StopSequence || thinking.is_empty() || !self.text.trim().is_empty();
        Answer {
            text: std::mem::take(&mut self.text),
            thinking: (!thinking.is_empty()).then_some(thinking),
            complete: ended && answered && !self.region_parser.is_open(),
            closed_early: false,
            regions: std::mem::take(&mut self.regions),
            tokens: self.ids.len(),
            ids: std::mem::take(&mut self.ids),
            logprobs: std::mem::take(&mut self.logprobs),
            prompt_tokens: timings.prompt_tokens,
            stop,
            transforms: std::mem::take(&mut self.transforms),
            timings,
            memory,
        }
    }

    /// Handles the events of the parser. Returns true if a stop sequence was completed.
    fn handle_events(&mut self, events: Vec<Event>) -> bool {
        for event in events {
            match event {
                Event::Text(text) => {
                    let (text, stopped) = self.stop_sequences.push(&text);
                    self.push_text(text);
                    if stopped {
                        return true;
                    }
                }
                Event::Thinking(text) => {
                    let buffered = self.stop_sequences.finish();
                    self.push_text(buffered);
                    self.thinking.push_str(&text);
                    self.pending_events.push_back(Event::Thinking(text));
                }
                other => self.pending_events.push_back(other),
            }
        }
        false
    }

    /// Adds text to the answer, and the boxes and points that it completes.
    fn push_text(&mut self, text: String) {
        if text.is_empty() {
            return;
        }
        self.text.push_str(&text);
        let regions = self.region_parser.push(&text);
        self.pending_events.push_back(Event::Text(text));
        for (mut region, range) in regions {
            region.confidence = self.confidence(&range);
            self.regions.push(region.clone());
            self.pending_events.push_back(Event::Region(region));
        }
    }

    /// Geometric mean of the probabilities of the tokens that wrote a byte range of the text.
    fn confidence(&self, range: &Range<usize>) -> Option<f32> {
        if self.logprobs.is_empty() {
            return None;
        }
        let ranges = self.token_ranges();
        let within = ranges.iter().zip(&self.logprobs).filter(|(written, _)| overlaps(written, range));
        mean_probability(within.map(|(_, token)| token.logprob))
    }

    /// Byte range of `text` per token. Tokens whose bytes were buffered (incomplete UTF-8, possible stop sequence)
    /// share the range of the token that released them. The last range ends at the end of the text.
    fn token_ranges(&self) -> Vec<Range<usize>> {
        let mut end = self.text.len();
        let mut ranges: Vec<_> = (0..self.ids.len())
            .rev()
            .map(|index| {
                end = self.text_ends.get(index).filter(|end| !end.has_pending).map_or(end, |end| end.len);
                let start = index.checked_sub(1).map_or(0, |before| self.text_ends[before].len);
                start..end
            })
            .collect();
        ranges.reverse();
        ranges
    }
}
