//! How a model is loaded, and how an answer is generated.

use std::ffi::c_char;
use std::time::Duration;

use mimo_vl_core::error::Result;
use mimo_vl_core::hub::HubOptions;
use mimo_vl_core::sampling::{Generate, Grammar};

use crate::error::{ErrorObject, Status};
use crate::{boundary, pointer};

/// How a model is loaded.
#[derive(Debug)]
pub struct LoadOptions(pub(crate) mimo_vl_core::session::LoadOptions);

/// The type in which weights are kept.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Weights {
    /// As the checkpoint has them.
    Native = 0,
    /// 32-bit floats.
    F32 = 1,
    /// 16-bit floats of IEEE 754.
    F16 = 2,
    /// bfloat16.
    Bf16 = 3,
    /// Rounded to eight bits.
    Int8 = 4,
    /// Rounded to four bits, the more delicate ones to eight.
    Int4 = 5,
}

fn weights_format(weights: i32) -> Result<mimo_vl_core::checkpoint::Weights> {
    const NATIVE: i32 = Weights::Native as i32;
    const F32: i32 = Weights::F32 as i32;
    const F16: i32 = Weights::F16 as i32;
    const BF16: i32 = Weights::Bf16 as i32;
    const INT8: i32 = Weights::Int8 as i32;
    const INT4: i32 = Weights::Int4 as i32;
    match weights {
        NATIVE => Ok(mimo_vl_core::checkpoint::Weights::Native),
        F32 => Ok(mimo_vl_core::checkpoint::Weights::F32),
        F16 => Ok(mimo_vl_core::checkpoint::Weights::F16),
        BF16 => Ok(mimo_vl_core::checkpoint::Weights::Bf16),
        INT8 => Ok(mimo_vl_core::checkpoint::Weights::Int8),
        INT4 => Ok(mimo_vl_core::checkpoint::Weights::Int4),
        other => Err(pointer::refuse("weights", format!("{other} is none of mimo_vl_weights"))),
    }
}

/// The type in which keys and values of earlier tokens are kept.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum KvCache {
    /// 32-bit floats.
    F32 = 0,
    /// 16-bit floats of IEEE 754.
    F16 = 1,
    /// Eight bits.
    Int8 = 2,
}

fn kv_cache_format(kind: i32) -> Result<mimo_vl_core::KvCache> {
    const F32: i32 = KvCache::F32 as i32;
    const F16: i32 = KvCache::F16 as i32;
    const INT8: i32 = KvCache::Int8 as i32;
    match kind {
        F32 => Ok(mimo_vl_core::KvCache::F32),
        F16 => Ok(mimo_vl_core::KvCache::F16),
        INT8 => Ok(mimo_vl_core::KvCache::Int8),
        other => Err(pointer::refuse("kv_cache", format!("{other} is none of mimo_vl_kv_cache"))),
    }
}

/// Options with the defaults: the CPU, weights as the checkpoint has them. Free them with mimo_vl_load_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_load_options_new() -> *mut LoadOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(LoadOptions(mimo_vl_core::session::LoadOptions::new())))
}

/// Set the device by name: "cpu", "ndarray" or "cuda:0". Whether it exists shows when a model is loaded.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and a name that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_device(
    options: *mut LoadOptions,
    device: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0 = options.0.clone().device(pointer::name(device, "device")?);
            Ok(())
        })
    }
}

/// Set the type in which weights are kept; `weights` is one of mimo_vl_weights.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_weights(
    options: *mut LoadOptions,
    weights: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0 = options.0.clone().weights(weights_format(weights)?);
            Ok(())
        })
    }
}

/// Set the type in which keys and values of earlier tokens are kept; `kv_cache` is one of mimo_vl_kv_cache. Without it:
/// 16-bit floats for weights of four or eight bits, else 32-bit floats.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_kv_cache(
    options: *mut LoadOptions,
    kv_cache: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0 = options.0.clone().kv_cache(kv_cache_format(kv_cache)?);
            Ok(())
        })
    }
}

/// Set from where checkpoints are downloaded that are named by their id on the hub: the revision, the token of an account, the
/// address of the hub, and the folder of the cache, strings that end with a zero byte; NULL is the default of each.
/// `offline` is 1 to take what is in the cache, 0 to ask the hub, and any other number for the default; see docs/guide/hub.md.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL options and strings that are not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub(
    options: *mut LoadOptions,
    revision: *const c_char,
    token: *const c_char,
    endpoint: *const c_char,
    cache: *const c_char,
    offline: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            let name = |text: *const c_char, argument| match text.is_null() {
                true => Ok(None),
                false => pointer::name(text, argument).map(|text| Some(text.to_owned())),
            };
            let mut hub = HubOptions::new();
            hub.revision = name(revision, "revision")?;
            hub.token = name(token, "token")?;
            hub.endpoint = name(endpoint, "endpoint")?;
            hub.cache = (!cache.is_null()).then(|| pointer::path(cache, "cache")).transpose()?.map(Into::into);
            hub.offline = match offline {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            };
            options.0 = options.0.clone().hub(hub);
            Ok(())
        })
    }
}

