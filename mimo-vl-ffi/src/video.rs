//! A video for a prompt.

use std::ffi::{c_char, c_void};

use mimo_vl_core::{Error, TaskControl};

use crate::callback::{MIMO_VL_CONTINUE, ProgressCallback};
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::{boundary, pointer};

/// Frames of a video. Prompts that it was added to keep what they need of it.
#[derive(Debug)]
pub struct Video(pub(crate) mimo_vl_core::Video);

/// Which frames of a video file are taken, and how large they are.
#[derive(Debug)]
pub struct VideoOptions(mimo_vl_core::VideoOptions);

/// Options with the defaults: 2 frames a second, at least 4 and at most 768, of the whole video. Free them with
/// mimo_vl_video_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_video_options_new() -> *mut VideoOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(VideoOptions(mimo_vl_core::VideoOptions::new())))
}

/// Change options that C lends; null is ignored.
///
/// # Safety
/// `options` is null or points to living options that nobody else uses during the call.
unsafe fn change(options: *mut VideoOptions, step: impl FnOnce(&mut mimo_vl_core::VideoOptions)) {
    boundary::infallible((), || {
        // SAFETY: passed on to the caller.
        if let Some(options) = unsafe { options.as_mut() } {
            step(&mut options.0);
        }
    });
}

/// Set how many frames are taken from a second. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_fps(options: *mut VideoOptions, fps: f64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.sampling.fps = Some(fps)) };
}

/// Take exactly so many frames, rounded to even. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_frames(options: *mut VideoOptions, frames: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.sampling.frames = Some(frames)) };
}

/// Set the fewest and the most frames. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_frame_limits(
    options: *mut VideoOptions,
    fewest: usize,
    most: usize,
) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |options| {
            (options.sampling.min_frames, options.sampling.max_frames) = (Some(fewest), Some(most));
        });
    };
}

/// Take the part from `start` to `end` only, in seconds from the beginning. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_span(options: *mut VideoOptions, start: f64, end: f64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |options| (options.sampling.start, options.sampling.end) = (Some(start), Some(end)));
    };
}

/// Set the most pixels of all frames together. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_total_pixels(options: *mut VideoOptions, pixels: u64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.total_pixels = Some(pixels)) };
}

/// Set the most pixels of a frame. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_set_max_pixels(options: *mut VideoOptions, pixels: u32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.max_pixels = Some(pixels)) };
}

/// Free the options; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_options_free(options: *mut VideoOptions) {
    // SAFETY: NULL or options that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(options) });
}

/// Decode frames of a video file with the programs ffprobe and ffmpeg, which must be installed. `options` may be NULL for the
/// defaults, and `progress` for none; `user_data` is for `progress`. Free the video with mimo_vl_video_free.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be read or a program is missing, MIMO_VL_STATUS_IMAGE when it is no video, is
/// damaged or has too few frames, MIMO_VL_STATUS_CANCELLED when `progress` says so, MIMO_VL_STATUS_OPTION for options out of
/// their range and for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_from_path(
    path: *const c_char,
    options: *const VideoOptions,
    progress: ProgressCallback,
    user_data: *mut c_void,
    video_out: *mut *mut Video,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(video_out, "video_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = options.as_ref().map(|options| options.0.clone()).unwrap_or_default();
            watched(progress, user_data, |watch| mimo_vl_core::Video::open_watched(path, &options, watch)).map(Video)
        })
    }
}

/// Do work that tells a callback of the caller's how far it is, and stops when that says so.
///
/// # Safety
/// `progress` is null or a function that may be called with `user_data`.
pub(crate) unsafe fn watched<T>(
    progress: ProgressCallback,
    user_data: *mut c_void,
    work: impl FnOnce(TaskControl<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let Some(callback) = progress else { return work(TaskControl::new()) };
    let cancel = mimo_vl_core::CancelToken::new();
    let tell = |done, of| {
        // SAFETY: the caller vouches for the function and its data.
        if unsafe { callback(user_data, done, of) } != MIMO_VL_CONTINUE {
            cancel.cancel();
        }
    };
    work(TaskControl::new().cancel(&cancel).progress(&tell))
}

/// Make a video of frames, `fps` of which make one second: `count` images at `frames`, all of one size, which may be freed
/// afterwards. Free the video with mimo_vl_video_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when there is no frame or one differs in size, MIMO_VL_STATUS_OPTION for a rate that is not above
/// 0 and for NULL arguments, a NULL frame among them.
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
        boundary::making(video_out, "video_out", error_out, || {
            let images = pointer::list(frames, count, "frames")?;
            let images = images.iter().map(|&frame| Ok(pointer::borrow(frame, "frames")?.0.clone()));
            let images = images.collect::<Result<Vec<_>, Error>>()?;
            Ok(Video(mimo_vl_core::Video::from_frames(images, fps)?))
        })
    }
}

/// Shrink every frame to at most `pixels` pixels before the model sees it. For prompts that the video is added to
/// afterwards. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_set_max_pixels(video: *mut Video, pixels: u32) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living video that only this call uses, by the header's rules.
        if let Some(video) = unsafe { video.as_mut() } {
            video.0 = video.0.clone().max_pixels(pixels);
        }
    });
}

/// Number of frames; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_frame_count(video: *const Video) -> usize {
    // SAFETY: NULL or a living video, by the header's rules.
    boundary::infallible(0, || unsafe { video.as_ref() }.map_or(0, |video| video.0.frames().len()))
}

/// How many of the frames make one second; NaN for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_fps(video: *const Video) -> f64 {
    // SAFETY: NULL or a living video, by the header's rules.
    boundary::infallible(f64::NAN, || unsafe { video.as_ref() }.map_or(f64::NAN, |video| video.0.fps()))
}

/// When frame `index`, counted from 0, is shown, in seconds; NaN for NULL and where there is no such frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_timestamp(video: *const Video, index: usize) -> f64 {
    boundary::infallible(f64::NAN, || {
        // SAFETY: NULL or a living video, by the header's rules.
        let times = unsafe { video.as_ref() }.map(|video| video.0.timestamps()).unwrap_or_default();
        times.get(index).copied().unwrap_or(f64::NAN)
    })
}

/// Copy frame `index`, counted from 0, as an image that shares its pixels. Free it with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and where there is no such frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_frame(
    video: *const Video,
    index: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let frames = pointer::borrow(video, "video")?.0.frames();
            let frame = frames.get(index);
            let none = || pointer::refuse("index", format!("{index}, and the video has {} frames", frames.len()));
            Ok(Image(frame.ok_or_else(none)?.clone()))
        })
    }
}

/// Free the video; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_video_free(video: *mut Video) {
    // SAFETY: NULL or a video that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(video) });
}
