//! Answers: text, regions, logprobs, and their cost.

use std::ffi::c_char;
use std::ptr;

use mimo_vl_core::TokenLogprob;

use crate::boundary::create;
use crate::c_enum::{CEnum, c_enum};
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::pointer;
use crate::region::Region;
use crate::text::{Str, Text, read_text};
use crate::unwind::{free, infallible, read, read_array};

/// Complete answer.
pub struct Answer {
    text: Text,
    thinking: Option<Text>,
    regions: Vec<Region>,
    pub(crate) answer: mimo_vl_core::Answer,
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

    fn logprob(&self, index: usize) -> Option<&TokenLogprob> {
        self.answer.logprobs.get(index)
    }
}

/// Reason for the end of an answer. More may be added.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum StopReason {
    /// The model emitted its end token.
    EndOfText = 0,
    /// The answer reached max_tokens.
    MaxTokens = 1,
    /// The caller stopped the answer.
    Cancelled = 2,
    /// The conversation reached the limit of the context.
    ContextFull = 3,
    /// A stop sequence occurred.
    StopSequence = 4,
    /// The answer repeated itself; see mimo_vl_generate_options_set_loop_window.
    Loop = 5,
    /// The timeout of the call expired.
    Timeout = 6,
}

c_enum!("mimo_vl_stop_reason", StopReason {
    EndOfText, MaxTokens, ContextFull, StopSequence, Loop, Timeout,
} from mimo_vl_core::StopReason, else Cancelled);

/// Part of the work for an answer, for its times.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Timing {
    /// Loading the checkpoint, once for all sessions of a model.
    Load = 0,
    /// Resizing images and cutting them into patches.
    Preprocess = 1,
    /// The vision tower.
    Encode = 2,
    /// The language model, for the new tokens of the conversation.
    Prefill = 3,
    /// The language model, for the tokens of the answer.
    Decode = 4,
    /// Sampling the tokens of the answer.
    Sampling = 5,
    /// Reading and decoding the prompt's images, videos and pages, before the call.
    Media = 6,
}

c_enum!("mimo_vl_timing", Timing { Load, Preprocess, Encode, Prefill, Decode, Sampling, Media });

/// Use of memory.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Memory {
    /// Weights of the model.
    Weights = 0,
    /// KV cache, as allocated.
    Cache = 1,
    /// Pixels of the conversation's images and videos.
    Pixels = 2,
    /// Features of the conversation's images and videos.
    Features = 3,
}

c_enum!("mimo_vl_memory", Memory { Weights, Cache, Pixels, Features });

/// Writes the text of the answer, without the thinking, to `*text_out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_text(answer: *const Answer, text_out: *mut Str) {
    // SAFETY: NULL or a living answer, and NULL or a place for a text, as the header requires.
    unsafe { read_text(answer, text_out, |answer| Some(&answer.text)) };
}

/// Writes the text of the thinking to `*text_out`. Returns false, and writes an empty text, if there was no thinking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_thinking(answer: *const Answer, text_out: *mut Str) -> bool {
    // SAFETY: NULL or a living answer, and NULL or a place for a text, as the header requires.
    unsafe { read_text(answer, text_out, |answer| answer.thinking.as_ref()) }
}

/// Returns the reason for the end of the answer; MIMO_VL_STOP_REASON_CANCELLED for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_stop_reason(answer: *const Answer) -> StopReason {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, StopReason::Cancelled, |answer| answer.answer.stop.into()) }
}

/// Returns the number of tokens of the answer, thinking included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_tokens(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, 0, |answer| answer.answer.tokens) }
}

/// Returns the number of tokens of the conversation before the answer, images and videos included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_prompt_tokens(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, 0, |answer| answer.answer.prompt_tokens) }
}

/// Returns the time of a part of the work, a mimo_vl_timing, in seconds; NaN for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_seconds(answer: *const Answer, timing: i32) -> f64 {
    let seconds = |answer: &Answer| {
        let timings = &answer.answer.timings;
        let time = match Timing::from_number(timing, "timing").ok()? {
            Timing::Load => timings.load,
            Timing::Preprocess => timings.preprocess,
            Timing::Encode => timings.encode,
            Timing::Prefill => timings.prefill,
            Timing::Decode => timings.decode,
            Timing::Sampling => timings.sampling,
            Timing::Media => timings.media,
        };
        Some(time.as_secs_f64())
    };
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, None, seconds) }.unwrap_or(f64::NAN)
}

/// Returns the decoding speed, in tokens per second of MIMO_VL_TIMING_DECODE; 0 if no token was decoded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_decode_tokens_per_second(answer: *const Answer) -> f64 {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, f64::NAN, |answer| answer.answer.timings.decode_tokens_per_second()) }
}

/// Returns true if the model ended the answer itself, with every JSON list and object closed, and the answer is not
/// empty after a thinking.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_complete(answer: *const Answer) -> bool {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, false, |answer| answer.answer.complete) }
}

/// Returns true if the grammar ended the answer before the model would have, because a limit came near: the answer fits
/// the grammar, and may lack items or text. The stop reason is the limit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_closed_early(answer: *const Answer) -> bool {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, false, |answer| answer.answer.closed_early) }
}

