//! Options of generating an answer.

use std::ffi::{c_char, c_void};

use mimo_vl_core::Grammar;

use crate::c_enum::{CEnum, c_enum};
use crate::call::{Call, long_call, set, set_call, try_set};
use crate::callback::ProgressCallback;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::pointer;
use crate::unwind::{create, free};

/// Options of generating an answer. Their values are checked by the functions that generate one.
#[derive(Debug)]
pub struct GenerateOptions {
    options: mimo_vl_core::GenerateOptions,
    call: Call,
}

long_call!(GenerateOptions, mimo_vl_core::GenerateOptions);

/// A count of C, in which SIZE_MAX is none.
fn optional(count: usize) -> Option<usize> {
    (count != usize::MAX).then_some(count)
}

/// Makes options with the default of each: greedy, at most 4096 tokens. Free them with mimo_vl_generate_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_generate_options_new() -> *mut GenerateOptions {
    create(|| GenerateOptions { options: mimo_vl_core::GenerateOptions::new(), call: Call::default() })
}

/// Sets the length limit of the answer in tokens, thinking included: at least 1; default 4096.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_max_tokens(
    options: *mut GenerateOptions,
    max_tokens: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_tokens = max_tokens) }
}

/// Sets the length limit of the conversation with the answer in tokens, below that of the model: at least 1. SIZE_MAX
/// is that of the model, the default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_max_context(
    options: *mut GenerateOptions,
    max_context: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_context = optional(max_context)) }
}

/// Sets the divisor of positive logits, and factor of negative ones, of tokens that occurred before (arXiv 1909.05858):
/// above 0; 1 is off; default 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_repetition_penalty(
    options: *mut GenerateOptions,
    repetition_penalty: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.repetition_penalty = repetition_penalty) }
}

/// Sets the number subtracted from a token's logit per occurrence in the answer: -2 to 2; 0 is off; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_frequency_penalty(
    options: *mut GenerateOptions,
    frequency_penalty: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.frequency_penalty = frequency_penalty) }
}

/// Sets the number subtracted from the logit of tokens that occurred in the answer: -2 to 2; 0 is off; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_presence_penalty(
    options: *mut GenerateOptions,
    presence_penalty: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.presence_penalty = presence_penalty) }
}

/// Adds a bias to the logit of a token: any number below infinity; negative infinity forbids the token. Default: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_add_logit_bias(
    options: *mut GenerateOptions,
    token_id: u32,
    bias: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.logit_bias.push((token_id, bias))) }
}

/// Sets the divisor of the logits: at least 0; 0 is greedy, always the most likely token; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_temperature(
    options: *mut GenerateOptions,
    temperature: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.temperature = temperature) }
}

/// Sets the number of most likely tokens to sample from: at least 0; 0 is off; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_top_k(
    options: *mut GenerateOptions,
    top_k: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.top_k = top_k) }
}

/// Sets the probability mass of the most likely tokens to sample from (nucleus sampling, arXiv 1904.09751): 0 to 1; 1
/// is off; default 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_top_p(
    options: *mut GenerateOptions,
    top_p: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.top_p = top_p) }
}

/// Sets the smallest probability of a sampled token, relative to the most likely one (arXiv 2407.01082): 0 to 1; 0 is
/// off; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_min_p(
    options: *mut GenerateOptions,
    min_p: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.min_p = min_p) }
}

/// Sets the probability mass of the most typical tokens to sample from (arXiv 2202.00666): above 0, at most 1; 1 is
/// off; default 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_typical_p(
    options: *mut GenerateOptions,
    typical_p: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.typical_p = typical_p) }
}

/// Sets the seed of the random numbers: any; default 0. The same seed gives the same answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_seed(
    options: *mut GenerateOptions,
    seed: u64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.seed = seed) }
}

/// Sets the limit of draft tokens per step, which prompt lookup takes from the text so far and one pass verifies: 0 to
/// 7; 0 is off. Default, and for SIZE_MAX: 7 for greedy decoding on the CPU, else 0. On the CPU the answer does
/// not change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_num_draft_tokens(
    options: *mut GenerateOptions,
    num_draft_tokens: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.num_draft_tokens = optional(num_draft_tokens)) }
}

/// Adds a stop sequence, `len` bytes of UTF-8 at `text`: not empty. The answer ends before its first occurrence;
/// thinking is not searched. Default: none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_add_stop(
    options: *mut GenerateOptions,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        try_set(options, error_out, |options| {
            options.stop.push(pointer::text(text, len, "text")?.to_owned());
            Ok(())
        })
    }
}

/// Kind of a grammar that constrains the answer.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum GrammarKind {
    /// No constraint.
    None = 0,
    /// A JSON value valid under the JSON schema in the text.
    JsonSchema = 1,
    /// A string that the regular expression in the text matches completely.
    Regex = 2,
    /// A string of the Lark grammar in the text.
    Lark = 3,
    /// One of the lines of the text.
    Choice = 4,
    /// A JSON list of labelled boxes in the last image.
    Boxes = 5,
    /// A JSON list of labelled points in the last image.
    Points = 6,
    /// One GUI action on the last image; see mimo_vl_generate_options_set_task for a smaller action space.
    Action = 7,
}

