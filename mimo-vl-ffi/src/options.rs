//! How a model is loaded, and how an answer is generated.

use std::ffi::c_char;

use mimo_vl_core::error::Result;
use mimo_vl_core::sampling::Generate;

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

/// Free the options; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_generate_options_free(options: *mut GenerateOptions) {
    // SAFETY: NULL or options that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(options) });
}
