//! Counters in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::session::Answer;

/// Counters since the start of the server, and its current load.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Number of replies by status.
    replies: Mutex<BTreeMap<u16, u64>>,
    prompt_tokens: AtomicU64,
    generation_tokens: AtomicU64,
    encode_micros: AtomicU64,
    prefill_micros: AtomicU64,
    decode_micros: AtomicU64,
    /// Number of requests in the queue.
    pub(super) waiting: AtomicUsize,
    /// Number of requests in the batch.
    pub(super) running: AtomicUsize,
}

impl Metrics {
    pub(super) fn count_reply(&self, status: u16) {
        *self.replies.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(super) fn count_answer(&self, answer: &Answer) {
        let micros = |time: Duration| time.as_micros() as u64;
        for (counter, value) in [
            (&self.prompt_tokens, answer.prompt_tokens as u64),
            (&self.generation_tokens, answer.tokens as u64),
            (&self.encode_micros, micros(answer.timings.encode)),
            (&self.prefill_micros, micros(answer.timings.prefill)),
            (&self.decode_micros, micros(answer.timings.decode)),
        ] {
            counter.fetch_add(value, Ordering::Relaxed);
        }
    }

    /// Formats all metrics, each with the prefix `mimo_vl_`.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(text, "# HELP mimo_vl_{name} {help}\n# TYPE mimo_vl_{name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(text, "mimo_vl_{name}{labels} {value}");
            }
        };
        let replies = self.replies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let replies: Vec<_> =
            replies.iter().map(|(status, count)| (format!("{{status=\"{status}\"}}"), *count as f64)).collect();
        add("requests_total", "counter", "Requests by the status of the reply.", &replies);
        let count = |value: &AtomicU64| [(String::new(), value.load(Ordering::Relaxed) as f64)];
        let seconds = |value: &AtomicU64| [(String::new(), value.load(Ordering::Relaxed) as f64 / 1e6)];
        let gauge = |value: &AtomicUsize| [(String::new(), value.load(Ordering::Relaxed) as f64)];
        add("prompt_tokens_total", "counter", "Tokens of prompts.", &count(&self.prompt_tokens));
        add("generation_tokens_total", "counter", "Tokens of answers.", &count(&self.generation_tokens));
        add("encode_seconds_total", "counter", "Time in the vision tower.", &seconds(&self.encode_micros));
        add("prefill_seconds_total", "counter", "Time in prefill.", &seconds(&self.prefill_micros));
        add("decode_seconds_total", "counter", "Decode time, summed over answers.", &seconds(&self.decode_micros));
        add("num_requests_waiting", "gauge", "Requests in the queue.", &gauge(&self.waiting));
        add("num_requests_running", "gauge", "Requests in the batch.", &gauge(&self.running));
        text
    }
}
