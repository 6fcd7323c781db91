//! Images from files, on disk or in memory.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::Image;
use super::decode::decode;
use crate::cancel::{CallOptions, TaskControl};
use crate::error::{Error, Result};

/// Time between two checks for cancellation while an image is decoded.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Maximum size of an encoded image file.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

impl Image {
    /// Opens and decodes an image file.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be read; [`Error::Image`] when it is not an image of a supported format, is
    /// damaged or cut short, has no pixels, or exceeds the limits of [`Image`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let (path, start) = (path.as_ref(), Instant::now());
        let _span = tracing::debug_span!("image", path = %path.display()).entered();
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| Error::io(path, error))?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(Error::image(name, format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20)));
        }
        Self::from_file_bytes(name, &bytes, start)
    }

    /// [`open`](Self::open) that can be cancelled and timed out. It reports no progress. Decoders cannot be
    /// interrupted: after a cancel, a thread continues until the image is decoded.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), [`Error::Cancelled`] and [`Error::Timeout`].
    pub fn open_with(path: impl AsRef<Path>, call: &CallOptions) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        run_detached(move || Self::open(path), &call.start())
    }

    /// Decodes an image file in memory.
    ///
    /// # Errors
    /// [`Error::Image`], as for [`Image::open`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_file_bytes(format!("image of {} bytes in memory", bytes.len()), bytes, Instant::now())
    }

    fn from_file_bytes(name: String, bytes: &[u8], start: Instant) -> Result<Self> {
        let decoded = decode(bytes).map_err(|reason| Error::image(name.as_str(), reason))?;
        let mut image = Self::new(name, decoded.width, decoded.height, decoded.pixels);
        (image.crop.orientation, image.decode_time) = (decoded.orientation, start.elapsed());
        Ok(image)
    }
}

/// Runs `work` on its own thread, which is left running when the call is cancelled.
fn run_detached(work: impl FnOnce() -> Result<Image> + Send + 'static, control: &TaskControl) -> Result<Image> {
    control.check()?;
    let (sender, receiver) = sync_channel(1);
    // A cancelled call has dropped the receiver.
    let started = Builder::new().name("image".into()).spawn(move || drop(sender.send(work())));
    started.map_err(|error| Error::internal(format!("the thread that decodes an image cannot start: {error}")))?;
    loop {
        match receiver.recv_timeout(POLL_INTERVAL) {
            Ok(image) => return image,
            Err(RecvTimeoutError::Timeout) => control.check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(Error::internal("the decoder of an image panicked")),
        }
    }
}