c_enum!("mimo_vl_grammar_kind", GrammarKind { None, JsonSchema, Regex, Lark, Choice, Boxes, Points, Action });

impl GrammarKind {
    fn grammar(self, text: &str) -> Option<Grammar> {
        match self {
            Self::None => None,
            Self::JsonSchema => Some(Grammar::JsonSchema(text.to_owned())),
            Self::Regex => Some(Grammar::Regex(text.to_owned())),
            Self::Lark => Some(Grammar::Lark(text.to_owned())),
            Self::Choice => Some(Grammar::Choice(text.lines().map(str::to_owned).collect())),
            Self::Boxes => Some(Grammar::Boxes),
            Self::Points => Some(Grammar::Points),
            Self::Action => Some(Grammar::Action),
        }
    }
}

/// Sets the grammar of the answer: `kind`, a mimo_vl_grammar_kind, and `len` bytes of UTF-8 at `text`, whose meaning
/// depends on the kind. Default MIMO_VL_GRAMMAR_KIND_NONE. The text is parsed by the functions that generate an answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_grammar(
    options: *mut GenerateOptions,
    kind: i32,
    text: *const c_char,
    len: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `text` points to `len` bytes.
    unsafe {
        try_set(options, error_out, |options| {
            let kind = GrammarKind::from_number(kind, "kind")?;
            options.grammar = kind.grammar(pointer::text(text, len, "text")?);
            Ok(())
        })
    }
}

/// Sets the number of last tokens in which a run repeated three times or more ends the answer with
/// MIMO_VL_STOP_REASON_LOOP: at least 16; 0 is off; default 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_loop_window(
    options: *mut GenerateOptions,
    loop_window: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.loop_window = loop_window) }
}

/// Sets the number of most likely alternatives per token in the answer's logprobs: 0 to 100; 0 gives the logprob of
/// each token alone. SIZE_MAX is off, the default. Logprobs are also the source of every confidence.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_logprobs(
    options: *mut GenerateOptions,
    logprobs: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.logprobs = optional(logprobs)) }
}

/// Sets the time limit of the call in seconds; 0 or less is off, the default. An answer that has begun ends with
/// MIMO_VL_STOP_REASON_TIMEOUT; before that the call fails with MIMO_VL_STATUS_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_timeout(
    options: *mut GenerateOptions,
    seconds: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_timeout(seconds)) }
}

/// Sets the number of answers to generate, of which the one with the highest mean logprob is returned: at least 1;
/// default 1. More than 1 needs a temperature above 0. Streams and batches generate one, and refuse more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_best_of(
    options: *mut GenerateOptions,
    best_of: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.best_of = best_of) }
}

/// Sets the length limit of the thinking in tokens, after which the answer follows: at least 0. SIZE_MAX is off,
/// the default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_thinking_budget(
    options: *mut GenerateOptions,
    thinking_budget: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.thinking_budget = optional(thinking_budget)) }
}

/// Sets whether the thinking stays in the conversation: true or false; default false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_keep_thinking(
    options: *mut GenerateOptions,
    keep_thinking: bool,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.keep_thinking = keep_thinking) }
}

/// Sets whether lists of four numbers are boxes anywhere in the answer, else only where the answer or a fenced block
/// begins with them: true or false; default false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_prose_regions(
    options: *mut GenerateOptions,
    prose_regions: bool,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.prose_regions = prose_regions) }
}

/// Sets the token that cancels the calls with these options; NULL removes it. Default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_cancel(
    options: *mut GenerateOptions,
    token: *const CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_cancel(token)) }
}

/// Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
/// Default none. The stages are MIMO_VL_STAGE_ENCODE and MIMO_VL_STAGE_PREFILL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_set_progress(
    options: *mut GenerateOptions,
    callback: ProgressCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_progress(callback, user_data)) }
}

/// Frees the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_free(options: *mut GenerateOptions) {
    // SAFETY: NULL or options that the caller owns, as the header requires.
    unsafe { free(options) };
}

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::call::LongCall;

    #[test]
    fn defaults_are_those_of_the_core() {
        let options = mimo_vl_generate_options_new();
        // SAFETY: made above, and freed once.
        unsafe {
            for mut options in [GenerateOptions::to_core(options), GenerateOptions::to_core(ptr::null())] {
                assert!(options.call.timeout.is_none() && options.call.progress.is_none());
                let expected = mimo_vl_core::GenerateOptions::default();
                // Each has a token of its own.
                options.call = expected.call.clone();
                assert_eq!(options, expected);
            }
            mimo_vl_generate_options_free(options);
        }
    }

    #[test]
    fn unset_counts_are_none() {
        let options = mimo_vl_generate_options_new();
        // SAFETY: made above, and freed once.
        unsafe {
            for (count, expected) in [(3, Some(3)), (0, Some(0)), (usize::MAX, None)] {
                assert_eq!(mimo_vl_generate_options_set_logprobs(options, count, ptr::null_mut()), Status::Ok);
                assert_eq!((*options).options.logprobs, expected);
            }
            mimo_vl_generate_options_free(options);
        }
    }
}
