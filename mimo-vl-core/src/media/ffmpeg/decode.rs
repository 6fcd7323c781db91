//! Decoding of video frames by `ffmpeg`.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::cancel::TaskControl;
use crate::error::{Error, Result};
use crate::media::Image;

/// Time between two checks for cancellation while a program runs.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Container formats that the programs may open. Audio is among them because it is rejected later with a clearer
/// reason. Playlists are not: they could name any file of the machine.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ivf,ogg,gif,apng,\
    flv,asf,rm,mxf,nut,dv,wtv,yuv4mpegpipe,wav,mp3,flac";

/// Maximum characters of a program's error output that go into an error.
const MAX_STDERR_CHARS: usize = 400;

/// Decodes the frames with these indices, ascending, and passes each to `on_frame`.
pub(super) fn decode(
    path: &Path,
    ffmpeg: &OsStr,
    indices: &[usize],
    control: &TaskControl,
    mut on_frame: impl FnMut(Image) -> Result<()>,
) -> Result<()> {
    // Versions before 5.1 have the older name of the option.
    for passthrough in [["-fps_mode", "passthrough"], ["-vsync", "0"]] {
        match decode_with(passthrough, path, ffmpeg, indices, control, &mut on_frame) {
            Err(Error::Image { reason, .. }) if reason.contains("fps_mode") => {}
            other => return other,
        }
    }
    Err(video_error(path, "this version of ffmpeg is not supported"))
}

fn decode_with(
    passthrough: [&str; 2],
    path: &Path,
    ffmpeg: &OsStr,
    indices: &[usize],
    control: &TaskControl,
    on_frame: &mut impl FnMut(Image) -> Result<()>,
) -> Result<()> {
    let terms: Vec<String> = indices.iter().map(|index| format!("eq(n,{index})")).collect();
    let select = format!("select='{}'", terms.join("+"));
    let count = indices.len().to_string();
    let [option, value] = passthrough;
    let map = ["-map", "0:v:0", "-vf", &select, option, value, "-frames:v", &count];
    let after = [&map[..], &["-f", "image2pipe", "-c:v", "ppm", "-"]].concat();
    let mut program = Program::start(ffmpeg, path, &["-v", "error", "-nostdin", "-i"], &after, control)?;
    let mut decoded = 0;
    while let Some(frame) = program.read_frame()? {
        on_frame(frame)?;
        decoded += 1;
    }
    program.finish()?;
    if decoded < indices.len() {
        return Err(video_error(path, &format!("it ends early: {decoded} of {count} frames can be decoded")));
    }
    Ok(())
}

/// An [`Error::Image`] that names the file.
pub(super) fn video_error(path: &Path, reason: &str) -> Error {
    Error::image(path.display().to_string(), reason)
}

/// A running program that reads a video file. Dropping it kills the program.
pub(super) struct Program<'a> {
    name: OsString,
    path: &'a Path,
    child: Arc<Mutex<Child>>,
    output: BufReader<ChildStdout>,
    /// Reads the error output.
    stderr: Option<JoinHandle<String>>,
    /// Kills the program when the call is cancelled.
    canceller: Option<JoinHandle<()>>,
    /// Ends `canceller`.
    finished: Arc<AtomicBool>,
    control: TaskControl,
}

