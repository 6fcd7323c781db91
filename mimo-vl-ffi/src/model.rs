//! Loaded checkpoints.

use std::ffi::c_char;
use std::ptr;

use mimo_vl_core::expert::TaskControl;

use crate::boundary::create;
use crate::call::LongCall;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::load::LoadOptions;
use crate::pointer;
use crate::text::{Str, Text, read_text};
use crate::unwind::{free, read};

/// Loaded checkpoint, from which sessions and batches are made.
pub struct Model {
    pub(crate) model: mimo_vl_core::Model,
    device: Text,
}

/// Loads the checkpoint at `path`: a folder with the hub's layout (config.json, safetensors, tokenizer.json, ...), a
/// GGUF file, or the id of a model hub repository. `options` may be NULL for the defaults. Free the model with
/// mimo_vl_model_free.
///
/// Errors: MIMO_VL_STATUS_IO, MIMO_VL_STATUS_CHECKPOINT and MIMO_VL_STATUS_TENSOR for the files; MIMO_VL_STATUS_HUB for
/// a download; MIMO_VL_STATUS_DEVICE for the device; MIMO_VL_STATUS_MEMORY if the weights do not fit;
/// MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of range.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_load(
    path: *const c_char,
    options: *const LoadOptions,
    model_out: *mut *mut Model,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(model_out, "model_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let model = mimo_vl_core::Model::load(path, &LoadOptions::to_core(options))?;
            let device = Text::new(model.device());
            Ok(Model { model, device })
        })
    }
}

/// Writes the name of the model's device, such as "cpu", to `*device_out`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_device(model: *const Model, device_out: *mut Str) {
    // SAFETY: NULL or a living model, and NULL or a place for a text, as the header requires.
    unsafe { read_text(model, device_out, |model| Some(&model.device)) };
}

/// Frees the model. Its memory is freed with the last session or batch that uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_free(model: *mut Model) {
    // SAFETY: NULL or a model that the caller owns, as the header requires.
    unsafe { free(model) };
}

/// Image features: the output of the vision tower and the projector, one row of floats per token.
#[derive(Debug)]
pub struct Features(mimo_vl_core::expert::Features);

/// Computes the features of an image. Free them with mimo_vl_features_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if the image cannot be resized to what the model accepts.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_features(
    model: *const Model,
    image: *const Image,
    features_out: *mut *mut Features,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(features_out, "features_out", error_out, || {
            let model = &pointer::borrow(model, "model")?.model;
            let image = &pointer::borrow(image, "image")?.0;
            let patches = mimo_vl_core::expert::preprocess_image(image, model.preprocess_config())?;
            Ok(Features(model.engine().encode(&patches, &TaskControl::default())?))
        })
    }
}

/// Returns the rows * width floats, row by row; they are valid as long as the features.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_data(features: *const Features) -> *const f32 {
    // SAFETY: NULL or living features, as the header requires.
    unsafe { read(features, ptr::null(), |features| features.0.values.as_ptr()) }
}

/// Returns the number of rows, one per token.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_rows(features: *const Features) -> usize {
    // SAFETY: NULL or living features, as the header requires.
    unsafe { read(features, 0, |features| features.0.values.len() / features.0.width.max(1)) }
}

/// Returns the number of floats in a row.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_width(features: *const Features) -> usize {
    // SAFETY: NULL or living features, as the header requires.
    unsafe { read(features, 0, |features| features.0.width) }
}

/// Frees the features.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_free(features: *mut Features) {
    // SAFETY: NULL or features that the caller owns, as the header requires.
    unsafe { free(features) };
}