/// Returns the number of regions in the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_region_count(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, 0, |answer| answer.regions.len()) }
}

/// Returns region `index`, counted from 0 in the order of the text; NULL if there is no such region. It is valid as
/// long as the answer, and must not be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_region(answer: *const Answer, index: usize) -> *const Region {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, ptr::null(), |answer| answer.regions.get(index).map_or(ptr::null(), ptr::from_ref)) }
}

/// Draws the regions of the answer that lie in image `index` of the conversation, with their labels, on a copy of
/// `image`, which is that image. Free the copy with mimo_vl_image_free.
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
        create(image_out, "image_out", error_out, || {
            let regions = &pointer::borrow(answer, "answer")?.answer.regions;
            let regions: Vec<_> = regions.iter().filter(|region| region.image == index).cloned().collect();
            Ok(Image(mimo_vl_core::draw_regions(&pointer::borrow(image, "image")?.0, &regions)?))
        })
    }
}

/// Returns the number of tokens with a logprob: that of mimo_vl_answer_tokens with
/// mimo_vl_generate_options_set_logprobs, else 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob_count(answer: *const Answer) -> usize {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, 0, |answer| answer.answer.logprobs.len()) }
}

/// Returns the logprob of token `index` of the answer, counted from 0: the natural logarithm of the probability that
/// the model gave to it, before bias, penalties and temperature. NaN if there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob(answer: *const Answer, index: usize) -> f32 {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, f32::NAN, |answer| answer.logprob(index).map_or(f32::NAN, |token| token.logprob)) }
}

/// Returns the id of token `index` of the answer, counted from 0; UINT32_MAX if it has no logprob.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob_token(answer: *const Answer, index: usize) -> u32 {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, u32::MAX, |answer| answer.logprob(index).map_or(u32::MAX, |token| token.id)) }
}

/// Writes start and end of token `index` of the answer, counted from 0, to `range_out[0..1]`: bytes of
/// mimo_vl_answer_text. The range is empty for a token outside of that text; tokens that make up one character share a
/// range. Returns false, and writes nothing, if it has no logprob.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_logprob_range(
    answer: *const Answer,
    index: usize,
    range_out: *mut usize,
) -> bool {
    // SAFETY: NULL or a living answer, and NULL or a place for two numbers, as the header requires.
    unsafe {
        read_array(answer, range_out, |answer| answer.logprob(index).map(|token| [token.range.start, token.range.end]))
    }
}

/// Returns the number of most likely alternatives to token `index` of the answer, counted from 0: as set by
/// mimo_vl_generate_options_set_logprobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_top_logprob_count(answer: *const Answer, index: usize) -> usize {
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, 0, |answer| answer.logprob(index).map_or(0, |token| token.top.len())) }
}

/// Returns the logprob of alternative `rank`, counted from 0 with the most likely first, to token `index` of the
/// answer; NaN if there is none. `*token_out`, unless it is NULL, becomes the id of the alternative, or UINT32_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_top_logprob(
    answer: *const Answer,
    index: usize,
    rank: usize,
    token_out: *mut u32,
) -> f32 {
    // SAFETY: NULL or a living answer, as the header requires.
    let alternative = unsafe { read(answer, None, |answer| answer.logprob(index)?.top.get(rank).copied()) };
    let (token, logprob) = alternative.unwrap_or((u32::MAX, f32::NAN));
    if !token_out.is_null() {
        // SAFETY: not NULL, and a place for a number, as the header requires.
        unsafe { token_out.write(token) };
    }
    logprob
}

/// Returns the confidence of a value of a JSON answer, 0 to 1: the geometric mean of the probabilities of its tokens,
/// which is not calibrated. `pointer`, of `len` bytes, is a JSON pointer (RFC 6901) such as "/items/0/price", or empty
/// for the complete answer. NaN if there is no such value, and without mimo_vl_generate_options_set_logprobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_field_confidence(
    answer: *const Answer,
    pointer: *const c_char,
    len: usize,
) -> f32 {
    infallible(f32::NAN, || {
        // SAFETY: NULL or `len` bytes, as the header requires.
        let Ok(field) = (unsafe { pointer::text(pointer, len, "pointer") }) else { return f32::NAN };
        // SAFETY: NULL or a living answer, as the header requires.
        unsafe { read(answer, f32::NAN, |answer| answer.answer.field_confidence(field).unwrap_or(f32::NAN)) }
    })
}

/// Returns the memory of the session after the answer in bytes; `memory` is a mimo_vl_memory. 0 for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_bytes(answer: *const Answer, memory: i32) -> u64 {
    let bytes = |answer: &Answer| {
        let used = &answer.answer.memory;
        Some(match Memory::from_number(memory, "memory").ok()? {
            Memory::Weights => used.weights,
            Memory::Cache => used.cache,
            Memory::Pixels => used.pixels,
            Memory::Features => used.features,
        })
    };
    // SAFETY: NULL or a living answer, as the header requires.
    unsafe { read(answer, None, bytes) }.unwrap_or(0)
}

/// Frees the answer and the texts and regions read from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_answer_free(answer: *mut Answer) {
    // SAFETY: NULL or an answer that the caller owns, as the header requires.
    unsafe { free(answer) };
}