impl<'a> Program<'a> {
    /// Starts a program with arguments before and after the file.
    pub(super) fn start(
        name: &OsStr,
        path: &'a Path,
        before: &[&str],
        after: &[&str],
        control: &TaskControl,
    ) -> Result<Self> {
        // With the prefix, a name that starts with a dash or looks like a URL is still the name of a file.
        let mut file = OsString::from("file:");
        file.push(path);
        let mut command = Command::new(name);
        command
            .args(["-protocol_whitelist", "file,pipe", "-format_whitelist", FORMATS])
            .args(before)
            .arg(file)
            .args(after);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            let name = name.to_string_lossy();
            let reason = match error.kind() {
                io::ErrorKind::NotFound => format!(
                    "the program {name} that reads video files was not found: install ffmpeg, or pass decoded frames"
                ),
                _ => format!("the program {name} that reads video files cannot be started: {error}"),
            };
            video_error(path, &reason)
        })?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (output, errors) = pipes.ok_or_else(|| Error::internal("the pipes of a child process are missing"))?;
        let (child, finished) = (Arc::new(Mutex::new(child)), Arc::new(AtomicBool::new(false)));
        let canceller = thread::spawn({
            let (child, finished, control) = (Arc::clone(&child), Arc::clone(&finished), control.clone());
            move || {
                while !finished.load(Ordering::Relaxed) {
                    if control.check().is_err() {
                        kill(&child);
                        return;
                    }
                    thread::sleep(POLL_INTERVAL);
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut bytes = Vec::new();
            // The bytes before an error are enough for a message.
            let _ = BufReader::new(errors).read_to_end(&mut bytes);
            let text = String::from_utf8_lossy(&bytes);
            if text.contains("not on whitelist") {
                return "not a video, or of an unsupported format".to_owned();
            }
            text.trim().chars().take(MAX_STDERR_CHARS).collect()
        });
        Ok(Self {
            name: name.to_owned(),
            path,
            child,
            output: BufReader::new(output),
            stderr: Some(stderr),
            canceller: Some(canceller),
            finished,
            control: control.clone(),
        })
    }

    /// Reads the entire output.
    pub(super) fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.output.read_to_end(&mut bytes).map_err(|error| Error::io(self.path, error))?;
        Ok(bytes)
    }

    /// Reads the next frame, in PPM format; `None` at the end of the output.
    fn read_frame(&mut self) -> Result<Option<Image>> {
        let mut words = Vec::new();
        while words.len() < 4 {
            let mut line = String::new();
            let read = self.output.read_line(&mut line).map_err(|error| Error::io(self.path, error))?;
            if read == 0 {
                return Ok(None);
            }
            words.extend(line.split_whitespace().map(str::to_owned));
        }
        let size = match &words[..] {
            [format, width, height, max] if format == "P6" && max == "255" => {
                width.parse::<u32>().ok().zip(height.parse::<u32>().ok())
            }
            _ => None,
        };
        let (width, height) =
            size.ok_or_else(|| video_error(self.path, "the output of ffmpeg is not PPM with 8 bits per sample"))?;
        let bytes = u64::from(width) * u64::from(height) * 3;
        let mut pixels = Vec::new();
        self.output.by_ref().take(bytes).read_to_end(&mut pixels).map_err(|error| Error::io(self.path, error))?;
        if (pixels.len() as u64) < bytes {
            return Ok(None);
        }
        Image::from_rgb(width, height, 3 * width as usize, &pixels).map(Some)
    }

    /// Waits for the end of the program. Returns an error with its error output if it failed.
    pub(super) fn finish(mut self) -> Result<()> {
        // The program cannot end while its output is full.
        io::copy(&mut self.output, &mut io::sink()).map_err(|error| Error::io(self.path, error))?;
        let message = self.stderr.take().and_then(|stderr| stderr.join().ok()).unwrap_or_default();
        let status = loop {
            self.control.check()?;
            // Waiting under the lock would keep the canceller from killing it.
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match ended.map_err(|error| Error::io(self.path, error))? {
                Some(status) => break status,
                None => thread::sleep(Duration::from_millis(1)),
            }
        };
        self.control.check()?;
        if status.success() {
            return Ok(());
        }
        let name = self.name.to_string_lossy();
        let reason = match message.is_empty() {
            true => format!("{name} failed: {status}"),
            false => format!("{name}: {message}"),
        };
        Err(video_error(self.path, &reason))
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::Relaxed);
        kill(&self.child);
        if let Some(canceller) = self.canceller.take() {
            // The thread cannot panic, and nothing depends on its result.
            let _ = canceller.join();
        }
    }
}

/// Kills a program, if it still runs, and reaps it.
fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Both fail only if it has ended.
    let _ = child.kill();
    let _ = child.wait();
}
