//! A flag with which any thread stops work that is under way, and a view of how far it is.

use std::fmt;
#[cfg(test)]
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::error::{Error, Result};

/// A handle that stops the work it was given to. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Flag>);

/// A stage of a question that tells how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// Pictures and videos through the vision tower, in blocks; several that do not fit into one pass start again.
    Encode,
    /// The new part of the conversation through the language model, in tokens.
    Prefill,
}

/// Who is told how far a stage is: what is done, and what there is to do.
pub(crate) type Progress = Arc<dyn Fn(Stage, usize, usize) + Send + Sync>;

#[derive(Default)]
struct Flag {
    raised: AtomicBool,
    deadline: Mutex<Option<Instant>>,
    /// What stops this work, too.
    parent: Option<CancelToken>,
    progress: Mutex<Option<Progress>>,
    #[cfg(test)]
    checks: AtomicUsize,
    #[cfg(test)]
    raised_at: Option<usize>,
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag").field("raised", &self.raised).field("parent", &self.parent).finish_non_exhaustive()
    }
}

impl CancelToken {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ask the work to stop; it ends with [`Error::Cancelled`] at its next check.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.raised.load(Ordering::Relaxed) || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }

    /// A flag for a part of the work: it can be raised alone, and counts as raised when this one is.
    pub(crate) fn child(&self) -> Self {
        Self(Arc::new(Flag { parent: Some(self.clone()), ..Flag::default() }))
    }

    /// Lower the flag, so that new work can start.
    pub(crate) fn lower(&self) {
        self.0.raised.store(false, Ordering::Relaxed);
    }

    /// Let the work end with [`Error::Timeout`] at its first check after `deadline`.
    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner) = deadline;
    }

    /// Tell `progress` from now on how far the work is that this flag was given to.
    pub(crate) fn set_progress(&self, progress: Option<Progress>) {
        *self.0.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Who is told.
    pub(crate) fn progress(&self) -> Option<Progress> {
        self.0.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Tell how far a stage is.
    pub(crate) fn report(&self, stage: Stage, done: usize, of: usize) {
        // Called without the lock, so that it may set another.
        if let Some(progress) = self.progress() {
            progress(stage, done, of);
        }
    }

    /// Pass unless a stop was asked for, or the time is over.
    ///
    /// # Errors
    /// [`Error::Cancelled`], [`Error::Timeout`].
    pub fn check(&self) -> Result<()> {
        #[cfg(test)]
        self.count();
        if self.0.raised.load(Ordering::Relaxed) {
            return Err(Error::Cancelled);
        }
        let deadline = *self.0.deadline.lock().unwrap_or_else(PoisonError::into_inner);
        in_time(deadline)?;
        self.0.parent.as_ref().map_or(Ok(()), Self::check)
    }

    /// A flag that is raised by the check after so many.
    #[cfg(test)]
    pub(crate) fn after_checks(checks: usize) -> Self {
        Self(Arc::new(Flag { raised_at: Some(checks), ..Flag::default() }))
    }

    /// How often it was asked for.
    #[cfg(test)]
    pub(crate) fn checks(&self) -> usize {
        self.0.checks.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    fn count(&self) {
        let before = self.0.checks.fetch_add(1, Ordering::Relaxed);
        if self.0.raised_at.is_some_and(|checks| before >= checks) {
            self.cancel();
        }
    }
}

/// What long work reports to, and asks whether to go on. By default nobody watches.
#[derive(Clone, Copy, Default)]
pub struct TaskControl<'a> {
    cancel: Option<&'a CancelToken>,
    deadline: Option<Instant>,
    progress: Option<&'a dyn Fn(u64, u64)>,
}

impl<'a> TaskControl<'a> {
    /// Nobody watches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stop with [`Error::Cancelled`] when this flag is raised.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a CancelToken) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Stop with [`Error::Timeout`] at this time.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Call `progress` now and then with what is done and what there is to do: bytes, or frames of a video.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Fn(u64, u64)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The flag that stops the work; one that nobody raises where there is none.
    pub(crate) fn flag(&self) -> CancelToken {
        let flag = self.cancel.map(CancelToken::child).unwrap_or_default();
        flag.set_deadline(self.deadline);
        flag
    }

    /// Report, and pass unless a stop was asked for.
    pub(crate) fn step(&self, done: u64, of: u64) -> Result<()> {
        if let Some(progress) = self.progress {
            progress(done, of);
        }
        self.cancel.map_or(Ok(()), CancelToken::check)?;
        in_time(self.deadline)
    }
}

fn in_time(deadline: Option<Instant>) -> Result<()> {
    if deadline.is_some_and(|deadline| Instant::now() >= deadline) { Err(Error::Timeout) } else { Ok(()) }
}

impl fmt::Debug for TaskControl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskControl")
            .field("cancel", &self.cancel)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
