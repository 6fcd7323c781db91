//! Cost of a prompt before it is computed.

use std::ptr;

use mimo_vl_core::{Budget, PlannedPart};

use crate::boundary::create;
use crate::call::LongCall;
use crate::error::{ErrorObject, Status};
use crate::options::GenerateOptions;
use crate::pointer;
use crate::prompt::Prompt;
use crate::session::Session;
use crate::unwind::{free, read, read_array};

/// Tokens and memory that a prompt and its answer take.
#[derive(Debug)]
pub struct Plan(mimo_vl_core::Plan);

/// Plans a prompt. `options` may be NULL for the defaults. A plan that does not fit is not an error. Free the plan with
/// mimo_vl_plan_free.
///
/// Errors: those of mimo_vl_session_ask for the prompt, the options and a busy session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_plan(
    session: *const Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    plan_out: *mut *mut Plan,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(plan_out, "plan_out", error_out, || {
            let session = Session::acquire(session)?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            Ok(Plan(session.plan(&prompt.0, &GenerateOptions::to_core(options))?))
        })
    }
}

/// Makes a copy of `prompt` that fits into a budget: at most `max_tokens` tokens of the complete conversation, 0 for
/// the limit of the context, and at most `max_bytes` bytes of peak memory, 0 for what is free. With `lower_pixels`, its
/// images and videos are reduced as far as necessary. `options` may be NULL for the defaults; `plan_out`, which
/// receives the plan of the copy, may be NULL. Free the prompt with mimo_vl_prompt_free and the plan with
/// mimo_vl_plan_free.
///
/// Errors: MIMO_VL_STATUS_CONTEXT_TOO_LONG and MIMO_VL_STATUS_MEMORY if it does not fit; those of mimo_vl_session_plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_fit(
    session: *const Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    max_tokens: usize,
    max_bytes: u64,
    lower_pixels: bool,
    prompt_out: *mut *mut Prompt,
    plan_out: *mut *mut Plan,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        if !plan_out.is_null() {
            plan_out.write(ptr::null_mut());
        }
        create(prompt_out, "prompt_out", error_out, || {
            let session = Session::acquire(session)?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let mut budget = Budget::new().lower_pixels(lower_pixels);
            budget.tokens = (max_tokens > 0).then_some(max_tokens);
            budget.bytes = (max_bytes > 0).then_some(max_bytes);
            let (fitting, plan) = session.fit(&prompt.0, &GenerateOptions::to_core(options), budget)?;
            if !plan_out.is_null() {
                plan_out.write(pointer::own(Plan(plan)));
            }
            Ok(Prompt(fitting))
        })
    }
}

/// Returns true if the prompt and its answer fit into the context and the free memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_fits(plan: *const Plan) -> bool {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, false, |plan| plan.0.fits) }
}

/// Returns the number of tokens of the conversation with the prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_prompt_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.prompt_tokens) }
}

/// Returns the number of those tokens that are in the KV cache already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_cached_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.cached_tokens) }
}

/// Returns the largest number of tokens that the answer can have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_answer_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.answer_tokens) }
}

/// Returns the size of the KV cache for prompt and answer, in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_cache_bytes(plan: *const Plan) -> u64 {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.cache_bytes) }
}

/// Returns the peak memory of the process, weights included, in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_peak_bytes(plan: *const Plan) -> u64 {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.peak_bytes) }
}

/// Returns the free memory in bytes; UINT64_MAX if it is unknown, as on devices with memory of their own, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_available_bytes(plan: *const Plan) -> u64 {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, u64::MAX, |plan| plan.0.available_bytes.unwrap_or(u64::MAX)) }
}

/// Returns the number of parts of the prompt: texts, images and videos.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_count(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, |plan| plan.0.parts.len()) }
}

/// Returns the number of tokens of part `index`, counted from 0; 0 if there is no such part.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_tokens(plan: *const Plan, index: usize) -> usize {
    let tokens = |plan: &Plan| match plan.0.parts.get(index) {
        Some(PlannedPart::Text { tokens } | PlannedPart::Media { tokens, .. }) => *tokens,
        _ => 0,
    };
    // SAFETY: NULL or a living plan, as the header requires.
    unsafe { read(plan, 0, tokens) }
}

/// Writes width and height at which the model sees part `index`, an image or video, to `size_out[0..1]`. Returns false,
/// and writes nothing, for a text and if there is no such part.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_size(plan: *const Plan, index: usize, size_out: *mut usize) -> bool {
    let size = |plan: &Plan| match plan.0.parts.get(index)? {
        PlannedPart::Media { transform, .. } => Some(transform.resized.into()),
        _ => None,
    };
    // SAFETY: NULL or a living plan, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(plan, size_out, size) }
}

/// Frees the plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_free(plan: *mut Plan) {
    // SAFETY: NULL or a plan that the caller owns, as the header requires.
    unsafe { free(plan) };
}
