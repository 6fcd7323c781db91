//! Counters in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::session::Answer;

/// What a server has done since its start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Replies to requests by their status.
    replies: Mutex<BTreeMap<u16, u64>>,
    prompt_tokens: AtomicU64,
    tokens: AtomicU64,
    encode_micros: AtomicU64,
    prefill_micros: AtomicU64,
    decode_micros: AtomicU64,
    /// Questions that wait.
    pub(super) waiting: AtomicUsize,
    /// Questions that are being answered.
    pub(super) running: AtomicUsize,
}

impl Metrics {
    pub(super) fn replied(&self, status: u16) {
        *self.replies.lock().unwrap_or_else(PoisonError::into_inner).entry(status).or_default() += 1;
    }

    pub(super) fn answered(&self, answer: &Answer) {
        let micros = |time: Duration| time.as_micros() as u64;
        for (counter, value) in [
            (&self.prompt_tokens, answer.prompt_tokens as u64),
            (&self.tokens, answer.tokens as u64),
            (&self.encode_micros, micros(answer.timings.encode)),
            (&self.prefill_micros, micros(answer.timings.prefill)),
            (&self.decode_micros, micros(answer.timings.decode)),
        ] {
            counter.fetch_add(value, Ordering::Relaxed);
        }
    }

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
        add("requests_total", "counter", "Requests by the status of their reply.", &replies);
        let count = |value: &AtomicU64| [(String::new(), value.load(Ordering::Relaxed) as f64)];
        let seconds = |value: &AtomicU64| [(String::new(), value.load(Ordering::Relaxed) as f64 / 1e6)];
        let gauge = |value: &AtomicUsize| [(String::new(), value.load(Ordering::Relaxed) as f64)];
        add("prompt_tokens_total", "counter", "Tokens of conversations.", &count(&self.prompt_tokens));
        add("tokens_total", "counter", "Tokens of answers.", &count(&self.tokens));
        add("encode_seconds_total", "counter", "Time of the vision tower.", &seconds(&self.encode_micros));
        add("prefill_seconds_total", "counter", "Time until first tokens.", &seconds(&self.prefill_micros));
        add("decode_seconds_total", "counter", "Time of later tokens, of each answer.", &seconds(&self.decode_micros));
        add("waiting", "gauge", "Questions that wait.", &gauge(&self.waiting));
        add("running", "gauge", "Questions that are being answered.", &gauge(&self.running));
        text
    }
}
