//! A bar that shows how far loading is.

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::Progress;

/// A bar over bytes, on the standard error; not drawn where that is no terminal.
///
/// # Panics
/// Never: the template is a constant.
pub fn loading_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.expect("a template without an error"))
}

/// Shows the progress of a download or of loading.
pub fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}
