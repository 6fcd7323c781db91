//! Several questions at once.

use std::fmt;
use std::ptr;

use mimo_vl_core::Event;

use crate::answer::Answer;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::model::Model;
use crate::options::{GenerateOptions, generate};
use crate::prompt::Prompt;
use crate::region::Region;
use crate::stream::EventKind;
use crate::text::{EMPTY, Str, Text, put};
use crate::{boundary, pointer};

/// Several questions that are answered at once, each in a conversation of its own. It keeps the model alive.
pub struct Batch {
    batch: mimo_vl_core::Batch,
    /// The text of the last event, which C may still read.
    text: Text,
    /// The region of the last event, which C may still read.
    region: Option<Region>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("batch", &self.batch).finish_non_exhaustive()
    }
}

/// A batch without questions, of which at most `most` are answered at a time; others wait. Free it with
/// mimo_vl_batch_free; the model may be freed before.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_new(
    model: *const Model,
    most: usize,
    batch_out: *mut *mut Batch,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(batch_out, "batch_out", error_out, || {
            let batch = pointer::borrow(model, "model")?.model.batch(most);
            Ok(Batch { batch, text: Text::new(""), region: None })
        })
    }
}

/// Add a question to those that wait, at any time, and put its number, counted from 0, into `*number_out`. `options` may be
/// NULL for the defaults.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments. What is wrong with the question shows in mimo_vl_batch_next.
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
        boundary::fallible(error_out, || {
            let batch = pointer::borrow_mut(batch, "batch")?;
            let prompt = pointer::borrow(prompt, "prompt")?;
            let number_out = pointer::borrow_mut(number_out, "number_out")?;
            *number_out = batch.batch.add(&prompt.0, &generate(options));
            Ok(())
        })
    }
}

/// Compute until something happens, and put the number of its question into `*number_out`, its kind into
/// `*kind_out`, and the text of the event into `*text_out`, unless that is NULL; the text lives until the next call for
/// the batch. `*number_out` is SIZE_MAX when all questions are over.
///
/// Errors: those of the question in `*number_out`, which is over then; the others go on. MIMO_VL_STATUS_CANCELLED for each
/// question when the batch was cancelled. MIMO_VL_STATUS_OPTION for NULL arguments.
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
        boundary::fallible(error_out, || {
            let batch = pointer::borrow_mut(batch, "batch")?;
            let number_out = pointer::borrow_mut(number_out, "number_out")?;
            let kind_out = pointer::borrow_mut(kind_out, "kind_out")?;
            put(text_out, EMPTY);
            batch.region = None;
            (*number_out, *kind_out) = (usize::MAX, EventKind::End);
            for (number, event) in batch.batch.by_ref() {
                *number_out = number;
                let (kind, text) = match event? {
                    Event::Thinking(text) => (EventKind::Thinking, text),
                    Event::Text(text) => (EventKind::Text, text),
                    Event::Region(region) => {
                        batch.region = Some(Region::new(region));
                        (EventKind::Region, String::new())
                    }
                    Event::End(_) => (EventKind::End, String::new()),
                    // A kind of event that this interface does not know yet.
                    _ => continue,
                };
                *kind_out = kind;
                batch.text = Text::new(text);
                put(text_out, batch.text.lend());
                return Ok(());
            }
            *number_out = usize::MAX;
            Ok(())
        })
    }
}

/// The box or points of the last event, which live until the next call for the batch; NULL when it was of another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_region(batch: *const Batch) -> *const Region {
    boundary::infallible(ptr::null(), || {
        // SAFETY: NULL or a living batch, by the header's rules.
        let region = unsafe { batch.as_ref() }.and_then(|batch| batch.region.as_ref());
        region.map_or(ptr::null(), ptr::from_ref)
    })
}

/// Take the answer to a question that is over, once. Free it with mimo_vl_answer_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and for a question that is not over, failed, or was taken before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_answer(
    batch: *mut Batch,
    number: usize,
    answer_out: *mut *mut Answer,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(answer_out, "answer_out", error_out, || {
            let answer = pointer::borrow_mut(batch, "batch")?.batch.answer(number);
            let none =
                || pointer::refuse("number", format!("{number} has no answer: it is not over, failed, or was taken"));
            Ok(Answer::new(answer.ok_or_else(none)?))
        })
    }
}

/// Give up one question, waiting or being answered; nothing more comes of it. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_remove(batch: *mut Batch, number: usize) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living batch that only this call uses, by the header's rules.
        if let Some(batch) = unsafe { batch.as_mut() } {
            batch.batch.remove(number);
        }
    });
}

/// A handle with which any thread ends everything: each question that is not over fails with
/// MIMO_VL_STATUS_CANCELLED. Free it with mimo_vl_cancel_token_free; the batch may be freed before.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_cancel_handle(
    batch: *const Batch,
    cancel_out: *mut *mut CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(cancel_out, "cancel_out", error_out, || {
            Ok(CancelToken(pointer::borrow(batch, "batch")?.batch.cancel()))
        })
    }
}

/// Free the batch, and end what is not over; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_batch_free(batch: *mut Batch) {
    // SAFETY: NULL or a batch that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(batch) });
}
