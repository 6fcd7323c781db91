//! A loaded checkpoint.

use std::ffi::c_char;

use crate::error::{ErrorObject, Status};
use crate::options::LoadOptions;
use crate::text::{EMPTY, Str, Text, put};
use crate::{boundary, pointer};

/// A loaded checkpoint, from which sessions are started.
pub struct Model {
    pub(crate) model: mimo_vl_core::session::Model,
    device: Text,
}

/// Load the checkpoint in the folder `path` (the layout of the hub: config.json, safetensors, tokenizer.json, ...).
///
/// `options` may be NULL for the defaults. The model is freed with mimo_vl_model_free; sessions made from it keep what
/// they need of it.
///
/// Errors: MIMO_VL_STATUS_IO, MIMO_VL_STATUS_CHECKPOINT and MIMO_VL_STATUS_TENSOR for the folder and its files,
/// MIMO_VL_STATUS_DEVICE for the device, MIMO_VL_STATUS_OPTION for other options and NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_load(
    path: *const c_char,
    options: *const LoadOptions,
    model_out: *mut *mut Model,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(model_out, "model_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = options.as_ref().map(|options| options.0.clone()).unwrap_or_default();
            let model = mimo_vl_core::session::Model::load(path, &options)?;
            let device = Text::new(model.device());
            Ok(Model { model, device })
        })
    }
}

/// Put the name of the model's device, as in "cpu", into `*device_out`. It lives as long as the model. Empty for a NULL
/// model; nothing happens when `device_out` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_device(model: *const Model, device_out: *mut Str) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living model, and NULL or a place for a text, by the header's rules.
        unsafe { put(device_out, model.as_ref().map_or(EMPTY, |model| model.device.lend())) }
    });
}

/// Free the model; NULL is ignored. Its memory goes with the last session made from it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_free(model: *mut Model) {
    // SAFETY: NULL or a model that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(model) });
}
