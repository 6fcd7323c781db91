//! The native half of the Python package `mimo_vl`.
//!
//! Long calls run on a thread of their own, which never touches Python; the calling thread waits for it without the GIL
//! and checks for signals.

mod answer;
mod call;
mod dlpack;
mod error;
mod gui;
mod image;
mod log;
mod model;
mod number;
mod options;
mod pdf;
mod pixels;
mod processor;
mod prompt;
mod score;
mod server;
mod session;
mod session_handle;
mod stream;
mod stream_state;
mod text;
mod video;
mod worker;

/// The classes and functions of `mimo_vl` that are written in Rust.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::call::CancelToken;
    #[pymodule_export]
    use crate::gui::{Screen, Task, scroll_as_drag};
    #[pymodule_export]
    use crate::image::{Image, draw_regions, smart_resize};
    #[pymodule_export]
    use crate::log::set_log_sink;
    #[pymodule_export]
    use crate::model::{Model, quantize};
    #[pymodule_export]
    use crate::pdf::{PdfPage, open_pdf};
    #[pymodule_export]
    use crate::processor::{Patches, Processor};
    #[pymodule_export]
    use crate::prompt::Prompt;
    #[pymodule_export]
    use crate::score::{
        json_value_range, score_anls, score_choice, score_contains, score_count, score_exact, score_iou, score_relaxed,
        score_time_iou, score_time_span,
    };
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::video::Video;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
