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

/// The filters that print the time of each frame. Without an entry of metadata, a frame is not printed.
const PRINT_TIMES: &str = "metadata=mode=add:key=t:value=1,metadata=mode=print:file=pipe\\\\:";

/// Decodes the frames at these places in the order of presentation, ascending, and passes each to `on_frame`. Returns
/// the presentation time of each, in seconds; NaN where the stream has none.
pub(super) fn decode(
    path: &Path,
    ffmpeg: &OsStr,
    indices: &[usize],
    control: &TaskControl,
    mut on_frame: impl FnMut(Image) -> Result<()>,
) -> Result<Vec<f64>> {
    let filters = format!("select='{}',{PRINT_TIMES}2", select(indices));
    let count = indices.len().to_string();
    // 8 bits per sample, whatever the stream has.
    let output = ["-frames:v", &count, "-pix_fmt", "rgb24", "-f", "image2pipe", "-c:v", "ppm", "-"];
    run(path, ffmpeg, &filters, &output, control, |program| {
        while let Some(frame) = program.read_frame()? {
            on_frame(frame)?;
        }
        Ok(())
    })
    .map(|((), errors)| parse_times(&errors))
}

/// Decodes all frames, and returns the presentation time of each, in seconds; NaN where the stream has none.
pub(super) fn frame_times(path: &Path, ffmpeg: &OsStr, control: &TaskControl) -> Result<Vec<f64>> {
    let (output, _) =
        run(path, ffmpeg, &format!("{PRINT_TIMES}1"), &["-f", "null", "-"], control, |program| program.read_all())?;
    Ok(parse_times(&String::from_utf8_lossy(&output)))
}

/// Runs `ffmpeg` with these filters, and returns what `read` returns, and the error output.
fn run<T>(
    path: &Path,
    ffmpeg: &OsStr,
    filters: &str,
    output: &[&str],
    control: &TaskControl,
    mut read: impl FnMut(&mut Program<'_>) -> Result<T>,
) -> Result<(T, String)> {
    // Times are those of the file. Damaged frames are left out, however many there are.
    let before = ["-v", "error", "-nostdin", "-max_error_rate", "1", "-copyts", "-i"];
    // Versions before 5.1 have the older name of the option.
    for passthrough in [["-fps_mode", "passthrough"], ["-vsync", "0"]] {
        let after = [&["-map", "0:v:0", "-vf", filters], &passthrough[..], output].concat();
        let mut program = Program::start(ffmpeg, path, &before, &after, control)?;
        let result = read(&mut program)?;
        match program.finish() {
            Err(Error::Image { reason, .. }) if reason.contains("fps_mode") => {}
            errors => return Ok((result, errors?)),
        }
    }
    Err(video_error(path, "this version of ffmpeg is not supported"))
}

/// The expression that selects the frames with these indices, ascending: a tree, because ffmpeg limits the depth of an
/// expression.
fn select(indices: &[usize]) -> String {
    match indices {
        [] => "0".to_owned(),
        [index] => format!("eq(n,{index})"),
        _ => {
            let (low, high) = indices.split_at(indices.len() / 2);
            format!("if(lt(n,{}),{},{})", high[0], select(low), select(high))
        }
    }
}

/// Parses the output of [`PRINT_TIMES`]: lines such as `frame:3 pts:7 pts_time:0.7`.
fn parse_times(output: &str) -> Vec<f64> {
    let lines = output.lines().filter(|line| line.starts_with("frame:"));
    lines
        .map(|line| line.rsplit("pts_time:").next().and_then(|time| time.trim().parse().ok()).unwrap_or(f64::NAN))
        .collect()
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
            String::from_utf8_lossy(&bytes).into_owned()
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

    /// Waits for the end of the program, and returns its error output; an error with that output if it failed.
    pub(super) fn finish(mut self) -> Result<String> {
        // The program cannot end while its output is full.
        io::copy(&mut self.output, &mut io::sink()).map_err(|error| Error::io(self.path, error))?;
        let errors = self.stderr.take().and_then(|stderr| stderr.join().ok()).unwrap_or_default();
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
            return Ok(errors);
        }
        let name = self.name.to_string_lossy();
        let reason = match error_message(&errors) {
            message if message.is_empty() => format!("{name} failed: {status}"),
            message => format!("{name}: {message}"),
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

/// The start of a program's error output, without the lines of [`PRINT_TIMES`].
fn error_message(errors: &str) -> String {
    if errors.contains("not on whitelist") {
        return "not a video, or of an unsupported format".to_owned();
    }
    let lines: Vec<&str> = errors.lines().filter(|line| !line.starts_with("frame:") && *line != "t=1").collect();
    lines.join("\n").trim().chars().take(MAX_STDERR_CHARS).collect()
}

/// Kills a program, if it still runs, and reaps it.
fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Both fail only if it has ended.
    let _ = child.kill();
    let _ = child.wait();
}
