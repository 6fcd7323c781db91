//! The native half of the Python package `mimo_vl`.
//!
//! Long work runs on a thread of its own, which never touches Python; the calling thread waits for it with the GIL
//! released, and looks for signals meanwhile.

mod answer;
mod dlpack;
mod error;
mod generate;
mod gui;
mod image;
mod log;
mod model;
mod pdf;
mod pixels;
mod processor;
mod prompt;
mod score;
mod server;
mod session;
mod slot;
mod stream;
mod stream_state;
mod text;
mod video;
mod worker;

/// The classes of `mimo_vl` that are written in Rust.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::gui::Task;
    #[pymodule_export]
    use crate::image::{Image, draw, smart_resize};
    #[pymodule_export]
    use crate::log::set_log;
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
        answer_field, score_anls, score_choice, score_count, score_exact, score_relaxed, score_time_span,
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
