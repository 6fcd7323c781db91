//! What the model says, as events: thinking apart from the answer, and the boxes and points in it.

mod json_pointer;
mod parser;
mod region;
mod region_parser;
mod region_scanner;
mod times;

pub use json_pointer::field;
pub use parser::AnswerParser;
pub use region::{Coordinates, Geometry, Region};
pub use region_parser::RegionParser;
pub use times::time_span;

/// One step of an answer while it is generated.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// More of the thinking. Never empty.
    Thinking(String),
    /// More of the answer. Never empty.
    Text(String),
    /// A box or points, as soon as the answer has them whole; their text was given before.
    Region(Region),
    /// The answer is over; nothing follows.
    End(StopReason),
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopReason {
    /// The model said that it is done.
    EndOfText,
    /// The caller's limit of tokens is reached.
    MaxTokens,
    /// The caller cancelled.
    Cancelled,
    /// The context is full.
    ContextFull,
    /// One of the caller's texts that end an answer appeared.
    StopSequence,
    /// The answer went round in circles.
    Loop,
    /// The time that the caller allowed is over.
    Timeout,
}

impl StopReason {
    /// Name in snake case, for results in files.
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
