//! What the model says, as events: thinking apart from the answer, and the boxes and points in it.

mod fields;
mod parser;
mod region;
mod regions;
mod scan;
mod stop;
mod times;

pub use fields::field;
pub use parser::AnswerParser;
pub use region::{Located, Place, Region};
pub use regions::RegionParser;
pub use stop::StopTexts;
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
    StopText,
    /// The answer went round in circles.
    Loop,
    /// The time that the caller allowed is over.
    Deadline,
}
