//! `mimo_vl.CancelToken`, and the keywords `cancel`, `timeout` and `progress` of long calls.

use std::time::Duration;

use mimo_vl_core::{CallOptions, Error, GenerateOptions};
use pyo3::prelude::*;

use crate::error::{exception, no_pickle};
use crate::worker::{Report, run};

/// A flag that cancels the calls it is passed to as `cancel`: they raise CancelledError.
///
/// A cancel before a call, at its start or during it has the same effect. A cancelled token stays cancelled; create
/// another one for the next call. All methods may be called from any thread.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct CancelToken {
    token: mimo_vl_core::CancelToken,
}

#[pymethods]
impl CancelToken {
    #[new]
    fn new() -> Self {
        Self { token: mimo_vl_core::CancelToken::new() }
    }

    /// Cancels every call that has this token, now and later.
    fn cancel(&self) {
        self.token.cancel();
    }

    /// True once the token or its parent was cancelled.
    #[getter]
    fn cancelled(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns a token that is cancelled alone or together with this one.
    fn child(&self) -> Self {
        Self { token: self.token.child() }
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.CancelToken{}>", if self.cancelled() { " cancelled" } else { "" })
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("CancelToken", "it works within one process")
    }
}

/// The token of one call: a child of the caller's, so that Ctrl-C cancels this call only.
pub(crate) fn child_token(cancel: Option<&Bound<'_, CancelToken>>) -> mimo_vl_core::CancelToken {
    cancel.map_or_else(mimo_vl_core::CancelToken::new, |cancel| cancel.get().token.child())
}

/// The options of one call.
pub(crate) fn call_options(
    py: Python<'_>,
    cancel: Option<&Bound<'_, CancelToken>>,
    timeout: Option<f64>,
) -> PyResult<CallOptions> {
    let mut call = CallOptions::new().cancel(&child_token(cancel));
    call.timeout = timeout.map(|seconds| seconds_option(py, "timeout", seconds)).transpose()?;
    Ok(call)
}

/// Runs `work` on a worker thread with the options of its call. `progress`, a Python function, gets the number of units
/// that are done and their total.
pub(crate) fn run_call<T: Send + 'static>(
    py: Python<'_>,
    mut call: CallOptions,
    progress: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(CallOptions) -> Result<T, Error> + Send + 'static,
) -> PyResult<T> {
    let cancel = call.cancel.get_or_insert_default().clone();
    run(py, &cancel, progress, move |report| {
        let report = report.clone();
        work(call.on_progress(move |progress| report((progress.done, progress.total))))
    })
}

/// The same options, which report the stages before the answer.
pub(crate) fn with_progress(options: GenerateOptions, report: &Report<(&'static str, u64, u64)>) -> GenerateOptions {
    let report = Report::clone(report);
    options.on_progress(move |progress| report((progress.stage.name(), progress.done, progress.total)))
}

/// A duration in seconds, or an `OptionError` that names the option.
pub(crate) fn seconds_option(py: Python<'_>, option: &'static str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|error| exception(py, &Error::Option { option, reason: format!("{seconds}: {error}") }))
}
