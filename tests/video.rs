//! Video files, which the tests write with ffmpeg.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mimo_vl_core::expert::{preprocess_video, sample_frames};
use mimo_vl_core::{CancelToken, Error, FrameSampling, Image, Result, Video, VideoOptions};
use tempfile::TempDir;

/// A lavfi source of 40 frames at 10 per second whose grey level encodes the frame's number.
const NUMBERED: &str = "nullsrc=size=112x84:rate=10:duration=4,geq=lum='16+5*N':cb=128:cr=128";

fn make(folder: &TempDir, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    let status = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(&path).status();
    assert!(status.expect("these tests need ffmpeg").success(), "{arguments:?}");
    path
}

/// A script to be run in place of ffprobe.
fn program(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/programs")).join(name)
}

/// A lossless file of [`NUMBERED`].
fn numbered(folder: &TempDir, name: &str, filters: &[&str]) -> PathBuf {
    let arguments = [&["-f", "lavfi", "-i", NUMBERED], filters, &["-c:v", "ffv1"]].concat();
    make(folder, name, &arguments)
}

/// The numbers that the frames' grey levels encode.
fn numbers(video: &Video) -> Vec<usize> {
    let number = |grey: u8| {
        // Luma of limited range: 16 to 235 became 0 to 255.
        let luma = 16.0 + f64::from(grey) * 219.0 / 255.0;
        ((luma - 16.0) / 5.0).round() as usize
    };
    video.frames().iter().map(|frame| number(frame.pixels()[0])).collect()
}

fn open(path: &Path, sampling: FrameSampling) -> Result<Video> {
    Video::open(path, &VideoOptions::new().sampling(sampling))
}

#[test]
fn frames_are_sampled_as_in_the_reference() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "numbered.mkv", &[]);
    let video = open(&path, FrameSampling::new()).unwrap();
    // 2 per second of 40 frames in four seconds.
    assert_eq!(numbers(&video), [0, 6, 11, 17, 22, 28, 33, 39]);
    assert_eq!(video.fps(), 2.0);
    let expected: Vec<f64> = [0, 6, 11, 17, 22, 28, 33, 39].iter().map(|n| f64::from(*n) / 10.0).collect();
    assert_eq!(video.timestamps(), expected);
    let span = open(&path, FrameSampling::new().frames(4).start(1.0).end(2.0)).unwrap();
    assert_eq!((numbers(&span), span.fps()), (vec![10, 13, 17, 20], 4.0 / 11.0 * 10.0));
    assert_eq!(span.timestamps(), [1.0, 1.3, 1.7, 2.0]);
    let all = open(&path, FrameSampling::new().fps(10.0)).unwrap();
    assert_eq!(numbers(&all), (0..40).collect::<Vec<_>>());
}

