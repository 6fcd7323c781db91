//! The native half of the Python package `mimo_vl`.
//!
//! Every turn runs on a thread of its own, which never touches Python; the calling thread waits for it with the GIL
//! released, and looks for signals meanwhile.

mod answer;
mod error;
mod image;
mod model;
mod pixels;
mod prompt;
mod session;
mod stream;
mod text;
mod video;
mod worker;

/// The classes of `mimo_vl` that are written in Rust.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::image::{Image, draw};
    #[pymodule_export]
    use crate::model::Model;
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
