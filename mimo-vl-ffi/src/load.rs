//! Options of loading a model.

use std::ffi::{c_char, c_void};

use crate::c_enum::{CEnum, c_enum};
use crate::call::{Call, long_call, set, set_call, try_set};
use crate::callback::ProgressCallback;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::pointer;
use crate::unwind::{create, free};

/// Options of loading a model. Their values are checked by the functions that load one.
#[derive(Debug)]
pub struct LoadOptions {
    options: mimo_vl_core::LoadOptions,
    call: Call,
}

long_call!(LoadOptions, mimo_vl_core::LoadOptions);

/// Number format of the weights.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum WeightFormat {
    /// As stored in the checkpoint.
    Native = 0,
    /// 32-bit floats.
    F32 = 1,
    /// 16-bit floats of IEEE 754.
    F16 = 2,
    /// bfloat16.
    Bf16 = 3,
    /// Quantized to 8 bits.
    Int8 = 4,
    /// Quantized to 4 bits, the more sensitive weights to 8.
    Int4 = 5,
}

c_enum!("mimo_vl_weight_format", WeightFormat { Native, F32, F16, Bf16, Int8, Int4 } into mimo_vl_core::WeightFormat);

/// Number format of the KV cache.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum KvCacheDtype {
    /// 32-bit floats.
    F32 = 0,
    /// 16-bit floats of IEEE 754.
    F16 = 1,
    /// Quantized to 8 bits.
    Int8 = 2,
}

c_enum!("mimo_vl_kv_cache_dtype", KvCacheDtype { F32, F16, Int8 } into mimo_vl_core::KvCacheDtype);

/// Way in which a prompt tells the model to think or not.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum ThinkingStyle {
    /// ` /no_think` at the end of the prompt: the models of August 2025 (RL-2508, SFT-2508).
    Slash = 0,
    /// `<no_think>` on a line of its own at the end: earlier models.
    Tag = 1,
    /// An empty thinking block at the start of the answer: any model.
    Prefill = 2,
}

c_enum!("mimo_vl_thinking_style", ThinkingStyle { Slash, Tag, Prefill } into mimo_vl_core::ThinkingStyle);

/// Makes options with the default of each. Free them with mimo_vl_load_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_load_options_new() -> *mut LoadOptions {
    create(|| LoadOptions { options: mimo_vl_core::LoadOptions::new(), call: Call::default() })
}

/// Sets the device by name: "cpu", "ndarray" or "cuda:0"; default "cpu".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_device(
    options: *mut LoadOptions,
    device: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.device = pointer::name(device, "device")?.to_owned();
            Ok(())
        })
    }
}

/// Sets the number format of the weights, a mimo_vl_weight_format; default MIMO_VL_WEIGHT_FORMAT_NATIVE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_weights(
    options: *mut LoadOptions,
    weights: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.weights = WeightFormat::from_number(weights, "weights")?.into();
            Ok(())
        })
    }
}

/// Sets the number format of the KV cache, a mimo_vl_kv_cache_dtype. Default: MIMO_VL_KV_CACHE_DTYPE_F16 for weights of
/// 4 or 8 bits, else MIMO_VL_KV_CACHE_DTYPE_F32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_kv_cache_dtype(
    options: *mut LoadOptions,
    kv_cache_dtype: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.kv_cache_dtype = Some(KvCacheDtype::from_number(kv_cache_dtype, "kv_cache_dtype")?.into());
            Ok(())
        })
    }
}

/// Sets the number of CPU threads: 1 to 1,024; default one per physical core.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_threads(
    options: *mut LoadOptions,
    threads: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.threads = Some(threads)) }
}

/// Sets the length limit of a conversation, answers included, in tokens: 1 to the limit of the checkpoint; default the
/// smaller of that limit and 32,768.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_max_context(
    options: *mut LoadOptions,
    max_context: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_context = Some(max_context)) }
}

/// Sets the way in which prompts tell the model to think or not, a mimo_vl_thinking_style; default by the name of the
/// checkpoint's folder.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_thinking_style(
    options: *mut LoadOptions,
    style: i32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.thinking_style = Some(ThinkingStyle::from_number(style, "style")?.into());
            Ok(())
        })
    }
}

/// Sets the size limit in bytes of the cache of image and video features, which all sessions of the model share: 0 is
/// off; default 256 MiB. One token takes 16 KiB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_feature_cache(
    options: *mut LoadOptions,
    bytes: u64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.feature_cache = bytes) }
}

/// Sets the branch, tag or commit of a model hub repository, a NUL-terminated string; default "main".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub_revision(
    options: *mut LoadOptions,
    revision: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.hub.revision = Some(pointer::name(revision, "revision")?.to_owned());
            Ok(())
        })
    }
}

/// Sets the access token of the model hub, a NUL-terminated string; default as in docs/guide/hub.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub_token(
    options: *mut LoadOptions,
    token: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.hub.token = Some(pointer::name(token, "token")?.to_owned());
            Ok(())
        })
    }
}

/// Sets the URL of the model hub, a NUL-terminated string; default as in docs/guide/hub.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub_endpoint(
    options: *mut LoadOptions,
    endpoint: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.hub.endpoint = Some(pointer::name(endpoint, "endpoint")?.to_owned());
            Ok(())
        })
    }
}

/// Sets the folder of downloaded files, a NUL-terminated path; default as in docs/guide/hub.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub_cache_dir(
    options: *mut LoadOptions,
    cache_dir: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.hub.cache = Some(pointer::path(cache_dir, "cache_dir")?.to_owned());
            Ok(())
        })
    }
}

/// Sets whether only files that are in the cache are used, without any request to the model hub; default as in
/// docs/guide/hub.md.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_hub_offline(
    options: *mut LoadOptions,
    offline: bool,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.hub.offline = Some(offline)) }
}

/// Sets the token that cancels the calls with these options; NULL removes it. Default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_cancel(
    options: *mut LoadOptions,
    token: *const CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_cancel(token)) }
}

/// Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
/// fails with MIMO_VL_STATUS_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_timeout(
    options: *mut LoadOptions,
    seconds: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_timeout(seconds)) }
}

/// Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
/// Default none. The stages are MIMO_VL_STAGE_DOWNLOAD and MIMO_VL_STAGE_LOAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_set_progress(
    options: *mut LoadOptions,
    callback: ProgressCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_progress(callback, user_data)) }
}

/// Frees the options. Models loaded with them are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_load_options_free(options: *mut LoadOptions) {
    // SAFETY: NULL or options that the caller owns, as the header requires.
    unsafe { free(options) };
}