#[test]
fn frames_of_a_decoder_are_downscaled_one_by_one() {
    let frame = |level: u8| Ok(Image::from_rgb_owned(1280, 720, vec![level; 3 * 1280 * 720]).unwrap());
    let options = VideoOptions::new().max_pixels(300_000);
    let last = Arc::new(Mutex::new((0, 0)));
    let sink = Arc::clone(&last);
    let reporting =
        options.clone().on_progress(move |progress| *sink.lock().unwrap() = (progress.done, progress.total));
    let video = Video::from_decoder((0..5).map(frame), 5, 2.5, &reporting).unwrap();
    assert_eq!((video.frames().len(), video.fps(), *last.lock().unwrap()), (5, 2.5, (5, 5)));
    let first = &video.frames()[0];
    assert_eq!((first.width(), first.height(), first.crop_size()), (728, 392, (1280, 720)));
    assert_eq!(video.frames()[3].pixels()[0], 3);
    assert_eq!(video.timestamps(), [0.0, 0.4, 0.8, 1.2, 1.6]);
    let times = vec![0.0, 0.5, 0.5, 2.0, 7.0];
    assert_eq!(video.clone().with_timestamps(times.clone()).unwrap().timestamps(), times);
    for times in [vec![0.0; 4], vec![0.0, 1.0, 0.5, 2.0, 3.0], vec![f64::NAN; 5]] {
        assert!(matches!(video.clone().with_timestamps(times), Err(Error::Option { option: "timestamps", .. })));
    }
    let check_error = |frames: Vec<Result<Image>>, count, part: &str| {
        let error = Video::from_decoder(frames, count, 2.0, &options).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    check_error(vec![frame(0), frame(1)], 3, "ends early: 2 of its 3 frames");
    check_error(vec![frame(0), frame(1)], 1, "1 frames were announced, and more come");
    check_error(vec![frame(0), Image::from_rgb_owned(2, 2, vec![0; 12])], 2, "2x2 pixels");
    check_error(vec![frame(0), Image::open("none.png")], 2, "none.png");
    check_error(vec![], 0, "from 1 to");
    check_error(vec![frame(0)], usize::MAX, "from 1 to");
    let error = Video::from_decoder([frame(0)], 1, f64::NAN, &options).unwrap_err();
    assert!(matches!(error, Error::Option { option: "fps", .. }), "{error:?}");
    // The token is checked after each frame.
    let cancel = CancelToken::new();
    let mut decoded = 0;
    let frames = std::iter::from_fn(|| {
        decoded += 1;
        cancel.cancel();
        Some(frame(0))
    });
    let result = Video::from_decoder(frames.take(9), 9, 2.0, &options.clone().cancel(&cancel));
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(decoded, 1);
}

#[test]
fn frames_are_decoded_at_the_size_that_the_model_sees() {
    let folder = TempDir::new().unwrap();
    let source = "testsrc=size=1280x720:rate=5:duration=2";
    let path = make(&folder, "large.mp4", &["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]);
    let video = Video::open(&path, &VideoOptions::new().max_pixels(300_000)).unwrap();
    let frame = &video.frames()[0];
    assert_eq!(
        (frame.width(), frame.height(), frame.crop_size(), frame.full_size()),
        (728, 392, (1280, 720), (1280, 720))
    );
    let patches = preprocess_video(&video, &Default::default()).unwrap();
    assert_eq!(patches.transform.resized, (728, 392), "preprocessing does not resize again");
    assert_eq!(patches.transform.to_original(364.0, 196.0), (640.0, 360.0), "coordinates are in pixels of the file");
    assert_eq!(patches.second_per_grid, Some(1.0));
    let small = Video::open(&path, &VideoOptions::new().total_pixels(1)).unwrap();
    let patches = preprocess_video(&small, &Default::default()).unwrap();
    assert_eq!(patches.transform.resized, (small.frames()[0].width() as usize, small.frames()[0].height() as usize));
    let limited_later = Video::open(&path, &VideoOptions::new()).unwrap().total_pixels(1);
    let patches = preprocess_video(&limited_later, &Default::default()).unwrap();
    assert!(
        patches.transform.resized.0 < limited_later.frames()[0].width() as usize,
        "a limit that is set after decoding applies"
    );
    let both = Video::open(&path, &VideoOptions::new().total_pixels(1).max_pixels(4_000_000)).unwrap();
    assert_eq!(
        both.frames()[0].width(),
        small.frames()[0].width(),
        "the total budget applies beside the limit per frame"
    );
    let floor = small.frames()[0].width() * small.frames()[0].height();
    assert!((80_000..=105_369).contains(&floor), "{floor} pixels per frame at least");
}

#[test]
fn timestamps_of_a_variable_frame_rate_are_kept() {
    let folder = TempDir::new().unwrap();
    let filters = ["-vf", "select='not(eq(mod(n,4),1))',setpts=PTS+3/TB", "-fps_mode", "vfr"];
    let path = numbered(&folder, "variable.mkv", &filters);
    let video = open(&path, FrameSampling::new().fps(100.0)).unwrap();
    let remaining: Vec<usize> = (0..40).filter(|n| n % 4 != 1).collect();
    assert_eq!(numbers(&video), remaining);
    for (time, number) in video.timestamps().iter().zip(remaining) {
        let expected = number as f64 / 10.0;
        assert!((time - video.timestamps()[0] - expected).abs() < 2e-3, "{time} {expected}");
    }
}

#[test]
fn rotated_videos_are_decoded_upright() {
    let folder = TempDir::new().unwrap();
    let source = "color=red:size=224x112:rate=5:duration=2";
    let landscape = make(&folder, "landscape.mov", &["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]);
    let arguments = ["-i", landscape.to_str().unwrap(), "-c", "copy", "-metadata:s:v:0", "rotate=90"];
    let path = make(&folder, "portrait.mov", &arguments);
    let frame = &open(&path, FrameSampling::new()).unwrap().frames()[0].clone();
    assert_eq!((frame.crop_size(), frame.width() < frame.height()), ((112, 224), true));
}

#[test]
fn file_names_are_not_parsed_by_ffmpeg() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "concat:a|b -i 视频.mkv", &[]);
    assert_eq!(open(&path, FrameSampling::new().frames(2)).unwrap().frames().len(), 2);
}

#[test]
fn files_without_video_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let missing = open(&folder.path().join("none.mp4"), FrameSampling::new());
    assert!(matches!(missing, Err(Error::Io { .. })), "{missing:?}");
    let reason = |path: &Path, options: &VideoOptions| match Video::open(path, options) {
        Err(Error::Image { what, reason }) => {
            assert!(what.contains(path.file_name().unwrap().to_str().unwrap()), "{what}");
            reason
        }
        other => panic!("{other:?}"),
    };
    let default = VideoOptions::new();
    assert_eq!(reason(folder.path(), &default), "not a file");
    let noise = folder.path().join("noise.mp4");
    std::fs::write(&noise, vec![0x5A; 5000]).unwrap();
    assert!(reason(&noise, &default).starts_with("ffprobe: "));
    let sound = make(&folder, "sound.wav", &["-f", "lavfi", "-i", "sine=duration=1"]);
    assert_eq!(reason(&sound, &default), "it has no video");
    let path = numbered(&folder, "complete.mkv", &[]);
    let absent = reason(&path, &VideoOptions::new().ffmpeg("/nowhere/ffmpeg"));
    assert!(absent.contains("/nowhere/ffmpeg") && absent.contains("install ffmpeg"), "{absent}");
    assert!(reason(&path, &VideoOptions::new().ffprobe("ffprobe-is-not-here")).contains("install ffmpeg"));
}

#[cfg(unix)]
#[test]
fn a_video_without_frames_is_a_typed_error() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "none.mkv", &[]);
    match Video::open(&path, &VideoOptions::new().ffprobe(program("no_frames.sh"))) {
        Err(Error::Image { what, reason }) => {
            assert!(what.contains("none.mkv") && reason == "its video has no frames", "{what}: {reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn truncated_files_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let path = make(
        &folder,
        "complete.mp4",
        &["-f", "lavfi", "-i", NUMBERED, "-pix_fmt", "yuv420p", "-movflags", "faststart"],
    );
    let bytes = std::fs::read(&path).unwrap();
    for keep in [bytes.len() / 2, bytes.len() * 3 / 4, 100] {
        let cut = folder.path().join("cut.mp4");
        std::fs::write(&cut, &bytes[..keep]).unwrap();
        let opened = open(&cut, FrameSampling::new());
        assert!(matches!(opened, Err(Error::Image { .. })), "{keep} of {}: {opened:?}", bytes.len());
    }
}

#[test]
fn too_few_frames_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let one = numbered(&folder, "one.mkv", &["-frames:v", "1"]);
    assert!(matches!(open(&one, FrameSampling::new().frames(4)), Err(Error::Option { option: "frames", .. })));
    let path = numbered(&folder, "some.mkv", &[]);
    assert!(matches!(open(&path, FrameSampling::new().frames(100)), Err(Error::Option { option: "frames", .. })));
    assert!(matches!(
        open(&path, FrameSampling::new().start(3.0).end(1.0)),
        Err(Error::Option { option: "start", .. })
    ));
}

#[test]
fn one_frame_is_a_video() {
    let folder = TempDir::new().unwrap();
    for name in ["one.mkv", "one.gif", "one.avi"] {
        let codec = if name.ends_with("gif") { "gif" } else { "ffv1" };
        let path = make(&folder, name, &["-f", "lavfi", "-i", NUMBERED, "-frames:v", "1", "-c:v", codec]);
        let video = open(&path, FrameSampling::new()).unwrap();
        assert_eq!((video.frames().len(), video.timestamps().len()), (1, 1), "{name}");
        let patches = preprocess_video(&video, &Default::default()).unwrap();
        assert_eq!(patches.grid.t, 1, "{name}: the frame is shown twice");
    }
}

#[test]
fn hundreds_of_frames_are_chosen() {
    let folder = TempDir::new().unwrap();
    let source = "nullsrc=size=16x16:rate=25:duration=160,geq=lum='16+mod(N,200)':cb=128:cr=128";
    let path = make(&folder, "long.mkv", &["-f", "lavfi", "-i", source, "-c:v", "ffv1"]);
    for count in [300, 768, 2000] {
        let video = open(&path, FrameSampling::new().frames(count)).unwrap();
        assert_eq!(video.frames().len(), count);
        let sampled = sample_frames(4000, 25.0, &FrameSampling::new().frames(count)).unwrap();
        for (frame, index) in video.frames().iter().zip(sampled.indices) {
            let luma = 16.0 + f64::from(frame.pixels()[0]) * 219.0 / 255.0;
            assert!((luma - 16.0 - (index % 200) as f64).abs() < 1.0, "{luma} is not that of frame {index} of {count}");
        }
    }
}

#[test]
fn too_many_frames_and_invalid_options_of_one_frame_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let long =
        make(&folder, "long.mkv", &["-f", "lavfi", "-i", "color=size=16x16:rate=25:duration=90", "-c:v", "ffv1"]);
    assert!(matches!(open(&long, FrameSampling::new().frames(2100)), Err(Error::Option { option: "frames", .. })));
    let one = numbered(&folder, "one.mkv", &["-frames:v", "1"]);
    assert!(matches!(open(&one, FrameSampling::new().fps(-1.0)), Err(Error::Option { option: "fps", .. })));
}

