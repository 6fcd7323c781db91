//! The events of an answer, and the reasons why it ends.

use super::region::Region;

/// An event of an answer while it is generated.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// More text of the thinking. Never empty.
    Thinking(String),
    /// More text of the answer. Never empty.
    Text(String),
    /// A box or points, as soon as they are complete; their text was emitted before.
    Region(Region),
    /// The end of the answer; nothing follows.
    End(StopReason),
}

/// The reason why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The model emitted an end-of-sequence token, or the grammar allows nothing more.
    EndOfText,
    /// The answer has `max_tokens` tokens.
    MaxTokens,
    /// The caller stopped the stream.
    Cancelled,
    /// The context is full.
    ContextFull,
    /// A stop sequence occurred in the answer.
    StopSequence,
    /// The answer repeated itself.
    Loop,
    /// The time limit of the call passed.
    Timeout,
}

impl StopReason {
    /// The name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::EndOfText => "end_of_text",
            Self::MaxTokens => "max_tokens",
            Self::Cancelled => "cancelled",
            Self::ContextFull => "context_full",
            Self::StopSequence => "stop_sequence",
            Self::Loop => "loop",
            Self::Timeout => "timeout",
        }
    }
}
