//! The library's log for programs without a `tracing` subscriber, such as those in other languages.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::error::{Error, Result};

/// Receives a message: its level, its target (the module), and its text with its fields.
pub type Sink = Box<dyn Fn(Level, &str, &str) + Send + Sync>;

/// The maximum level and the receiver of messages; `None` while the log is off.
static SINK: RwLock<Option<(LevelFilter, Sink)>> = RwLock::new(None);

/// Forwards messages up to a level to a sink, which is called on the thread that logs; `None` turns the log off. When
/// this returns, no call of the previous sink is in progress.
///
/// # Errors
/// [`Error::Option`] when the process has another `tracing` subscriber.
pub fn forward(sink: Option<(LevelFilter, Sink)>) -> Result<()> {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    if sink.is_some() {
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if !*installed {
            let forward = Forward { spans: AtomicU64::new(1) };
            tracing::subscriber::set_global_default(forward)
                .map_err(|error| Error::option("log", error.to_string()))?;
            *installed = true;
        }
    }
    *SINK.write().unwrap_or_else(PoisonError::into_inner) = sink;
    tracing::callsite::rebuild_interest_cache();
    Ok(())
}

/// The subscriber: forwards events to the sink, and only numbers spans.
struct Forward {
    spans: AtomicU64,
}

impl Subscriber for Forward {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        metadata.is_event() && sink.as_ref().is_some_and(|(level, _)| metadata.level() <= level)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed).max(1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        let sink = SINK.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, sink)) = &*sink {
            sink(*event.metadata().level(), event.metadata().target(), line.0.trim_end());
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message and the fields of an event on one line.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}
