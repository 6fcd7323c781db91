//! Video files, made here with the same ffmpeg that reads them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mimo_vl_core::expert::preprocess_video;
use mimo_vl_core::{CancelToken, Error, FrameSampling, Image, Result, Video, VideoOptions};
use tempfile::TempDir;

/// Frames whose grey tells their number, without loss.
const NUMBERED: &str = "nullsrc=size=112x84:rate=10:duration=4,geq=lum='16+5*N':cb=128:cr=128";

fn make(folder: &TempDir, name: &str, words: &[&str]) -> PathBuf {
    let path = folder.path().join(name);
    let status = Command::new("ffmpeg").args(["-v", "error", "-nostdin", "-y"]).args(words).arg(&path).status();
    assert!(status.expect("ffmpeg is needed for these tests").success(), "{words:?}");
    path
}

/// A program that stands in for ffprobe.
fn program(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/programs")).join(name)
}

fn numbered(folder: &TempDir, name: &str, more: &[&str]) -> PathBuf {
    let words = [&["-f", "lavfi", "-i", NUMBERED], more, &["-c:v", "ffv1"]].concat();
    make(folder, name, &words)
}

/// The numbers that the frames show.
fn numbers(video: &Video) -> Vec<usize> {
    let number = |grey: u8| {
        // 8-bit grey of limited range: 16 to 235 are 0 to 255.
        let luma = 16.0 + f64::from(grey) * 219.0 / 255.0;
        ((luma - 16.0) / 5.0).round() as usize
    };
    video.frames().iter().map(|frame| number(frame.pixels()[0])).collect()
}

fn open(path: &Path, sampling: FrameSampling) -> Result<Video> {
    Video::open(path, &VideoOptions::new().sampling(sampling))
}

#[test]
fn the_frames_of_the_reference_are_taken() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "numbered.mkv", &[]);
    let video = open(&path, FrameSampling::new()).unwrap();
    // 40 frames in four seconds, two a second.
    assert_eq!(numbers(&video), [0, 6, 11, 17, 22, 28, 33, 39]);
    assert_eq!(video.fps(), 2.0);
    let expected: Vec<f64> = [0, 6, 11, 17, 22, 28, 33, 39].iter().map(|n| f64::from(*n) / 10.0).collect();
    assert_eq!(video.timestamps(), expected);
    let some = open(&path, FrameSampling::new().frames(4).start(1.0).end(2.0)).unwrap();
    assert_eq!((numbers(&some), some.fps()), (vec![10, 13, 17, 20], 4.0 / 11.0 * 10.0));
    assert_eq!(some.timestamps(), [1.0, 1.3, 1.7, 2.0]);
    let all = open(&path, FrameSampling::new().fps(10.0)).unwrap();
    assert_eq!(numbers(&all), (0..40).collect::<Vec<_>>());
}

#[test]
fn frames_of_a_decoder_are_made_small_as_they_come() {
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
    let refused = |frames: Vec<Result<Image>>, count, said: &str| {
        let error = Video::from_decoder(frames, count, 2.0, &options).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    };
    refused(vec![frame(0), frame(1)], 3, "ends early: 2 of its 3 frames");
    refused(vec![frame(0), frame(1)], 1, "1 frames were announced, and more come");
    refused(vec![frame(0), Image::from_rgb_owned(2, 2, vec![0; 12])], 2, "2x2 pixels");
    refused(vec![frame(0), Image::open("none.png")], 2, "none.png");
    refused(vec![], 0, "from 1 to");
    refused(vec![frame(0)], usize::MAX, "from 1 to");
    let error = Video::from_decoder([frame(0)], 1, f64::NAN, &options).unwrap_err();
    assert!(matches!(error, Error::Option { option: "fps", .. }), "{error:?}");
    // A stop is seen after each frame.
    let cancel = CancelToken::new();
    let mut given = 0;
    let frames = std::iter::from_fn(|| {
        given += 1;
        cancel.cancel();
        Some(frame(0))
    });
    let stopped = Video::from_decoder(frames.take(9), 9, 2.0, &options.clone().cancel(&cancel));
    assert!(matches!(stopped, Err(Error::Cancelled)));
    assert_eq!(given, 1);
}

