//! Cancellation, time limits and progress of long calls.

use std::fmt;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// A flag that cancels the calls it is given to. Clones share the flag.
///
/// A token belongs to a call through the call's options, so a cancel that comes before the call, at its start or during
/// it has the same effect: the call ends with [`Error::Cancelled`]. A cancelled token stays cancelled; take a new one
/// for the next call.
#[derive(Clone, Default)]
pub struct CancelToken(Arc<Flag>);

#[derive(Default)]
struct Flag {
    cancelled: AtomicBool,
    /// Cancelling a parent cancels this token.
    parents: Vec<CancelToken>,
    #[cfg(test)]
    checks: AtomicUsize,
    /// The number of checks after which the token is cancelled.
    #[cfg(test)]
    max_checks: Option<usize>,
}

impl CancelToken {
    /// Creates a token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a token that is cancelled with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self::linked(&[self])
    }

    /// Returns a token that is cancelled with each of `parents`, or alone.
    pub(crate) fn linked(parents: &[&Self]) -> Self {
        Self(Arc::new(Flag { parents: parents.iter().copied().cloned().collect(), ..Flag::default() }))
    }

    /// Cancels every call that has this token, running or future. Any thread and any signal handler may call it.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// True if this token or one that it is a child of was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed) || self.0.parents.iter().any(Self::is_cancelled)
    }

    /// Returns an error if the token was cancelled.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn check(&self) -> Result<()> {
        #[cfg(test)]
        self.count();
        if self.0.cancelled.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        self.0.parents.iter().try_for_each(Self::check)
    }

    /// A token that is cancelled by the check number `checks`, counted from 0.
    #[cfg(test)]
    pub(crate) fn after_checks(checks: usize) -> Self {
        Self(Arc::new(Flag { max_checks: Some(checks), ..Flag::default() }))
    }

    /// The number of checks so far.
    #[cfg(test)]
    pub(crate) fn checks(&self) -> usize {
        self.0.checks.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn count(&self) {
        let before = self.0.checks.fetch_add(1, Ordering::Relaxed);
        if self.0.max_checks.is_some_and(|checks| before >= checks) {
            self.cancel();
        }
    }
}

impl PartialEq for CancelToken {
    /// True for clones of one token.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CancelToken {}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelToken").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

/// A stage of a call that reports its progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Download of a checkpoint from the hub, in bytes.
    Download,
    /// Loading of weights, in bytes of the checkpoint's files.
    Load,
    /// Decoding of a video, in frames, or rendering of a PDF file, in pages.
    Decode,
    /// Images and videos through the vision tower, in blocks. Starts again for media items that do not fit into one
    /// pass.
    Encode,
    /// The new part of the conversation through the language model, in tokens.
    Prefill,
}

impl Stage {
    /// The name in snake case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Load => "load",
            Self::Decode => "decode",
            Self::Encode => "encode",
            Self::Prefill => "prefill",
        }
    }
}

/// A report of progress: `done` of `total` units of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The stage.
    pub stage: Stage,
    /// Units that are done, from 0 to `total`; [`Stage`] names the unit.
    pub done: u64,
    /// Units of the whole stage.
    pub total: u64,
}

/// A function that receives the progress of a call, on the thread of the work. It should return quickly.
#[derive(Clone)]
pub struct ProgressCallback(Arc<dyn Fn(Progress) + Send + Sync>);

impl ProgressCallback {
    /// Wraps a function.
    pub fn new(callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }
}

impl PartialEq for ProgressCallback {
    /// True for clones of one callback.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ProgressCallback {}

impl fmt::Debug for ProgressCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressCallback")
    }
}

/// Cancellation, time limit and progress of one call. Part of the options of every long call.
///
/// ```
/// # use mimo_vl_core::{CallOptions, CancelToken};
/// let token = CancelToken::new();
/// let call = CallOptions::new().cancel(&token).on_progress(|progress| println!("{progress:?}"));
/// # let _ = call;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct CallOptions {
    /// The token that cancels the call. Default `None`.
    pub cancel: Option<CancelToken>,
    /// The time that the call may take, from its start. Default `None`: no limit.
    pub timeout: Option<Duration>,
    /// The function that receives the progress. Default `None`.
    pub progress: Option<ProgressCallback>,
}

impl CallOptions {
    /// No cancellation, no time limit, no reports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`CallOptions::cancel`](#structfield.cancel).
    #[must_use]
    pub fn cancel(mut self, token: &CancelToken) -> Self {
        self.cancel = Some(token.clone());
        self
    }

    /// Sets [`CallOptions::timeout`](#structfield.timeout).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets [`CallOptions::progress`](#structfield.progress).
    #[must_use]
    pub fn on_progress(mut self, callback: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Some(ProgressCallback::new(callback));
        self
    }

    /// Starts the call's clock.
    pub fn start(&self) -> TaskControl {
        TaskControl {
            cancel: self.cancel.clone().unwrap_or_default(),
            deadline: self.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            progress: self.progress.clone(),
        }
    }
}

/// The setters `cancel`, `timeout` and `on_progress` of options that have a field `call: CallOptions`.
macro_rules! call_setters {
    () => {
        /// Sets the token that cancels the call; the call ends with
        /// [`Error::Cancelled`](crate::error::Error::Cancelled). Default `None`.
        #[must_use]
        pub fn cancel(mut self, token: &crate::cancel::CancelToken) -> Self {
            self.call = self.call.cancel(token);
            self
        }

        /// Sets the time that the call may take, from its start. Default: no limit.
        #[must_use]
        pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
            self.call = self.call.timeout(timeout);
            self
        }

        /// Sets the function that receives the call's progress, on the thread of the work. Default: none.
        #[must_use]
        pub fn on_progress(mut self, callback: impl Fn(crate::cancel::Progress) + Send + Sync + 'static) -> Self {
            self.call = self.call.on_progress(callback);
            self
        }
    };
}
pub(crate) use call_setters;

/// The control of a running call: checks for cancellation and the time limit, and reports progress.
#[derive(Debug, Clone, Default)]
pub struct TaskControl {
    cancel: CancelToken,
    deadline: Option<Instant>,
    progress: Option<ProgressCallback>,
}

impl TaskControl {
    /// A control with this token, without time limit and reports.
    pub fn with_cancel(token: &CancelToken) -> Self {
        Self { cancel: token.clone(), ..Self::default() }
    }

    /// The same control, cancelled by `token` too.
    pub(crate) fn also_cancelled_by(mut self, token: &CancelToken) -> Self {
        self.cancel = CancelToken::linked(&[&self.cancel, token]);
        self
    }

    /// The same control without reports.
    pub(crate) fn without_progress(mut self) -> Self {
        self.progress = None;
        self
    }

    /// Returns an error if the call was cancelled or its time is over.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Timeout`].
    pub fn check(&self) -> Result<()> {
        self.cancel.check()?;
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(Error::Timeout),
            _ => Ok(()),
        }
    }

    /// Reports progress.
    pub fn report(&self, stage: Stage, done: u64, total: u64) {
        if let Some(ProgressCallback(callback)) = &self.progress {
            callback(Progress { stage, done, total });
        }
    }

    /// Reports progress, then checks.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn step(&self, stage: Stage, done: u64, total: u64) -> Result<()> {
        self.report(stage, done, total);
        self.check()
    }
}
