//! One line in the log for each request.

use std::time::Instant;

use hyper::{Method, StatusCode};

use crate::session::Answer;

/// A line of the log about a request, which is written when this is dropped.
pub(super) struct RequestLog {
    start: Instant,
    method: Method,
    path: String,
    /// Status of the reply, or of the error that ended a stream; `None` while there is none, and if the client left.
    status: Option<StatusCode>,
    prompt_tokens: usize,
    completion_tokens: usize,
}

impl RequestLog {
    pub(super) fn new(method: Method, path: String) -> Self {
        Self { start: Instant::now(), method, path, status: None, prompt_tokens: 0, completion_tokens: 0 }
    }

    /// Sets the status of the reply, or of the error that ended a stream.
    pub(super) fn set_status(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Counts the tokens of these answers.
    pub(super) fn count(&mut self, answers: &[Answer]) {
        self.prompt_tokens = answers.first().map_or(0, |answer| answer.prompt_tokens);
        self.completion_tokens = answers.iter().map(|answer| answer.tokens).sum();
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let Self { start, method, path, status, prompt_tokens, completion_tokens } = self;
        let seconds = start.elapsed().as_secs_f64();
        let status = status.map_or("client left".to_owned(), |status| status.as_u16().to_string());
        tracing::info!(%method, path, status, seconds, prompt_tokens, completion_tokens, "request");
    }
}
