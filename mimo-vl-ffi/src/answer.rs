//! What the model said, and what it cost.

use std::ffi::c_char;
use std::ptr;
use std::time::Duration;

use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::region::Region;
use crate::text::{EMPTY, Str, Text, put};
use crate::{boundary, pointer};

/// A whole answer.
pub struct Answer {
    text: Text,
    thinking: Option<Text>,
    regions: Vec<Region>,
    pub(crate) answer: mimo_vl_core::Answer,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum StopReason {
    /// The model had finished.
    EndOfText = 0,
    /// The answer had max_tokens tokens.
    MaxTokens = 1,
    /// The caller stopped it.
    Cancelled = 2,
    /// The conversation fills the context.
    ContextFull = 3,
    /// One of the caller's texts that end an answer appeared.
    StopSequence = 4,
    /// The answer went round in circles.
    Loop = 5,
    /// The time that the caller allowed is over.
    Timeout = 6,
}

/// A part of the work whose time is measured.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Stage {
    /// Loading the checkpoint, once for all its sessions.
    Load = 0,
    /// Resizing pictures and cutting them into patches.
    Preprocess = 1,
    /// Pictures through the vision tower.
    Encode = 2,
    /// The new part of the conversation through the language model.
    Prefill = 3,
    /// The tokens of the answer.
    Decode = 4,
    /// Choosing the tokens of the answer.
    FrameSampling = 5,
    /// Reading and decoding the files of the question's pictures, videos and pages, before it was asked.
    Media = 6,
}

/// What takes memory.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Memory {
    /// The model's weights.
    WeightFormat = 0,
    /// Keys and values of the tokens so far, as they are allocated.
    Cache = 1,
    /// The pixels of the conversation's pictures and videos.
    Pixels = 2,
    /// What the vision tower made of them.
    Features = 3,
}

impl Answer {
    pub(crate) fn new(answer: mimo_vl_core::Answer) -> Self {
        Self {
            text: Text::new(answer.text.as_str()),
            thinking: answer.thinking.as_deref().map(Text::new),
            regions: answer.regions.iter().cloned().map(Region::new).collect(),
            answer,
        }
    }

    fn time(&self, stage: i32) -> Option<Duration> {
        const LOAD: i32 = Stage::Load as i32;
        const PREPROCESS: i32 = Stage::Preprocess as i32;
        const ENCODE: i32 = Stage::Encode as i32;
        const PREFILL: i32 = Stage::Prefill as i32;
        const DECODE: i32 = Stage::Decode as i32;
        const SAMPLING: i32 = Stage::FrameSampling as i32;
        const MEDIA: i32 = Stage::Media as i32;
        let timings = &self.answer.timings;
        match stage {
            LOAD => Some(timings.load),
            PREPROCESS => Some(timings.preprocess),
            ENCODE => Some(timings.encode),
            PREFILL => Some(timings.prefill),
            DECODE => Some(timings.decode),
            SAMPLING => Some(timings.sampling),
            MEDIA => Some(timings.media),
            _ => None,
        }
    }
}

/// Put the answer itself, without the thinking, into `*text_out`. It lives as long as the answer. Empty for a NULL
/// answer; nothing happens when `text_out` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_text(answer: *const Answer, text_out: *mut Str) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living answer, and NULL or a place for a text, by the header's rules.
        unsafe { put(text_out, answer.as_ref().map_or(EMPTY, |answer| answer.text.lend())) }
    });
}

/// Whether the model has thought; if so, and unless `text_out` is NULL, put what it thought into `*text_out`, which
/// lives as long as the answer, and an empty text otherwise. False for a NULL answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_thinking(answer: *const Answer, text_out: *mut Str) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living answer, and NULL or a place for a text, by the header's rules.
        unsafe {
            let thinking = answer.as_ref().and_then(|answer| answer.thinking.as_ref());
            put(text_out, thinking.map_or(EMPTY, Text::lend));
            thinking.is_some()
        }
    })
}

/// Why the answer ended; MIMO_VL_STOP_REASON_CANCELLED for NULL, which is no answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_stop_reason(answer: *const Answer) -> StopReason {
    boundary::infallible(StopReason::Cancelled, || {
        // SAFETY: NULL or a living answer, by the header's rules.
        match unsafe { answer.as_ref() }.map(|answer| answer.answer.stop) {
            Some(mimo_vl_core::StopReason::EndOfText) => StopReason::EndOfText,
            Some(mimo_vl_core::StopReason::MaxTokens) => StopReason::MaxTokens,
            Some(mimo_vl_core::StopReason::ContextFull) => StopReason::ContextFull,
            Some(mimo_vl_core::StopReason::StopSequence) => StopReason::StopSequence,
            Some(mimo_vl_core::StopReason::Loop) => StopReason::Loop,
            Some(mimo_vl_core::StopReason::Timeout) => StopReason::Timeout,
            _ => StopReason::Cancelled,
        }
    })
}

/// Number of tokens of the answer, thinking included; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_tokens(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, by the header's rules.
    boundary::infallible(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.answer.tokens))
}

