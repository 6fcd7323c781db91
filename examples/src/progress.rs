//! A progress bar for loading.

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar over bytes on the standard error, hidden if that is not a terminal.
///
/// # Panics
/// Never: the template is a constant.
pub fn loading_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left");
    ProgressBar::new(0).with_style(style.expect("the template is valid"))
}

/// Sets the bar to `done` of `total` bytes.
pub fn show(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
