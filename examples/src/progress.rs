//! A progress bar for loading.

use indicatif::{ProgressBar, ProgressStyle};
use mimo_vl_core::Progress;

/// A progress bar over bytes on the standard error, hidden if that is not a terminal.
///
/// # Panics
/// Never: the template is a constant.
pub fn loading_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is valid"))
}

/// Shows the progress of a download or of loading.
pub fn show(bar: &ProgressBar, progress: Progress) {
    bar.set_length(progress.total);
    bar.set_position(progress.done);
}