/// Set how many threads compute on the CPU, from 1 to 1,024; without it, one for each core. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_threads(options: *mut LoadOptions, threads: usize) {
    boundary::infallible((), || {
        // SAFETY: NULL or living options that only this call uses, by the header's rules.
        if let Some(options) = unsafe { options.as_mut() } {
            options.0 = options.0.clone().threads(threads);
        }
    });
}

/// Set how many tokens a conversation can have, from 1 to what the checkpoint was made for. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_max_context(options: *mut LoadOptions, tokens: usize) {
    boundary::infallible((), || {
        // SAFETY: NULL or living options that only this call uses, by the header's rules.
        if let Some(options) = unsafe { options.as_mut() } {
            options.0 = options.0.clone().max_context(tokens);
        }
    });
}

/// How the model is told to think or not to.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum ThinkingStyle {
    /// ` /no_think` at the end of the question: models of August 2025.
    Slash = 0,
    /// `<no_think>` on a line of its own at the end: models before.
    Tag = 1,
    /// An answer that is begun with empty thinking: any model.
    Prefill = 2,
}

/// Set how the model is told to think or not to; `style` is one of mimo_vl_thinking_style. Without it: as the name of the
/// checkpoint's folder says.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_thinking_style(
    options: *mut LoadOptions,
    style: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    const SLASH: i32 = ThinkingStyle::Slash as i32;
    const TAG: i32 = ThinkingStyle::Tag as i32;
    const PREFILL: i32 = ThinkingStyle::Prefill as i32;
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            let style = match style {
                SLASH => mimo_vl_core::ThinkingStyle::Slash,
                TAG => mimo_vl_core::ThinkingStyle::Tag,
                PREFILL => mimo_vl_core::ThinkingStyle::Prefill,
                other => return Err(pointer::refuse("style", format!("{other} is none of mimo_vl_thinking_style"))),
            };
            options.0 = options.0.clone().thinking_style(style);
            Ok(())
        })
    }
}

/// Keep at most so many bytes of what the vision tower made of pictures, for other sessions; 0 for none. NULL options are
/// ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_feature_cache(options: *mut LoadOptions, bytes: u64) {
    boundary::infallible((), || {
        // SAFETY: NULL or living options that only this call uses, by the header's rules.
        if let Some(options) = unsafe { options.as_mut() } {
            options.0 = options.0.clone().feature_cache(bytes);
        }
    });
}

/// Free the options; NULL is ignored. Models loaded with them are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_free(options: *mut LoadOptions) {
    // SAFETY: NULL or options that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(options) });
}

/// How an answer is generated. Values are checked when a question is asked.
#[derive(Debug)]
pub struct GenerateOptions(pub(crate) Generate);

/// Options with the defaults: always the likeliest token, at most 4096 of them. Free them with
/// mimo_vl_generate_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_generate_options_new() -> *mut GenerateOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(GenerateOptions(Generate::new())))
}

/// The caller's options, or the defaults for null.
///
/// # Safety
/// `options` is null or points to living options.
pub(crate) unsafe fn generate(options: *const GenerateOptions) -> Generate {
    // SAFETY: passed on to the caller.
    unsafe { options.as_ref() }.map(|options| options.0.clone()).unwrap_or_default()
}

/// Apply one step of the core's builder to options that C lends; null is ignored.
///
/// # Safety
/// `options` is null or points to living options that nobody else uses during the call.
unsafe fn change(options: *mut GenerateOptions, step: impl FnOnce(Generate) -> Generate) {
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
pub unsafe extern "C" fn mimo_vl_generate_options_set_draft(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.draft(tokens)) };
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
pub unsafe extern "C" fn mimo_vl_generate_options_set_loop_tokens(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.loop_tokens(tokens)) };
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

/// Allow the call so many seconds; then an answer that has begun ends with MIMO_VL_STOP_REASON_DEADLINE, and the call fails before that. 0 and less for no limit. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_deadline(options: *mut GenerateOptions, seconds: f64) {
    // SAFETY: the argument keeps the header's rules.
    unsafe {
        change(options, |mut generate| {
            generate.deadline = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
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
pub unsafe extern "C" fn mimo_vl_generate_options_set_thinking_tokens(options: *mut GenerateOptions, tokens: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |generate| generate.thinking_tokens(tokens)) };
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
