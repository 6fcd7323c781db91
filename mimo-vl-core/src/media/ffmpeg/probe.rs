//! What a file holds, by `ffprobe`.

use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;

use super::decode::{Program, refused};
use crate::cancel::TaskControl;
use crate::error::Result;

/// The first stream of moving pictures in a file.
pub(super) struct Stream {
    /// When each frame is shown, in seconds, ascending.
    pub(super) times: Vec<f64>,
    /// Frames of a second, on average.
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
    /// As the file's header says; not all have it.
    nb_frames: Option<String>,
}

#[derive(Deserialize)]
struct Packet {
    pts_time: Option<String>,
    dts_time: Option<String>,
    #[serde(default)]
    flags: String,
}

/// Ask `ffprobe` for the frames of a file, without decoding them.
pub(super) fn probe(path: &Path, ffprobe: &OsStr, control: &TaskControl) -> Result<Stream> {
    let entries = "stream=avg_frame_rate,r_frame_rate,nb_frames:packet=pts_time,dts_time,flags";
    let words = ["-v", "error", "-select_streams", "v:0", "-show_entries", entries, "-of", "json"];
    let mut program = Program::start(ffprobe, path, &words, &[], control)?;
    let output = program.read_all()?;
    program.finish()?;
    let probed: Probed = serde_json::from_slice(&output)
        .map_err(|error| refused(path, &format!("ffprobe says something else than expected: {error}")))?;
    let Some(stream) = probed.streams.first() else { return Err(refused(path, "it has no video")) };
    let (there, named) = (probed.packets.len(), stream.nb_frames.as_ref().and_then(|count| count.parse().ok()));
    if let Some(named) = named.filter(|&named: &usize| there < named) {
        return Err(refused(path, &format!("it ends early: {there} of its {named} frames are there")));
    }
    // Frames that are decoded and not shown are flagged.
    let shown = probed.packets.iter().filter(|packet| !packet.flags.contains('D'));
    let time = |packet: &Packet| packet.pts_time.as_ref().or(packet.dts_time.as_ref())?.parse::<f64>().ok();
    let mut times: Vec<f64> = shown.filter_map(time).collect();
    if times.is_empty() {
        return Err(refused(path, "its video has no frames"));
    }
    times.sort_by(f64::total_cmp);
    let named = [&stream.avg_frame_rate, &stream.r_frame_rate].into_iter().find_map(|rate| fraction(rate));
    let spread = times[times.len() - 1] - times[0];
    let counted = (spread > 0.0).then(|| (times.len() - 1) as f64 / spread);
    let fps =
        named.or(counted).ok_or_else(|| refused(path, "it does not say how fast its frames follow each other"))?;
    Ok(Stream { times, fps })
}

/// `30000/1001`; `None` for `0/0`.
fn fraction(text: &str) -> Option<f64> {
    let (above, below) = text.split_once('/')?;
    let rate = above.parse::<f64>().ok()? / below.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}
