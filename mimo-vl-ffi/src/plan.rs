//! What a question will take.

use mimo_vl_core::{Budget, PlannedPart};

use crate::boundary;
use crate::error::{ErrorObject, Status};
use crate::options::{GenerateOptions, generate};
use crate::pointer;
use crate::prompt::Prompt;
use crate::session::{Lease, Session};

/// What a question will take, before anything of it is computed.
#[derive(Debug)]
pub struct Plan(mimo_vl_core::Plan);

/// Tell what a question will take. `options` may be NULL for the defaults. Free the plan with mimo_vl_plan_free.
///
/// Errors: as mimo_vl_session_ask, as far as they concern prompt, pictures and options, and while another call uses the session; a
/// plan that does not fit is no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_plan(
    session: *const Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    plan_out: *mut *mut Plan,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        boundary::making(plan_out, "plan_out", error_out, || {
            let session = pointer::borrow(session, "session")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            Ok(Plan(Lease::take(session)?.plan(&prompt.0, &generate(options))?))
        })
    }
}

/// Give a prompt like `prompt` that keeps to a budget: at most `tokens` tokens of the whole conversation, 0 for what the context
/// holds, and at most `bytes` bytes at the peak, 0 for what is free. With `lower_pixels`, pictures and videos are made smaller
/// until it does. `plan_out` may be NULL; what was made smaller shows in the plan. Free both.
///
/// Errors: MIMO_VL_STATUS_CONTEXT_TOO_LONG and MIMO_VL_STATUS_MEMORY when it does not fit, and those of mimo_vl_session_plan.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_session_fit(
    session: *const Session,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    tokens: usize,
    bytes: u64,
    lower_pixels: bool,
    prompt_out: *mut *mut Prompt,
    plan_out: *mut *mut Plan,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules; a session is only read, and its state is behind a lock.
    unsafe {
        if !plan_out.is_null() {
            plan_out.write(std::ptr::null_mut());
        }
        boundary::making(prompt_out, "prompt_out", error_out, || {
            let session = pointer::borrow(session, "session")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let mut budget = Budget::new().lower_pixels(lower_pixels);
            budget.tokens = (tokens > 0).then_some(tokens);
            budget.bytes = (bytes > 0).then_some(bytes);
            let (fitting, plan) = Lease::take(session)?.fit(&prompt.0, &generate(options), budget)?;
            if !plan_out.is_null() {
                plan_out.write(pointer::own(Plan(plan)));
            }
            Ok(Prompt(fitting))
        })
    }
}

/// Whether the context and the memory that is free hold it; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_fits(plan: *const Plan) -> bool {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(false, || unsafe { plan.as_ref() }.is_some_and(|plan| plan.0.fits))
}

/// Tokens of the whole conversation with the question; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_prompt_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.prompt_tokens))
}

/// How many of them the session has seen already; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_cached_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.cached_tokens))
}

/// Most tokens that the answer can have; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_answer_tokens(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.answer_tokens))
}

/// Bytes of keys and values for prompt and answer; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_cache_bytes(plan: *const Plan) -> u64 {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.cache_bytes))
}

/// Bytes of the process at its peak, weights included; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_peak_bytes(plan: *const Plan) -> u64 {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.peak_bytes))
}

/// Bytes that are free now; UINT64_MAX where the system does not tell, for devices with memory of their own, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_available_bytes(plan: *const Plan) -> u64 {
    boundary::infallible(u64::MAX, || {
        // SAFETY: NULL or a living plan, by the header's rules.
        unsafe { plan.as_ref() }.and_then(|plan| plan.0.available_bytes).unwrap_or(u64::MAX)
    })
}

/// Number of parts of the question, texts and pictures; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_count(plan: *const Plan) -> usize {
    // SAFETY: NULL or a living plan, by the header's rules.
    boundary::infallible(0, || unsafe { plan.as_ref() }.map_or(0, |plan| plan.0.parts.len()))
}

/// Tokens of part `index`, counted from 0; 0 for NULL and where there is no such part.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_tokens(plan: *const Plan, index: usize) -> usize {
    boundary::infallible(0, || {
        // SAFETY: NULL or a living plan, by the header's rules.
        match unsafe { plan.as_ref() }.and_then(|plan| plan.0.parts.get(index)) {
            Some(PlannedPart::Text { tokens } | PlannedPart::Media { tokens, .. }) => *tokens,
            _ => 0,
        }
    })
}

/// If part `index` is a picture or a video, put the width and height at which the model sees it into `size_out[0..1]`, unless
/// that is NULL. False for texts, for NULL and where there is no such part.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_part_size(plan: *const Plan, index: usize, size_out: *mut usize) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living plan, by the header's rules.
        let part = unsafe { plan.as_ref() }.and_then(|plan| plan.0.parts.get(index));
        let Some(PlannedPart::Media { transform, .. }) = part else { return false };
        if !size_out.is_null() {
            let (width, height) = transform.resized;
            // SAFETY: not NULL, and a place for two numbers by the documentation.
            unsafe { size_out.cast::<[usize; 2]>().write_unaligned([width, height]) };
        }
        true
    })
}

/// Free the plan; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_plan_free(plan: *mut Plan) {
    // SAFETY: NULL or a plan that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(plan) });
}
