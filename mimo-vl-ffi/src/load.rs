//! How a model is loaded.

use std::ffi::c_char;

use mimo_vl_core::{HubOptions, Result};

use crate::error::{ErrorObject, Status};
use crate::{boundary, pointer};

/// How a model is loaded.
#[derive(Debug)]
pub struct LoadOptions(pub(crate) mimo_vl_core::LoadOptions);

/// The type in which weights are kept.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum WeightFormat {
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

fn weights_format(weights: i32) -> Result<mimo_vl_core::WeightFormat> {
    const NATIVE: i32 = WeightFormat::Native as i32;
    const F32: i32 = WeightFormat::F32 as i32;
    const F16: i32 = WeightFormat::F16 as i32;
    const BF16: i32 = WeightFormat::Bf16 as i32;
    const INT8: i32 = WeightFormat::Int8 as i32;
    const INT4: i32 = WeightFormat::Int4 as i32;
    match weights {
        NATIVE => Ok(mimo_vl_core::WeightFormat::Native),
        F32 => Ok(mimo_vl_core::WeightFormat::F32),
        F16 => Ok(mimo_vl_core::WeightFormat::F16),
        BF16 => Ok(mimo_vl_core::WeightFormat::Bf16),
        INT8 => Ok(mimo_vl_core::WeightFormat::Int8),
        INT4 => Ok(mimo_vl_core::WeightFormat::Int4),
        other => Err(pointer::refuse("weights", format!("{other} is none of mimo_vl_weight_format"))),
    }
}

/// The type in which keys and values of earlier tokens are kept.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum KvCacheDtype {
    /// 32-bit floats.
    F32 = 0,
    /// 16-bit floats of IEEE 754.
    F16 = 1,
    /// Eight bits.
    Int8 = 2,
}

fn kv_cache_format(kind: i32) -> Result<mimo_vl_core::KvCacheDtype> {
    const F32: i32 = KvCacheDtype::F32 as i32;
    const F16: i32 = KvCacheDtype::F16 as i32;
    const INT8: i32 = KvCacheDtype::Int8 as i32;
    match kind {
        F32 => Ok(mimo_vl_core::KvCacheDtype::F32),
        F16 => Ok(mimo_vl_core::KvCacheDtype::F16),
        INT8 => Ok(mimo_vl_core::KvCacheDtype::Int8),
        other => Err(pointer::refuse("kv_cache_dtype", format!("{other} is none of mimo_vl_kv_cache_dtype"))),
    }
}

/// Options with the defaults: the CPU, weights as the checkpoint has them. Free them with mimo_vl_load_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_load_options_new() -> *mut LoadOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(LoadOptions(mimo_vl_core::LoadOptions::new())))
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

/// Set the type in which weights are kept; `weights` is one of mimo_vl_weight_format.
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

/// Set the type in which keys and values of earlier tokens are kept; `kv_cache_dtype` is one of mimo_vl_kv_cache_dtype. Without it:
/// 16-bit floats for weights of four or eight bits, else 32-bit floats.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL options and for another number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_kv_cache_dtype(
    options: *mut LoadOptions,
    kv_cache_dtype: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0 = options.0.clone().kv_cache_dtype(kv_cache_format(kv_cache_dtype)?);
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
