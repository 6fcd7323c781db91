//! The library's log, for Python's.

use mimo_vl_core::log;
use pyo3::prelude::*;
use tracing::Level;
use tracing::level_filters::LevelFilter;

use crate::error::OrRaise;

/// Python's number of a level; the finest has none, and is below DEBUG.
fn number(level: Level) -> i64 {
    match level {
        Level::ERROR => 40,
        Level::WARN => 30,
        Level::INFO => 20,
        Level::DEBUG => 10,
        Level::TRACE => 5,
    }
}

/// Give messages from `level` on, a number of the module logging, to `sink(level, module, message)`; None ends that.
#[pyfunction]
pub(crate) fn set_log(py: Python<'_>, level: i64, sink: Option<Py<PyAny>>) -> PyResult<()> {
    let to = sink.map(|sink| {
        let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
        let finest = levels.into_iter().find(|&known| number(known) >= level);
        let filter = finest.map_or(LevelFilter::OFF, LevelFilter::from_level);
        let call: log::Sink = Box::new(move |level, module, message| {
            // Python may be about to end, and then hears nothing more.
            let told = Python::try_attach(|py| sink.call1(py, (number(level), module, message)).map(drop));
            if let Some(Err(error)) = told {
                Python::try_attach(|py| error.write_unraisable(py, None));
            }
        });
        (filter, call)
    });
    // Not with the GIL: a message that is under way waits for it.
    py.detach(|| log::forward(to)).or_raise(py)
}
