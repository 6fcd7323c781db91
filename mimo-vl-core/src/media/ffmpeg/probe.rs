//! The video stream of a file, read by `ffprobe`.

use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;

use super::decode::{Program, video_error};
use crate::cancel::TaskControl;
use crate::error::Result;

/// The first video stream of a file.
pub(super) struct Stream {
    /// Presentation time of each frame, in seconds, ascending, with those that the file declares and lacks at its end.
    pub(super) times: Vec<f64>,
    /// Average frames per second.
    pub(super) fps: f64,
}

#[derive(Deserialize)]
struct Probed {
    #[serde(default)]
    streams: Vec<ProbedStream>,
    #[serde(default)]
    packets: Vec<Packet>,
}

#[derive(Deserialize)]
struct ProbedStream {
    #[serde(default)]
    avg_frame_rate: String,
    #[serde(default)]
    r_frame_rate: String,
    /// Number of frames in the file's header, which not all formats have.
    nb_frames: Option<String>,
}

#[derive(Deserialize)]
struct Packet {
    pts_time: Option<String>,
    dts_time: Option<String>,
    #[serde(default)]
    flags: String,
}

/// Reads the frame times of a file with `ffprobe`, without decoding the frames.
pub(super) fn probe(path: &Path, ffprobe: &OsStr, control: &TaskControl) -> Result<Stream> {
    let entries = "stream=avg_frame_rate,r_frame_rate,nb_frames:packet=pts_time,dts_time,flags";
    let arguments = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json"];
    let mut program = Program::start(ffprobe, path, &arguments, &[], control)?;
    let output = program.read_all()?;
    program.finish()?;
    let probed: Probed = serde_json::from_slice(&output)
        .map_err(|error| video_error(path, &format!("the output of ffprobe is not as expected: {error}")))?;
    let Some(stream) = probed.streams.first() else { return Err(video_error(path, "it has no video")) };
    let (found, declared) = (probed.packets.len(), stream.nb_frames.as_ref().and_then(|count| count.parse().ok()));
    let missing = declared.map_or(0, |declared: usize| declared.saturating_sub(found));
    if missing > found {
        return Err(video_error(path, &format!("it ends early: {found} of its {} frames are there", found + missing)));
    }
    // The flag D marks frames that are decoded but not shown.
    let shown = probed.packets.iter().filter(|packet| !packet.flags.contains('D'));
    let time = |packet: &Packet| packet.pts_time.as_ref().or(packet.dts_time.as_ref())?.parse::<f64>().ok();
    let mut times: Vec<f64> = shown.clone().filter_map(time).collect();
    let rate = [&stream.avg_frame_rate, &stream.r_frame_rate].into_iter().find_map(|rate| fraction(rate));
    if let (true, Some(rate)) = (times.is_empty(), rate) {
        // A raw stream, such as a file of H.264 without container, has no times.
        times = (0..shown.count()).map(|index| index as f64 / rate).collect();
    }
    if times.is_empty() {
        return Err(video_error(path, "its video has no frames"));
    }
    times.sort_by(f64::total_cmp);
    let duration = times[times.len() - 1] - times[0];
    let average = (duration > 0.0).then(|| (times.len() - 1) as f64 / duration);
    // The rate of a single frame means nothing.
    let single = (times.len() == 1).then_some(1.0);
    let fps = rate.or(average).or(single).ok_or_else(|| video_error(path, "its frame rate is unknown"))?;
    let last = times[times.len() - 1];
    times.extend((1..=missing).map(|index| last + index as f64 / fps));
    Ok(Stream { times, fps })
}

/// Parses a rate such as `30000/1001`; `None` for `0/0`.
fn fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/')?;
    let rate = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}
