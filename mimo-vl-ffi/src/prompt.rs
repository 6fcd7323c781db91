//! Prompts.

use std::ffi::c_char;
use std::mem;

use mimo_vl_core::expert::media_name;
use mimo_vl_core::{Message, Result};

use crate::boundary::change;
use crate::c_enum::{CEnum, c_enum};
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::pointer;
use crate::unwind::{create, free, infallible};
use crate::video::Video;

/// Messages that one call adds to the conversation: texts, images and videos in the order of adding. A prompt can be
/// used any number of times.
#[derive(Debug)]
pub struct Prompt(pub(crate) mimo_vl_core::Prompt);

/// Thinking before the answer.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Thinking {
    /// Left to the model.
    Auto = 0,
    /// On, which is the model's own default.
    On = 1,
    /// Off: the model answers at once.
    Off = 2,
}

c_enum!("mimo_vl_thinking", Thinking { Auto, On, Off } into mimo_vl_core::Thinking);

/// Role of a message.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Role {
    /// Instructions for the complete conversation.
    System = 0,
    /// The user.
    User = 1,
    /// The model.
    Assistant = 2,
}

c_enum!("mimo_vl_role", Role { System, User, Assistant } into mimo_vl_core::Role);

/// Applies one step of the core's builder, which takes and returns prompts by value, to a prompt that C lends.
///
/// # Safety
/// As for [`change`].
unsafe fn build<T>(
    prompt: *mut Prompt,
    error_out: *mut *mut ErrorObject,
    argument: impl FnOnce() -> Result<T>,
    step: impl FnOnce(mimo_vl_core::Prompt, T) -> mimo_vl_core::Prompt,
) -> Status {
    // SAFETY: passed on to the caller.
    unsafe {
        change(prompt, "prompt", error_out, |prompt| {
            let argument = argument()?;
            prompt.0 = step(mem::replace(&mut prompt.0, mimo_vl_core::Prompt::user()), argument);
            Ok(())
        })
    }
}

/// Makes an empty prompt with one user message. Free it with mimo_vl_prompt_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_prompt_new_user() -> *mut Prompt {
    create(|| Prompt(mimo_vl_core::Prompt::user()))
}

/// Sets the system message, `len` bytes of UTF-8 at `text`, in place of that of the prompt and of the conversation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_set_system(
    prompt: *mut Prompt,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe { build(prompt, error_out, || pointer::text(text, len, "text"), mimo_vl_core::Prompt::system) }
}

/// Begins the next message, to which everything is added from here on; `role` is a mimo_vl_role. With it a prompt can
/// carry earlier messages of a conversation. It replaces the user message of a prompt that is still empty. The last
/// message must be the user's, unless mimo_vl_prompt_set_continue_final_message is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_begin_message(
    prompt: *mut Prompt,
    role: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        build(
            prompt,
            error_out,
            || Ok(Message::new(Role::from_number(role, "role")?.into())),
            mimo_vl_core::Prompt::message,
        )
    }
}

/// Adds `len` bytes of UTF-8 at `text`. Text that looks like one of the model's special tokens is encoded as plain
/// text.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_text(
    prompt: *mut Prompt,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe { build(prompt, error_out, || pointer::text(text, len, "text"), mimo_vl_core::Prompt::text) }
}

/// Returns true if `len` bytes of UTF-8 at `text` look like the name of a media file or a URL, which a prompt would
/// send as text: it names an existing file, or is one word that is a URL or ends like a media file.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_is_media_name(text: *const c_char, len: usize) -> bool {
    // SAFETY: NULL, or `len` bytes, as the header requires.
    infallible(false, || unsafe { pointer::text(text, len, "text") }.is_ok_and(|text| media_name(text).is_some()))
}

/// Adds an image. The prompt shares its pixels; the image may be freed or changed afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_image(
    prompt: *mut Prompt,
    image: *const Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { build(prompt, error_out, || Ok(pointer::borrow(image, "image")?.0.clone()), mimo_vl_core::Prompt::image) }
}

/// Adds a video. The prompt shares its pixels; the video may be freed or changed afterwards.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_add_video(
    prompt: *mut Prompt,
    video: *const Video,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { build(prompt, error_out, || Ok(pointer::borrow(video, "video")?.0.clone()), mimo_vl_core::Prompt::video) }
}

/// Sets thinking, a mimo_vl_thinking; default MIMO_VL_THINKING_AUTO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_set_thinking(
    prompt: *mut Prompt,
    thinking: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    let argument = || Thinking::from_number(thinking, "thinking").map(Into::into);
    // SAFETY: the arguments keep the header's rules.
    unsafe { build(prompt, error_out, argument, mimo_vl_core::Prompt::thinking) }
}

/// Sets whether the answer continues the text of the last message, which must be the assistant's; default false. The
/// answer has only what is added; the conversation then has the whole message.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_set_continue_final_message(
    prompt: *mut Prompt,
    continues: bool,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { build(prompt, error_out, || Ok(continues), mimo_vl_core::Prompt::continue_final_message) }
}

/// Frees the prompt.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_prompt_free(prompt: *mut Prompt) {
    // SAFETY: NULL or a prompt that the caller owns, as the header requires.
    unsafe { free(prompt) };
}
