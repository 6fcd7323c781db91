//! How an answer is generated.

use std::ffi::c_char;
use std::time::Duration;

use mimo_vl_core::Grammar;

use crate::error::{ErrorObject, Status};
use crate::{boundary, pointer};

/// How an answer is generated. Values are checked when a question is asked.
#[derive(Debug)]
pub struct GenerateOptions(pub(crate) mimo_vl_core::GenerateOptions);

/// Options with the defaults: always the likeliest token, at most 4096 of them. Free them with
/// mimo_vl_generate_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_generate_options_new() -> *mut GenerateOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(GenerateOptions(mimo_vl_core::GenerateOptions::new())))
}

/// The caller's options, or the defaults for null.
///
/// # Safety
/// `options` is null or points to living options.
pub(crate) unsafe fn generate(options: *const GenerateOptions) -> mimo_vl_core::GenerateOptions {
    // SAFETY: passed on to the caller.
    unsafe { options.as_ref() }.map(|options| options.0.clone()).unwrap_or_default()
}

/// Apply one step of the core's builder to options that C lends; null is ignored.
///
/// # Safety
/// `options` is null or points to living options that nobody else uses during the call.
unsafe fn change(
    options: *mut GenerateOptions,
    step: impl FnOnce(mimo_vl_core::GenerateOptions) -> mimo_vl_core::GenerateOptions,
) {
    boundary::infallible((), || {
        // SAFETY: passed on to the caller.
        if let Some(options) = unsafe { options.as_mut() } {
            options.0 = step(options.0.clone());
        }
    });
}

/// Set after how many tokens the answer is cut off, thinking included. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_max_tokens(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.max_tokens(tokens)) };
}

/// Set how freely the model chooses: 0 always takes the likeliest token, 1 follows its own probabilities. NULL options
/// are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_temperature(options: *mut GenerateOptions, temperature: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.temperature(temperature)) };
}

/// Choose among the `count` likeliest tokens only; 0 for all. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_top_k(options: *mut GenerateOptions, count: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.top_k(count)) };
}

/// Choose among the likeliest tokens that together reach this probability; 1 for all. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_top_p(options: *mut GenerateOptions, probability: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.top_p(probability)) };
}

/// Leave out tokens that are less likely than the likeliest times `factor`; 0 for none. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_min_p(options: *mut GenerateOptions, factor: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.min_p(factor)) };
}

/// Make tokens that were there before less likely by this factor; 1 for no change. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_repetition_penalty(options: *mut GenerateOptions, penalty: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.repetition_penalty(penalty)) };
}

/// Set where chance starts from: the same seed gives the same answer. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_seed(options: *mut GenerateOptions, seed: u64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.seed(seed)) };
}

/// Set how many tokens are guessed at a time where the answer repeats what came before, from 0 for none to 7; the answer
/// is the same. Without it: 7 for a temperature of 0, else none. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_num_draft_tokens(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.num_draft_tokens(tokens)) };
}

/// Take this from a token's logit for each time that it occurred in the answer; from -2 to 2, 0 for off. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_frequency_penalty(options: *mut GenerateOptions, penalty: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.frequency_penalty(penalty)) };
}

/// Take this from a token's logit once it occurred in the answer; from -2 to 2, 0 for off. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_presence_penalty(options: *mut GenerateOptions, penalty: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.presence_penalty(penalty)) };
}

/// Choose among the tokens whose information is nearest to the expected one, which together reach this probability; 1 for all. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_typical_p(options: *mut GenerateOptions, probability: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.typical_p(probability)) };
}

/// End the answer with MIMO_VL_STOP_REASON_LOOP when its last so many tokens, at least 16, are one run again and again; 0 for off. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_loop_window(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.loop_window(tokens)) };
}

/// Give the logprob of every token of the answer; `on` false for off. Regions get their confidence from them. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_logprobs(options: *mut GenerateOptions, on: bool) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |mut generate| {
            generate.logprobs = on.then_some(0);
            generate
        });
    };
}

/// Allow the call so many seconds; then an answer that has begun ends with MIMO_VL_STOP_REASON_TIMEOUT, and the call fails before that. 0 and less for no limit. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_timeout(options: *mut GenerateOptions, seconds: f64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |mut generate| {
            generate.timeout = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
            generate
        });
    };
}

/// Write so many answers and keep the likeliest, which mimo_vl_session_ask does and a stream does not; more than 1 needs a temperature above 0. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_best_of(options: *mut GenerateOptions, answers: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.best_of(answers)) };
}

/// End the thinking after so many tokens. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_thinking_budget(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.thinking_budget(tokens)) };
}

/// Keep the thinking in the conversation, so that later turns see it. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_keep_thinking(options: *mut GenerateOptions, keep: bool) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.keep_thinking(keep)) };
}

/// Add to the logit of token `id`; minus infinity forbids it. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_logit_bias(options: *mut GenerateOptions, id: u32, bias: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |generate| {
            let mut generate = generate;
            generate.logit_bias.push((id, bias));
            generate
        })
    };
}

/// Add a text that ends the answer where it appears in it: `len` bytes of UTF-8 at `text`.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and text that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_add_stop(
    options: *mut GenerateOptions,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0.stop.push(pointer::text(text, len, "text")?.to_owned());
            Ok(())
        })
    }
}

/// A form that an answer can have.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum GrammarKind {
    /// Any form.
    None = 0,
    /// A JSON value that a schema accepts, which is the text.
    JsonSchema = 1,
    /// A text that a regular expression matches as a whole, which is the text.
    Regex = 2,
    /// A text of a grammar in Lark's notation, which is the text.
    Lark = 3,
    /// One of several texts, which are the lines of the text.
    Choice = 4,
    /// A JSON list of boxes with labels in the last picture.
    Boxes = 5,
    /// A JSON list of points with labels in the last picture.
    Points = 6,
    /// One GUI action on the last picture; mimo_vl_generate_options_set_task limits it to those offered.
    Action = 7,
}

/// Let answers have a form, whatever the model would say; `kind` is one of mimo_vl_grammar_kind, and what `len` bytes of UTF-8 at
/// `text` mean depends on it. Whether the text can be read shows when a question is asked.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments, text that is not UTF-8, and for another kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_grammar(
    options: *mut GenerateOptions,
    kind: i32,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    const NONE: i32 = GrammarKind::None as i32;
    const JSON_SCHEMA: i32 = GrammarKind::JsonSchema as i32;
    const REGEX: i32 = GrammarKind::Regex as i32;
    const LARK: i32 = GrammarKind::Lark as i32;
    const CHOICE: i32 = GrammarKind::Choice as i32;
    const BOXES: i32 = GrammarKind::Boxes as i32;
    const POINTS: i32 = GrammarKind::Points as i32;
    const ACTION: i32 = GrammarKind::Action as i32;
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            let text = pointer::text(text, len, "text")?;
            options.0.grammar = match kind {
                NONE => None,
                JSON_SCHEMA => Some(Grammar::JsonSchema(text.to_owned())),
                REGEX => Some(Grammar::Regex(text.to_owned())),
                LARK => Some(Grammar::Lark(text.to_owned())),
                CHOICE => Some(Grammar::Choice(text.lines().map(str::to_owned).collect())),
                BOXES => Some(Grammar::Boxes),
                POINTS => Some(Grammar::Points),
                ACTION => Some(Grammar::Action),
                other => return Err(pointer::refuse("kind", format!("{other} is none of mimo_vl_grammar_kind"))),
            };
            Ok(())
        })
    }
}

/// Free the options; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_free(options: *mut GenerateOptions) {
    // SAFETY: NULL or options that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(options) });
}
