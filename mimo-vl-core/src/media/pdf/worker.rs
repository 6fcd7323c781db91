//! The thread that draws pages, so that neither a panic nor an endless page of the renderer reaches the caller.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use hayro::RenderCache;

use super::file;
use super::options::PdfOptions;
use super::render::{self, Drawn};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// Longest time that opening a file, or drawing one page, may take.
const LIMIT: Duration = Duration::from_secs(60);
/// A raised flag is seen after so long at most.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// What the renderer nests, it may put on the stack, and running out of that would end the whole process.
const STACK: usize = 64 * 1024 * 1024;

/// A file that is drawn on a thread of its own, page by page. The thread ends when this is dropped: at once when it
/// waits to hand over a page, else after the page that it draws, and never if that page has no end.
pub(super) struct Worker {
    /// The pages that are taken, which come first.
    pages: Receiver<Result<Vec<usize>>>,
    drawn: Receiver<Result<Drawn>>,
    name: String,
}

impl Worker {
    pub(super) fn start(name: &str, bytes: Vec<u8>, options: &PdfOptions) -> Result<Self> {
        // Without room in the channel, the thread is never more than a page ahead.
        let (send_pages, pages) = sync_channel(0);
        let (send_drawn, drawn) = sync_channel(0);
        let (thread_name, options) = (name.to_owned(), options.clone());
        let work = move || work(&thread_name, bytes, &options, &send_pages, &send_drawn);
        let started = thread::Builder::new().name("pdf".into()).stack_size(STACK).spawn(work);
        started.map_err(|error| Error::internal(format!("no thread to draw pages with: {error}")))?;
        Ok(Self { pages, drawn, name: name.to_owned() })
    }

    /// The numbers of the pages that [`draw`](Self::draw) will give.
    pub(super) fn pages(&self, control: &TaskControl) -> Result<Vec<usize>> {
        wait(&self.pages, LIMIT, control, &self.name)
    }

    /// The next page, which is the one with this number.
    pub(super) fn draw(&self, number: usize, control: &TaskControl) -> Result<Drawn> {
        wait(&self.drawn, LIMIT, control, &page_name(&self.name, number))
    }
}

/// What to call a page in an error.
pub(super) fn page_name(name: &str, number: usize) -> String {
    format!("{name}: page {number}")
}

/// What the thread does. It ends early when nobody receives any more.
fn work(
    name: &str,
    bytes: Vec<u8>,
    options: &PdfOptions,
    pages: &SyncSender<Result<Vec<usize>>>,
    drawn: &SyncSender<Result<Drawn>>,
) {
    let opened = guard(name, || {
        let pdf = file::load(name, bytes, options.password.as_deref())?;
        let numbers: Vec<usize> = options.select(name, pdf.pages().len())?.collect();
        Ok((pdf, numbers))
    });
    let (pdf, numbers) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            // Who asked may have left.
            let _ = pages.send(Err(error));
            return;
        }
    };
    if pages.send(Ok(numbers.clone())).is_err() {
        return;
    }
    let (cache, settings) = (RenderCache::new(), render::settings(name));
    for number in numbers {
        let what = page_name(name, number);
        let page = guard(&what, || render::draw(&what, &pdf.pages()[number - 1], &cache, &settings, options));
        if drawn.send(page).is_err() {
            return;
        }
    }
}

/// Do a part of the work, with a panic as an error: it is a defect of the renderer that this file brings out.
fn guard<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(what, &*panic)))
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::image(what, format!("it cannot be drawn: {}", said.unwrap_or("the renderer failed and did not say why")))
}

/// What comes from the thread next, unless a stop is asked for or the time is over.
fn wait<T>(from: &Receiver<Result<T>>, limit: Duration, control: &TaskControl, what: &str) -> Result<T> {
    let start = Instant::now();
    loop {
        control.check()?;
        match from.recv_timeout(POLL_INTERVAL) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::internal(format!("{what}: the thread that draws pages is gone")));
            }
            Err(RecvTimeoutError::Timeout) if start.elapsed() >= limit => {
                return Err(Error::image(what, format!("it takes longer than {} seconds", limit.as_secs_f64())));
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
    fn waiting_has_an_end() {
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
        assert!(matches!(wait(&receive, LIMIT, &control, "a.pdf"), Err(Error::Cancelled)));
        assert!(start.elapsed() < Duration::from_secs(5));
        other.join().unwrap();
    }

    #[test]
    fn a_thread_that_is_gone_is_a_defect() {
        let (send, receive) = sync_channel::<Result<()>>(0);
        drop(send);
        assert!(matches!(wait(&receive, LIMIT, &TaskControl::default(), "a.pdf"), Err(Error::Internal { .. })));
    }
}