#[test]
fn frames_have_the_size_that_the_model_sees() {
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
    assert_eq!(patches.transform.resized, (728, 392), "nothing is left to resize");
    assert_eq!(patches.transform.to_original(364.0, 196.0), (640.0, 360.0), "boxes stay in the file's pixels");
    assert_eq!(patches.second_per_grid, Some(1.0));
    let small = Video::open(&path, &VideoOptions::new().total_pixels(1)).unwrap();
    let patches = preprocess_video(&small, &Default::default()).unwrap();
    assert_eq!(patches.transform.resized, (small.frames()[0].width() as usize, small.frames()[0].height() as usize));
    let lowered = Video::open(&path, &VideoOptions::new()).unwrap().total_pixels(1);
    let patches = preprocess_video(&lowered, &Default::default()).unwrap();
    assert!(patches.transform.resized.0 < lowered.frames()[0].width() as usize, "a limit that is set later holds too");
    let both = Video::open(&path, &VideoOptions::new().total_pixels(1).max_pixels(4_000_000)).unwrap();
    assert_eq!(both.frames()[0].width(), small.frames()[0].width(), "the budget holds whatever a frame may have");
    let floor = small.frames()[0].width() * small.frames()[0].height();
    assert!((80_000..=105_369).contains(&floor), "{floor} pixels are the least");
}

#[test]
fn variable_rates_keep_their_times() {
    let folder = TempDir::new().unwrap();
    let dropped = ["-vf", "select='not(eq(mod(n,4),1))',setpts=PTS+3/TB", "-fps_mode", "vfr"];
    let path = numbered(&folder, "variable.mkv", &dropped);
    let video = open(&path, FrameSampling::new().fps(100.0)).unwrap();
    let left: Vec<usize> = (0..40).filter(|n| n % 4 != 1).collect();
    assert_eq!(numbers(&video), left);
    for (time, number) in video.timestamps().iter().zip(left) {
        let expected = number as f64 / 10.0;
        assert!((time - video.timestamps()[0] - expected).abs() < 2e-3, "{time} {expected}");
    }
}

#[test]
fn frames_are_turned_as_the_file_says() {
    let folder = TempDir::new().unwrap();
    let source = "color=red:size=224x112:rate=5:duration=2";
    let lying = make(&folder, "lying.mov", &["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"]);
    let words = ["-i", lying.to_str().unwrap(), "-c", "copy", "-metadata:s:v:0", "rotate=90"];
    let path = make(&folder, "turned.mov", &words);
    let frame = &open(&path, FrameSampling::new()).unwrap().frames()[0].clone();
    assert_eq!((frame.crop_size(), frame.width() < frame.height()), ((112, 224), true));
}

#[test]
fn names_are_names_of_files() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "concat:a|b -i 视频.mkv", &[]);
    assert_eq!(open(&path, FrameSampling::new().frames(2)).unwrap().frames().len(), 2);
}

#[test]
fn files_that_are_no_use_are_typed_errors() {
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
    let whole = numbered(&folder, "whole.mkv", &[]);
    let absent = reason(&whole, &VideoOptions::new().ffmpeg("/nowhere/ffmpeg"));
    assert!(absent.contains("/nowhere/ffmpeg") && absent.contains("install ffmpeg"), "{absent}");
    assert!(reason(&whole, &VideoOptions::new().ffprobe("ffprobe-is-not-here")).contains("install ffmpeg"));
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
fn damaged_files_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let path =
        make(&folder, "whole.mp4", &["-f", "lavfi", "-i", NUMBERED, "-pix_fmt", "yuv420p", "-movflags", "faststart"]);
    let bytes = std::fs::read(&path).unwrap();
    for keep in [bytes.len() / 2, bytes.len() * 3 / 4, 100] {
        let cut = folder.path().join("cut.mp4");
        std::fs::write(&cut, &bytes[..keep]).unwrap();
        let opened = open(&cut, FrameSampling::new());
        assert!(matches!(opened, Err(Error::Image { .. })), "{keep} of {}: {opened:?}", bytes.len());
    }
}

#[test]
fn short_videos_are_typed_errors() {
    let folder = TempDir::new().unwrap();
    let one = numbered(&folder, "one.mkv", &["-frames:v", "1"]);
    assert!(matches!(open(&one, FrameSampling::new()), Err(Error::Option { option: "frames", .. })));
    let path = numbered(&folder, "some.mkv", &[]);
    assert!(matches!(open(&path, FrameSampling::new().frames(100)), Err(Error::Option { option: "frames", .. })));
    assert!(matches!(
        open(&path, FrameSampling::new().start(3.0).end(1.0)),
        Err(Error::Option { option: "start", .. })
    ));
}

#[test]
fn reading_is_watched_and_stopped() {
    let folder = TempDir::new().unwrap();
    let path = numbered(&folder, "watched.mkv", &[]);
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
    // A program that never answers is stopped too.
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
fn a_list_of_files_is_no_video() {
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
