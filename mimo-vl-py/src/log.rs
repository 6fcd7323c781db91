//! Forwarding of log messages to Python.

use mimo_vl_core::log;
use pyo3::prelude::*;
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::error::OrRaise;

/// The number of a level in the module logging; TRACE, which Python lacks, is below DEBUG.
fn python_level(level: Level) -> i64 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// Calls `sink(level, module, message)` for log messages of `level`, a number of the module logging, and above. None
/// removes the sink.
#[pyfunction]
pub(crate) fn set_log_sink(py: Python<'_>, level: i64, sink: Option<Py<PyAny>>) -> PyResult<()> {
    let sink = sink.map(|sink| {
        let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        let lowest = levels.into_iter().find(|&known| python_level(known) >= level);
        let filter = lowest.map_or(LevelFilter::OFF, LevelFilter::from_level);
        let call: log::Sink = Box::new(move |level, module, message| {
            // Attaching fails while the interpreter shuts down.
            let called = Python::try_attach(|py| sink.call1(py, (python_level(level), module, message)).map(drop));
            if let Some(Err(error)) = called {
                Python::try_attach(|py| error.write_unraisable(py, None));
            }
        });
        (filter, call)
    });
    // Without the GIL, because a message that is being forwarded may wait for it.
    py.detach(|| log::forward(sink)).or_raise(py)
}