/// Number of tokens of the whole conversation before the answer, pictures included; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_prompt_tokens(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, by the header's rules.
    boundary::infallible(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.answer.prompt_tokens))
}

/// How long a part of the work took, in seconds; `stage` is one of mimo_vl_stage. NaN for NULL and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_seconds(answer: *const Answer, stage: i32) -> f64 {
    boundary::infallible(f64::NAN, || {
        // SAFETY: NULL or a living answer, by the header's rules.
        let time = unsafe { answer.as_ref() }.and_then(|answer| answer.time(stage));
        time.map_or(f64::NAN, |time| time.as_secs_f64())
    })
}

/// Tokens that the language model wrote per second of MIMO_VL_STAGE_DECODE, 0 when it wrote none; NaN for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_decode_tokens_per_second(answer: *const Answer) -> f64 {
    boundary::infallible(f64::NAN, || {
        // SAFETY: NULL or a living answer, by the header's rules.
        unsafe { answer.as_ref() }.map_or(f64::NAN, |answer| answer.answer.timings.decode_tokens_per_second())
    })
}

/// Whether the answer came to its own end, with every list and object in it closed; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_complete(answer: *const Answer) -> bool {
    // SAFETY: NULL or a living answer, by the header's rules.
    boundary::infallible(false, || unsafe { answer.as_ref() }.is_some_and(|answer| answer.answer.complete))
}

/// Number of boxes and groups of points in the answer; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_region_count(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, by the header's rules.
    boundary::infallible(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.regions.len()))
}

/// Box or group of points `index`, counted from 0 in the order of the answer. It lives as long as the answer, and is not to be
/// freed. NULL where there is none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_region(answer: *const Answer, index: usize) -> *const Region {
    boundary::infallible(ptr::null(), || {
        // SAFETY: NULL or a living answer, by the header's rules.
        unsafe { answer.as_ref() }.and_then(|answer| answer.regions.get(index)).map_or(ptr::null(), ptr::from_ref)
    })
}

/// Draw the boxes and points that the answer locates in picture `index` of the conversation over `image`, which is that picture,
/// with their names. Free the new image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_draw_regions(
    answer: *const Answer,
    index: usize,
    image: *const Image,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let regions = &pointer::borrow(answer, "answer")?.answer.regions;
            let there: Vec<_> = regions.iter().filter(|region| region.image == index).cloned().collect();
            Ok(Image(mimo_vl_core::draw_regions(&pointer::borrow(image, "image")?.0, &there)?))
        })
    }
}

/// Number of tokens of the answer whose logprob is there: all, if options asked for logprobs, else 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob_count(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, by the header's rules.
    boundary::infallible(0, || unsafe { answer.as_ref() }.map_or(0, |answer| answer.answer.logprobs.len()))
}

/// Natural logarithm of the probability that the model gave to token `index` of the answer, counted from 0; NaN where it is not
/// there, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob(answer: *const Answer, index: usize) -> f32 {
    boundary::infallible(f32::NAN, || {
        // SAFETY: NULL or a living answer, by the header's rules.
        let token = unsafe { answer.as_ref() }.and_then(|answer| answer.answer.logprobs.get(index));
        token.map_or(f32::NAN, |token| token.logprob)
    })
}

/// How sure the model was of the tokens that wrote a value of an answer in JSON: the geometric mean of their probabilities, which
/// is not calibrated. `field`, of `field_len` bytes, names the value as RFC 6901 says: "/items/0/price", or nothing for the whole.
/// NaN where there is no such value, unless logprobs were asked for, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_field_confidence(
    answer: *const Answer,
    field: *const c_char,
    field_len: usize,
) -> f32 {
    boundary::infallible(f32::NAN, || {
        // SAFETY: NULL or a living answer, and as many bytes as are said, by the header's rules.
        let named = unsafe { answer.as_ref().zip(pointer::text(field, field_len, "field").ok()) };
        named.and_then(|(answer, field)| answer.answer.field_confidence(field)).unwrap_or(f32::NAN)
    })
}

/// Bytes that the session took after the answer; `what` is one of mimo_vl_memory. 0 for NULL and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_bytes(answer: *const Answer, what: i32) -> u64 {
    const WEIGHTS: i32 = Memory::WeightFormat as i32;
    const CACHE: i32 = Memory::Cache as i32;
    const PIXELS: i32 = Memory::Pixels as i32;
    const FEATURES: i32 = Memory::Features as i32;
    boundary::infallible(0, || {
        // SAFETY: NULL or a living answer, by the header's rules.
        let memory = unsafe { answer.as_ref() }.map(|answer| answer.answer.memory).unwrap_or_default();
        match what {
            WEIGHTS => memory.weights,
            CACHE => memory.cache,
            PIXELS => memory.pixels,
            FEATURES => memory.features,
            _ => 0,
        }
    })
}

/// Free the answer and the texts read from it; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_free(answer: *mut Answer) {
    // SAFETY: NULL or an answer that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(answer) });
}
