//! What one question adds to the conversation.

use std::ffi::c_char;
use std::mem;

use mimo_vl_core::{Message, Result};

use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::video::Video;
use crate::{boundary, pointer};

/// What one question adds to the conversation: text and pictures in the order in which they were added. One prompt
/// can be asked any number of times.
#[derive(Debug)]
pub struct Prompt(pub(crate) mimo_vl_core::Prompt);

/// Whether the model thinks before it answers.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Thinking {
    /// Leave it to the model.
    Auto = 0,
    /// Think, which is what the model does by itself.
    On = 1,
    /// Answer at once.
    Off = 2,
}

/// Who says a message.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Role {
    /// Instructions for the whole conversation.
    System = 0,
    /// The one who asks.
    User = 1,
    /// The model.
    Assistant = 2,
}

fn role(number: i32) -> Result<mimo_vl_core::Role> {
    const SYSTEM: i32 = Role::System as i32;
    const USER: i32 = Role::User as i32;
    const ASSISTANT: i32 = Role::Assistant as i32;
    match number {
        SYSTEM => Ok(mimo_vl_core::Role::System),
        USER => Ok(mimo_vl_core::Role::User),
        ASSISTANT => Ok(mimo_vl_core::Role::Assistant),
        other => Err(pointer::refuse("role", format!("{other} is none of mimo_vl_role"))),
    }
}

impl Prompt {
    /// Apply one step of the core's builder, which takes and gives the prompt by value.
    fn change(&mut self, step: impl FnOnce(mimo_vl_core::Prompt) -> mimo_vl_core::Prompt) {
        self.0 = step(mem::replace(&mut self.0, mimo_vl_core::Prompt::user()));
    }
}

/// An empty prompt of the user. Free it with mimo_vl_prompt_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_prompt_new_user() -> *mut Prompt {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(Prompt(mimo_vl_core::Prompt::user())))
}

/// Say in `len` bytes of UTF-8 at `text` how the model is to behave, in place of what was said before about that, in
/// the prompt or the conversation.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_set_system(
    prompt: *mut Prompt,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let text = pointer::text(text, len, "text")?;
            prompt.change(|prompt| prompt.system(text));
            Ok(())
        })
    }
}

/// Begin another message, to which everything is added from now on; `role` is one of mimo_vl_role. So an earlier conversation is
/// put into a prompt: the user's first message, which every prompt begins with, is replaced while it is empty. The last
/// message must be the user's.
///
/// Errors: MIMO_VL_STATUS_OPTION for a NULL prompt and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_begin_message(
    prompt: *mut Prompt,
    role: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let next = Message::new(self::role(role)?);
            prompt.change(|prompt| {
                let mut messages = prompt.messages().to_vec();
                if matches!(&messages[..], [only] if only.parts.is_empty()) {
                    messages.clear();
                }
                messages.push(next);
                mimo_vl_core::Prompt::from_messages(messages).thinking(prompt.thinking_mode())
            });
            Ok(())
        })
    }
}

/// Add `len` bytes of UTF-8 at `text`. Text that looks like one of the model's special tokens stays text.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_text(
    prompt: *mut Prompt,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let text = pointer::text(text, len, "text")?;
            prompt.change(|prompt| prompt.text(text));
            Ok(())
        })
    }
}

/// Add a picture. The prompt shares its pixels; the image may be freed or changed afterwards.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_image(
    prompt: *mut Prompt,
    image: *const Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let image = pointer::borrow(image, "image")?.0.clone();
            prompt.change(|prompt| prompt.image(image));
            Ok(())
        })
    }
}

/// Add a video. The prompt shares its pixels; the video may be freed or changed afterwards.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_video(
    prompt: *mut Prompt,
    video: *const Video,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let video = pointer::borrow(video, "video")?.0.clone();
            prompt.change(|prompt| prompt.video(video));
            Ok(())
        })
    }
}

/// Set whether the model thinks before it answers; `thinking` is one of mimo_vl_thinking, and MIMO_VL_THINKING_AUTO
/// unless set.
///
/// Errors: MIMO_VL_STATUS_OPTION for a NULL prompt and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_set_thinking(
    prompt: *mut Prompt,
    thinking: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let prompt = pointer::borrow_mut(prompt, "prompt")?;
            let thinking = mode(thinking)?;
            prompt.change(|prompt| prompt.thinking(thinking));
            Ok(())
        })
    }
}

fn mode(thinking: i32) -> Result<mimo_vl_core::Thinking> {
    const AUTO: i32 = Thinking::Auto as i32;
    const ON: i32 = Thinking::On as i32;
    const OFF: i32 = Thinking::Off as i32;
    match thinking {
        AUTO => Ok(mimo_vl_core::Thinking::Auto),
        ON => Ok(mimo_vl_core::Thinking::On),
        OFF => Ok(mimo_vl_core::Thinking::Off),
        other => Err(pointer::refuse("thinking", format!("{other} is none of mimo_vl_thinking"))),
    }
}

/// Free the prompt; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_free(prompt: *mut Prompt) {
    // SAFETY: NULL or a prompt that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(prompt) });
}
