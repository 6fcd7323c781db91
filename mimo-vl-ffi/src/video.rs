//! Videos for prompts.

use std::ffi::{c_char, c_void};

use mimo_vl_core::Result;

use crate::boundary::{change, create};
use crate::call::{Call, LongCall, long_call, set, set_call};
use crate::callback::ProgressCallback;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::unwind::{free, read};
use crate::{pointer, unwind};

/// Frames of a video. A prompt that it is added to keeps what it needs of it.
#[derive(Debug)]
pub struct Video(pub(crate) mimo_vl_core::Video);

/// Options of decoding a video file: which frames, and their size. Their values are checked by mimo_vl_video_from_path.
#[derive(Debug)]
pub struct VideoOptions {
    options: mimo_vl_core::VideoOptions,
    call: Call,
}

long_call!(VideoOptions, mimo_vl_core::VideoOptions);

/// Makes options with the default of each: 2 frames per second of the complete video, at least 4 and at most 768. Free
/// them with mimo_vl_video_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_video_options_new() -> *mut VideoOptions {
    unwind::create(|| VideoOptions { options: mimo_vl_core::VideoOptions::new(), call: Call::default() })
}

/// Sets the number of frames sampled per second: above 0; default 2.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_fps(
    options: *mut VideoOptions,
    fps: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.sampling.fps = Some(fps)) }
}

/// Sets the number of sampled frames, in place of a rate; it is rounded to an even number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_frames(
    options: *mut VideoOptions,
    frames: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.sampling.frames = Some(frames)) }
}

/// Sets the smallest and largest number of sampled frames; default 4 and 768.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_frame_limits(
    options: *mut VideoOptions,
    min_frames: usize,
    max_frames: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        set(options, error_out, |options| {
            options.sampling.min_frames = Some(min_frames);
            options.sampling.max_frames = Some(max_frames);
        })
    }
}

/// Sets the part of the video that is sampled, from `start` to `end` in seconds; default the complete video.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_span(
    options: *mut VideoOptions,
    start: f64,
    end: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        set(options, error_out, |options| {
            options.sampling.start = Some(start);
            options.sampling.end = Some(end);
        })
    }
}

/// Sets the largest number of pixels of all frames together.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_total_pixels(
    options: *mut VideoOptions,
    total_pixels: u64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.total_pixels = Some(total_pixels)) }
}

/// Sets the largest number of pixels of a frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_max_pixels(
    options: *mut VideoOptions,
    max_pixels: u32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_pixels = Some(max_pixels)) }
}

/// Sets the largest share of the sampled frames that may be missing or damaged: 0 to 1; default 0.2. The nearest frame
/// that can be decoded stands in for each.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_max_missing_frames(
    options: *mut VideoOptions,
    share: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_missing_frames = share) }
}

/// Sets the token that cancels the calls with these options; NULL removes it. Default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_cancel(
    options: *mut VideoOptions,
    token: *const CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_cancel(token)) }
}

/// Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
/// fails with MIMO_VL_STATUS_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_timeout(
    options: *mut VideoOptions,
    seconds: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_timeout(seconds)) }
}

/// Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
/// Default none. The stage is MIMO_VL_STAGE_DECODE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_progress(
    options: *mut VideoOptions,
    callback: ProgressCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_progress(callback, user_data)) }
}

/// Frees the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_free(options: *mut VideoOptions) {
    // SAFETY: NULL or options that the caller owns, as the header requires.
    unsafe { free(options) };
}

/// Decodes frames of a video file with the programs ffprobe and ffmpeg, which must be installed. `options` may be NULL
/// for the defaults. Free the video with mimo_vl_video_free.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not a video, or lacks too many
/// of the sampled frames, and if a program is missing; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT;
/// MIMO_VL_STATUS_OPTION for options out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_from_path(
    path: *const c_char,
    options: *const VideoOptions,
    video_out: *mut *mut Video,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(video_out, "video_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = VideoOptions::to_core(options);
            mimo_vl_core::Video::open(path, &options).map(Video)
        })
    }
}

/// Makes a video of `count` images at `frames`, all of one size, shown at `fps` frames per second. The images may be
/// freed afterwards. Free the video with mimo_vl_video_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if there is no frame or their sizes differ; MIMO_VL_STATUS_OPTION if `fps` is not above
/// 0 or a frame is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_from_frames(
    frames: *const *const Image,
    count: usize,
    fps: f64,
    video_out: *mut *mut Video,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `frames` points to `count` images.
    unsafe {
        create(video_out, "video_out", error_out, || {
            let frames = pointer::list(frames, count, "frames")?.iter();
            let images = frames.map(|&frame| Ok(pointer::borrow(frame, "frames")?.0.clone()));
            Ok(Video(mimo_vl_core::Video::from_frames(images.collect::<Result<Vec<_>>>()?, fps)?))
        })
    }
}

/// Sets the number of pixels that each frame is reduced to, if it has more, for prompts that the video is added to
/// later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_set_max_pixels(
    video: *mut Video,
    max_pixels: u32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(video, "video", error_out, |video| {
            video.0 = video.0.clone().max_pixels(max_pixels);
            Ok(())
        })
    }
}

/// Returns the number of frames.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_frame_count(video: *const Video) -> usize {
    // SAFETY: NULL or a living video, as the header requires.
    unsafe { read(video, 0, |video| video.0.frames().len()) }
}

/// Returns the number of frames per second.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_fps(video: *const Video) -> f64 {
    // SAFETY: NULL or a living video, as the header requires.
    unsafe { read(video, f64::NAN, |video| video.0.fps()) }
}

/// Returns the number of frames that stand in for one of the file that is missing or damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_replaced_frames(video: *const Video) -> usize {
    // SAFETY: NULL or a living video, as the header requires.
    unsafe { read(video, 0, |video| video.0.replaced_frames()) }
}

/// Returns the time of frame `index`, counted from 0, in seconds; NaN if there is no such frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_timestamp(video: *const Video, index: usize) -> f64 {
    // SAFETY: NULL or a living video, as the header requires.
    unsafe { read(video, f64::NAN, |video| video.0.timestamps().get(index).copied().unwrap_or(f64::NAN)) }
}

/// Makes an image of frame `index`, counted from 0; it shares the pixels. Free it with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION if there is no such frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_frame(
    video: *const Video,
    index: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(image_out, "image_out", error_out, || {
            let frames = pointer::borrow(video, "video")?.0.frames();
            let missing = || pointer::refuse("index", format!("{index}, and the video has {} frames", frames.len()));
            Ok(Image(frames.get(index).ok_or_else(missing)?.clone()))
        })
    }
}

/// Frees the video.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_free(video: *mut Video) {
    // SAFETY: NULL or a video that the caller owns, as the header requires.
    unsafe { free(video) };
}