#[test]
fn every_depth_and_codec_is_read() {
    let folder = TempDir::new().unwrap();
    for (name, arguments) in [
        ("h264.mp4", "libx264 -pix_fmt yuv420p"),
        ("h264-10.mp4", "libx264 -pix_fmt yuv420p10le"),
        ("h264-444.mkv", "libx264 -pix_fmt yuv444p"),
        ("hevc-10.mp4", "libx265 -pix_fmt yuv420p10le -x265-params log-level=error"),
        ("hevc-12.mkv", "libx265 -pix_fmt yuv422p12le -x265-params log-level=error"),
        ("vp8.webm", "libvpx"),
        ("vp9.webm", "libvpx-vp9 -pix_fmt yuv420p"),
        ("vp9-10.webm", "libvpx-vp9 -pix_fmt yuv420p10le"),
        ("av1-10.mkv", "libaom-av1 -cpu-used 8 -pix_fmt yuv420p10le"),
        ("prores.mov", "prores_ks -pix_fmt yuv422p10le"),
        ("prores-alpha.mov", "prores_ks -profile:v 4444 -pix_fmt yuva444p10le"),
        ("gray16.mkv", "ffv1 -pix_fmt gray16le"),
        ("gray.mkv", "ffv1 -pix_fmt gray"),
        ("rgb48.mkv", "ffv1 -pix_fmt rgb48le"),
        ("bw.nut", "rawvideo -pix_fmt monow"),
        ("pal8.gif", "gif"),
        ("mpeg1.mpg", "mpeg1video"),
        ("mpeg2.ts", "mpeg2video"),
        ("mpeg4.avi", "mpeg4 -bf 2"),
        ("mjpeg.avi", "mjpeg -pix_fmt yuvj422p"),
        ("theora.ogv", "libtheora"),
        ("wmv2.asf", "wmv2"),
        ("flv1.flv", "flv1"),
        ("dnxhr.mxf", "dnxhd -profile:v dnxhr_hqx -pix_fmt yuv422p10le"),
        ("huffyuv.avi", "huffyuv"),
        ("h264.h264", "libx264"),
        ("hevc.hevc", "libx265 -x265-params log-level=error"),
        ("mpeg2.m2v", "mpeg2video"),
        ("apng.apng", "apng"),
    ] {
        // Some encoders store no frame that equals the one before it.
        let source = "color=c=red:size=256x128:rate=25:duration=1,noise=alls=4:allf=t";
        let words: Vec<&str> = arguments.split(' ').collect();
        let path = make(&folder, name, &[&["-f", "lavfi", "-i", source, "-c:v"], &words[..]].concat());
        let video = open(&path, FrameSampling::new()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((video.frames().len(), video.replaced_frames()), (4, 0), "{name}");
        let gray = name.starts_with("gray") || name.starts_with("bw");
        let [red, green, _] = video.frames()[3].pixels()[..3] else { panic!("{name}: no pixels") };
        assert!(if gray { red == green } else { red > 200 && green < 60 }, "{name}: {red}, {green}");
    }
}

#[test]
fn the_nearest_frames_stand_in_for_damaged_ones() {
    let folder = TempDir::new().unwrap();
    let source = "nullsrc=size=112x84:rate=10:duration=15,geq=lum='16+N':cb=128:cr=128";
    let encoder = ["-c:v", "mpeg2video", "-q:v", "1", "-g", "10", "-bf", "0"];
    let path = make(&folder, "whole.ts", &[&["-f", "lavfi", "-i", source], &encoder[..]].concat());
    let bytes = std::fs::read(&path).unwrap();
    let number = |frame: &Image| f64::from(frame.pixels()[0]) * 219.0 / 255.0;
    let close = |video: &Video| {
        let first = video.timestamps()[0];
        video.frames().iter().zip(video.timestamps()).all(|(frame, time)| {
            let expected = (time - first) * 10.0 + number(&video.frames()[0]);
            (number(frame) - expected).abs() < 2.0
        })
    };
    let whole = open(&path, FrameSampling::new()).unwrap();
    assert_eq!((whole.frames().len(), whole.replaced_frames(), close(&whole)), (30, 0, true));
    // The stream begins after its first key frame, which 188-byte packets let us cut off.
    let cut = folder.path().join("cut.ts");
    let header = 3 * 188;
    std::fs::write(&cut, [&bytes[..header], &bytes[header + 188 * 40..]].concat()).unwrap();
    let video = open(&cut, FrameSampling::new()).unwrap();
    assert!(video.frames().len() >= 26 && close(&video), "{:?}", video.timestamps());
    // Packets of the middle are lost.
    let holes = folder.path().join("holes.mkv");
    let drop = ["-i", path.to_str().unwrap(), "-c", "copy", "-bsf:v", "noise=drop=between(n\\,40\\,41)"];
    make(&folder, "holes.mkv", &drop);
    assert!(close(&open(&holes, FrameSampling::new()).unwrap()));
}

#[test]
fn missing_frames_are_replaced_up_to_a_share() {
    let folder = TempDir::new().unwrap();
    let source = "nullsrc=size=112x84:rate=10:duration=15,geq=lum='16+N':cb=128:cr=128";
    let arguments = ["-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-q:v", "1", "-g", "1", "-movflags", "faststart"];
    let path = make(&folder, "whole.mp4", &arguments);
    let bytes = std::fs::read(&path).unwrap();
    let cut = folder.path().join("cut.mp4");
    for (keep, replaced) in [(0.99, 1..=1), (0.9, 2..=4)] {
        std::fs::write(&cut, &bytes[..(bytes.len() as f64 * keep) as usize]).unwrap();
        let video = open(&cut, FrameSampling::new()).unwrap();
        assert_eq!(video.frames().len(), 30);
        assert!(replaced.contains(&video.replaced_frames()), "{keep}: {}", video.replaced_frames());
        let last = video.frames().len() - 1;
        assert_eq!(video.frames()[last].pixels(), video.frames()[last - video.replaced_frames() + 1].pixels());
        let strict = Video::open(&cut, &VideoOptions::new().max_missing_frames(0.0));
        let reason = strict.unwrap_err().to_string();
        assert!(reason.contains("of the 30 sampled frames cannot be decoded"), "{reason}");
    }
    for share in [-0.1, 1.1, f64::NAN] {
        let opened = Video::open(&path, &VideoOptions::new().max_missing_frames(share));
        assert!(matches!(opened, Err(Error::Option { option: "max_missing_frames", .. })), "{opened:?}");
    }
}

#[test]
fn reading_reports_progress_and_can_be_cancelled() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "progress.mkv", &[]);
    let last = Arc::new(Mutex::new((0, 0)));
    let sink = Arc::clone(&last);
    let options =
        VideoOptions::new().on_progress(move |progress| *sink.lock().unwrap() = (progress.done, progress.total));
    Video::open(&path, &options).unwrap();
    assert_eq!(*last.lock().unwrap(), (8, 8));
    let cancel = CancelToken::new();
    let token = cancel.clone();
    let options = VideoOptions::new().cancel(&cancel).on_progress(move |progress| {
        if progress.done == 3 {
            token.cancel();
        }
    });
    assert!(matches!(Video::open(&path, &options), Err(Error::Cancelled)));
    assert!(matches!(Video::open(&path, &VideoOptions::new().timeout(Duration::ZERO)), Err(Error::Timeout)));
    // An ffprobe that hangs is ended by the token.
    let (cancel, start) = (CancelToken::new(), Instant::now());
    let opened = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            cancel.cancel();
        });
        Video::open(&path, &VideoOptions::new().ffprobe(program("stuck.sh")).cancel(&cancel))
    });
    assert!(matches!(opened, Err(Error::Cancelled)), "{opened:?}");
    assert!(start.elapsed() < Duration::from_secs(30));
}

#[test]
fn playlists_are_not_opened() {
    let folder = TempDir::new().unwrap();
    numbered(&folder, "a.mkv", &[]);
    make(&folder, "a.ts", &["-f", "lavfi", "-i", "testsrc=duration=2", "-c:v", "mpeg2video"]);
    open(&folder.path().join("a.ts"), FrameSampling::new()).unwrap();
    for (name, list) in [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile a.mkv\n"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, list).unwrap();
        assert!(matches!(open(&path, FrameSampling::new()), Err(Error::Image { .. })), "{name}");
    }
}
