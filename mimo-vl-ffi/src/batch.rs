//! Several prompts at once.

use std::fmt;
use std::ptr;

use mimo_vl_core::BatchOptions;

use crate::answer::Answer;
use crate::boundary::{change, create};
use crate::call::LongCall;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::event::{EventKind, LastEvent};
use crate::model::Model;
use crate::options::GenerateOptions;
use crate::pointer;
use crate::prompt::Prompt;
use crate::region::Region;
use crate::text::{EMPTY, Str, put};
use crate::unwind::{free, read};

/// Several prompts that are answered at the same time, each in a conversation of its own.
pub struct Batch {
    batch: mimo_vl_core::Batch,
    last: LastEvent,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// Makes an empty batch that generates at most `max_concurrent` answers at a time; further prompts wait. `cancel`
/// cancels all prompts that are not answered yet; it may be NULL, and each prompt may have a token of its own in its
/// options. Free the batch with mimo_vl_batch_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_new(
    model: *const Model,
    max_concurrent: usize,
    cancel: *const CancelToken,
    batch_out: *mut *mut Batch,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(batch_out, "batch_out", error_out, || {
            let model = &pointer::borrow(model, "model")?.model;
            let mut options = BatchOptions::new().max_concurrent(max_concurrent);
            if let Some(token) = cancel.as_ref() {
                options = options.cancel(&token.0);
            }
            let batch = model.batch(&options);
            Ok(Batch { batch, last: LastEvent::none() })
        })
    }
}

/// Adds a prompt, also while others are being answered, and writes its number, counted from 0, to `*number_out`.
/// `options` may be NULL for the defaults. Errors of the prompt are reported by mimo_vl_batch_next.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_add(
    batch: *mut Batch,
    prompt: *const Prompt,
    options: *const GenerateOptions,
    number_out: *mut usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(batch, "batch", error_out, |batch| {
            let prompt = pointer::borrow(prompt, "prompt")?;
            let number_out = pointer::borrow_mut(number_out, "number_out")?;
            *number_out = batch.batch.add(&prompt.0, &GenerateOptions::to_core(options));
            Ok(())
        })
    }
}

/// Generates until the next event of any prompt, and writes the prompt's number to `*number_out`, the event's kind to
/// `*kind_out` and its text to `*text_out`, which may be NULL. The text is valid until the next call with this batch.
/// `*number_out` becomes SIZE_MAX once all prompts are answered; more may be added then.
///
/// Errors: those of mimo_vl_session_ask, for the prompt `*number_out` alone; the others continue. After a cancel
/// of the batch's token MIMO_VL_STATUS_CANCELLED for each prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_next(
    batch: *mut Batch,
    number_out: *mut usize,
    kind_out: *mut EventKind,
    text_out: *mut Str,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(batch, "batch", error_out, |batch| {
            let number_out = pointer::borrow_mut(number_out, "number_out")?;
            let kind_out = pointer::borrow_mut(kind_out, "kind_out")?;
            put(text_out, EMPTY);
            batch.last = LastEvent::none();
            (*number_out, *kind_out) = (usize::MAX, EventKind::End);
            for (number, event) in batch.batch.by_ref() {
                *number_out = number;
                if let Some((kind, event)) = LastEvent::of(event?) {
                    *kind_out = kind;
                    batch.last = event;
                    put(text_out, batch.last.text());
                    return Ok(());
                }
            }
            *number_out = usize::MAX;
            Ok(())
        })
    }
}

/// Returns the region of the last event, if that was a MIMO_VL_EVENT_KIND_REGION; otherwise NULL. It is valid until the
/// next call with this batch, and must not be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_region(batch: *const Batch) -> *const Region {
    // SAFETY: NULL or a living batch, as the header requires.
    unsafe { read(batch, ptr::null(), |batch| batch.last.region()) }
}

/// Takes the answer to prompt `number`, after its MIMO_VL_EVENT_KIND_END, once. Free it with mimo_vl_answer_free.
///
/// Errors: MIMO_VL_STATUS_OPTION if the prompt is not answered yet, failed, or its answer has been taken.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_answer(
    batch: *mut Batch,
    number: usize,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(answer_out, "answer_out", error_out, || {
            let answer = pointer::borrow_mut(batch, "batch")?.batch.answer(number);
            let reason =
                || format!("prompt {number} has no answer: it is not answered yet, failed, or was taken before");
            Ok(Answer::new(answer.ok_or_else(|| pointer::refuse("number", reason()))?))
        })
    }
}

/// Drops prompt `number`, waiting or being answered. It has no further events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_remove(
    batch: *mut Batch,
    number: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(batch, "batch", error_out, |batch| {
            batch.batch.remove(number);
            Ok(())
        })
    }
}

/// Frees the batch. Answers that are not complete are dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_free(batch: *mut Batch) {
    // SAFETY: NULL or a batch that the caller owns, as the header requires.
    unsafe { free(batch) };
}
