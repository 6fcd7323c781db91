//! What the model says, as events: thinking apart from the answer.

mod parser;

pub use parser::AnswerParser;

/// One step of an answer while it is generated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// More of the thinking. Never empty.
    Thinking(String),
    /// More of the answer. Never empty.
    Text(String),
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
}
