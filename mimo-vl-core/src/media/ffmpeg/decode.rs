//! Decoded frames, by `ffmpeg`.

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

/// How often a running program looks whether it is to be stopped.
const LOOK: Duration = Duration::from_millis(20);

/// What a file may be, sound among it, which has a reason of its own to be refused. A list of files is none of these: it could name any file of the machine.
const FORMATS: &str = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,m4v,h264,hevc,ivf,ogg,gif,apng,flv,asf,rm,mxf,nut,dv,wtv,yuv4mpegpipe,wav,mp3,flac";

/// Most of what a program says that goes into an error.
const MOST_SAID: usize = 400;

/// Decode the frames with these numbers, ascending, and give each to `take`.
pub(super) fn decode(
    path: &Path,
    ffmpeg: &OsStr,
    indices: &[usize],
    control: &TaskControl,
    mut take: impl FnMut(Image) -> Result<()>,
) -> Result<()> {
    // Older versions have another word for it.
    for keep_times in [["-fps_mode", "passthrough"], ["-vsync", "0"]] {
        match decode_with(keep_times, path, ffmpeg, indices, control, &mut take) {
            Err(Error::Image { reason, .. }) if reason.contains("fps_mode") => {}
            other => return other,
        }
    }
    Err(refused(path, "this version of ffmpeg is not supported"))
}

fn decode_with(
    keep_times: [&str; 2],
    path: &Path,
    ffmpeg: &OsStr,
    indices: &[usize],
    control: &TaskControl,
    take: &mut impl FnMut(Image) -> Result<()>,
) -> Result<()> {
    let wanted: Vec<String> = indices.iter().map(|index| format!("eq(n,{index})")).collect();
    let select = format!("select='{}'", wanted.join("+"));
    let last = (indices.len()).to_string();
    let [option, value] = keep_times;
    let map = ["-map", "0:v:0", "-vf", &select, option, value, "-frames:v", &last];
    let after = [&map[..], &["-f", "image2pipe", "-c:v", "ppm", "-"]].concat();
    let mut program = Program::start(ffmpeg, path, &["-v", "error", "-nostdin", "-i"], &after, control)?;
    let mut count = 0;
    while let Some(frame) = program.read_frame()? {
        take(frame)?;
        count += 1;
    }
    program.finish()?;
    if count < indices.len() {
        let wanted = indices.len();
        return Err(refused(path, &format!("it ends early: {count} of {wanted} frames can be decoded")));
    }
    Ok(())
}

/// [`Error::Image`] that names the file.
pub(super) fn refused(path: &Path, reason: &str) -> Error {
    Error::image(path.display().to_string(), reason)
}

/// A program that reads a video file. It is stopped when it is dropped.
pub(super) struct Program<'a> {
    name: OsString,
    path: &'a Path,
    child: Arc<Mutex<Child>>,
    output: BufReader<ChildStdout>,
    /// What it says of its troubles.
    said: Option<JoinHandle<String>>,
    watch: Option<JoinHandle<()>>,
    over: Arc<AtomicBool>,
    control: TaskControl,
}

impl<'a> Program<'a> {
    /// Start a program with some words before the file and some after it.
    pub(super) fn start(
        name: &OsStr,
        path: &'a Path,
        before: &[&str],
        after: &[&str],
        control: &TaskControl,
    ) -> Result<Self> {
        // A name that starts with a dash or looks like an address is the name of a file all the same.
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
                    "the program {name} that reads video files was not found: install ffmpeg, or give the frames yourself"
                ),
                _ => format!("the program {name} that reads video files cannot be started: {error}"),
            };
            refused(path, &reason)
        })?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let (output, errors) = pipes.ok_or_else(|| Error::internal("a program without pipes"))?;
        let (child, over) = (Arc::new(Mutex::new(child)), Arc::new(AtomicBool::new(false)));
        let watch = thread::spawn({
            let (child, over, control) = (Arc::clone(&child), Arc::clone(&over), control.clone());
            move || {
                while !over.load(Ordering::Relaxed) {
                    if control.check().is_err() {
                        kill(&child);
                        return;
                    }
                    thread::sleep(LOOK);
                }
            }
        });
        let said = thread::spawn(move || {
            let mut said = Vec::new();
            // What could not be read of its complaints is no harm.
            let _ = BufReader::new(errors).read_to_end(&mut said);
            let said = String::from_utf8_lossy(&said);
            if said.contains("not on whitelist") {
                return "not a video, or of a format that is not read".to_owned();
            }
            said.trim().chars().take(MOST_SAID).collect()
        });
        Ok(Self {
            name: name.to_owned(),
            path,
            child,
            output: BufReader::new(output),
            said: Some(said),
            watch: Some(watch),
            over,
            control: control.clone(),
        })
    }

    /// All that it writes.
    pub(super) fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.output.read_to_end(&mut bytes).map_err(|error| Error::io(self.path, error))?;
        Ok(bytes)
    }

    /// The next picture, in the format PPM; `None` at the end.
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
            [format, width, height, most] if format == "P6" && most == "255" => {
                width.parse::<u32>().ok().zip(height.parse::<u32>().ok())
            }
            _ => None,
        };
        let (width, height) = size.ok_or_else(|| refused(self.path, "its frames are not what was asked of ffmpeg"))?;
        let bytes = u64::from(width) * u64::from(height) * 3;
        let mut pixels = Vec::new();
        self.output.by_ref().take(bytes).read_to_end(&mut pixels).map_err(|error| Error::io(self.path, error))?;
        if (pixels.len() as u64) < bytes {
            return Ok(None);
        }
        Image::from_rgb(width, height, 3 * width as usize, &pixels).map(Some)
    }

    /// Wait for its end; an error with what it said if it failed.
    pub(super) fn finish(mut self) -> Result<()> {
        // It ends once nobody reads; what is left is of no use.
        io::copy(&mut self.output, &mut io::sink()).map_err(|error| Error::io(self.path, error))?;
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        let status = loop {
            self.control.check()?;
            // Not waited for under the lock, which stopping it needs.
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
        let reason = if said.is_empty() { format!("{name} failed: {status}") } else { format!("{name}: {said}") };
        Err(refused(self.path, &reason))
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        kill(&self.child);
        if let Some(watch) = self.watch.take() {
            // The thread cannot panic, and nothing depends on how it ended.
            let _ = watch.join();
        }
    }
}

/// Stop a program, if it still runs, and take note of its end.
fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Both fail only when it has ended.
    let _ = child.kill();
    let _ = child.wait();
}
