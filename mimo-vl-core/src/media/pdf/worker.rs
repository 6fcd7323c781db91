//! The render thread. It keeps panics and endless pages of the renderer away from the caller.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hayro::RenderCache;

use super::file;
use super::options::PdfOptions;
use super::render::{self, RenderedPage};
use crate::cancel::TaskControl;
use crate::error::{Error, Result, panic_message};

/// Maximum time for opening a file, and for rendering a page.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// Time between two checks for cancellation.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Stack of the render thread. The renderer recurses on nested content, and a stack overflow aborts the process.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// A file that is rendered page by page on its own thread. The thread ends when this is dropped: at once while it waits
/// to send a page, otherwise after the page that it renders, and never if that page has no end.
pub(super) struct Worker {
    /// Receives the page numbers, before the first page.
    numbers: Receiver<Result<Vec<usize>>>,
    pages: Receiver<Result<RenderedPage>>,
    name: String,
}

impl Worker {
    pub(super) fn start(name: &str, bytes: Vec<u8>, options: &PdfOptions) -> Result<Self> {
        // Channels without capacity keep the thread at most one page ahead.
        let (send_numbers, numbers) = sync_channel(0);
        let (send_pages, pages) = sync_channel(0);
        let (thread_name, options) = (name.to_owned(), options.clone());
        let work = move || run(&thread_name, bytes, &options, &send_numbers, &send_pages);
        let started = thread::Builder::new().name("pdf".into()).stack_size(STACK_BYTES).spawn(work);
        started.map_err(|error| Error::internal(format!("the render thread cannot start: {error}")))?;
        Ok(Self { numbers, pages, name: name.to_owned() })
    }

    /// Returns the numbers of the pages that [`render`](Self::render) returns, in order.
    pub(super) fn pages(&self, control: &TaskControl) -> Result<Vec<usize>> {
        wait(&self.numbers, TIME_LIMIT, control, &self.name)
    }

    /// Returns the next page, which has this number.
    pub(super) fn render(&self, number: usize, control: &TaskControl) -> Result<RenderedPage> {
        wait(&self.pages, TIME_LIMIT, control, &page_name(&self.name, number))
    }
}

/// Name of a page in errors.
pub(super) fn page_name(name: &str, number: usize) -> String {
    format!("{name}: page {number}")
}

/// Body of the render thread. Returns early when the receivers are dropped.
fn run(
    name: &str,
    bytes: Vec<u8>,
    options: &PdfOptions,
    send_numbers: &SyncSender<Result<Vec<usize>>>,
    send_pages: &SyncSender<Result<RenderedPage>>,
) {
    let opened = guard(name, || {
        let pdf = file::load(name, bytes, options.password.as_deref())?;
        let numbers: Vec<usize> = options.select(name, pdf.pages().len())?.collect();
        Ok((pdf, numbers))
    });
    let (pdf, numbers) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            // The caller may have dropped the receiver.
            let _ = send_numbers.send(Err(error));
            return;
        }
    };
    if send_numbers.send(Ok(numbers.clone())).is_err() {
        return;
    }
    let (cache, settings) = (RenderCache::new(), render::settings(name));
    for number in numbers {
        let name = page_name(name, number);
        let page = guard(&name, || render::render(&name, &pdf.pages()[number - 1], &cache, &settings, options));
        if send_pages.send(page).is_err() {
            return;
        }
    }
}

/// Turns a panic of `work` into an error: a defect of the renderer that this file triggers.
fn guard<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        let reason = format!("it cannot be drawn: {}", panic_message(&*payload));
        Err(Error::image(name, reason))
    })
}

/// Receives the next result of the thread, within a time limit and until the call is cancelled.
fn wait<T>(receiver: &Receiver<Result<T>>, limit: Duration, control: &TaskControl, name: &str) -> Result<T> {
    let start = Instant::now();
    loop {
        control.check()?;
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::internal(format!("{name}: the render thread is gone")));
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() >= limit => {
                return Err(Error::image(name, format!("it takes longer than {} seconds", limit.as_secs_f64())));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_names_the_page() {
        let error = guard::<()>("a.pdf: page 3", || panic!("no room for {}", 7)).unwrap_err();
        assert_eq!(error.to_string(), "a.pdf: page 3: it cannot be drawn: no room for 7");
    }

    #[test]
    fn waiting_ends_by_the_limit_and_by_a_cancel() {
        let (_send, receive) = sync_channel::<Result<()>>(0);
        let limit = Duration::from_millis(50);
        let error = wait(&receive, limit, &TaskControl::default(), "a.pdf: page 3").unwrap_err();
        assert_eq!(error.to_string(), "a.pdf: page 3: it takes longer than 0.05 seconds");
        let token = crate::cancel::CancelToken::new();
        let control = TaskControl::with_cancel(&token);
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            token.cancel();
        });
        let start = Instant::now();
        assert!(matches!(wait(&receive, TIME_LIMIT, &control, "a.pdf"), Err(Error::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(5));
        other.join().unwrap();
    }

    #[test]
    fn a_render_thread_that_is_gone_is_an_internal_error() {
        let (send, receive) = sync_channel::<Result<()>>(0);
        drop(send);
        assert!(matches!(wait(&receive, TIME_LIMIT, &TaskControl::default(), "a.pdf"), Err(Error::Internal { .. })));
    }
}
