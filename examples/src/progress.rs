//! A bar that shows how far loading is.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes, on the standard error; not drawn where that is no terminal.
///
/// # Panics
/// Never: the template is a constant.
pub fn loading_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.expect("a template without an error"))
}

/// Show that `done` bytes of `of` are read.
pub fn show(bar: &ProgressBar, done: u64, of: u64) {
    bar.set_length(of);
    bar.set_position(done);
}
