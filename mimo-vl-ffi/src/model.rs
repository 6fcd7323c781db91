//! A loaded checkpoint.

use std::ffi::{c_char, c_void};
use std::ptr;

use mimo_vl_core::TaskControl;

use crate::callback::ProgressCallback;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::load::LoadOptions;
use crate::text::{EMPTY, Str, Text, put};
use crate::video::watched;
use crate::{boundary, pointer};

/// A loaded checkpoint, from which sessions are started.
pub struct Model {
    pub(crate) model: mimo_vl_core::Model,
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
    unsafe { mimo_vl_model_load_watched(path, options, None, ptr::null_mut(), model_out, error_out) }
}

/// Load a checkpoint as mimo_vl_model_load does, and have `progress` told how far it is, in bytes, with `user_data`; the call ends with
/// MIMO_VL_STATUS_CANCELLED when it says so. `path` may name a GGUF file, and a repository of a model hub where the build has that.
///
/// Errors: as mimo_vl_model_load, MIMO_VL_STATUS_CANCELLED, MIMO_VL_STATUS_HUB.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_load_watched(
    path: *const c_char,
    options: *const LoadOptions,
    progress: ProgressCallback,
    user_data: *mut c_void,
    model_out: *mut *mut Model,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(model_out, "model_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = options.as_ref().map(|options| options.0.clone()).unwrap_or_default();
            let load = |watch: TaskControl<'_>| mimo_vl_core::Model::load_watched(path, &options, watch);
            let model = watched(progress, user_data, load)?;
            let device = Text::new(model.device());
            Ok(Model { model, device })
        })
    }
}

/// What the vision tower made of a picture.
#[derive(Debug)]
pub struct Features(mimo_vl_core::expert::Features);

/// Compute what the vision tower and the projector make of a picture: a row of numbers for each of its tokens. Free it with
/// mimo_vl_features_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when the picture cannot be used, MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_model_features(
    model: *const Model,
    image: *const Image,
    features_out: *mut *mut Features,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(features_out, "features_out", error_out, || {
            let model = &pointer::borrow(model, "model")?.model;
            let image = &pointer::borrow(image, "image")?.0;
            let patches = mimo_vl_core::expert::preprocess_image(image, model.preprocess_config())?;
            Ok(Features(model.engine().encode(&patches, &mimo_vl_core::CancelToken::new())?))
        })
    }
}

/// The numbers, row by row; they live as long as the features. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_data(features: *const Features) -> *const f32 {
    // SAFETY: NULL or living features, by the header's rules.
    boundary::infallible(ptr::null(), || unsafe { features.as_ref() }.map_or(ptr::null(), |f| f.0.values.as_ptr()))
}

/// Number of rows, which is that of tokens; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_rows(features: *const Features) -> usize {
    // SAFETY: NULL or living features, by the header's rules.
    boundary::infallible(0, || unsafe { features.as_ref() }.map_or(0, |f| f.0.values.len() / f.0.width.max(1)))
}

/// Numbers in a row; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_width(features: *const Features) -> usize {
    // SAFETY: NULL or living features, by the header's rules.
    boundary::infallible(0, || unsafe { features.as_ref() }.map_or(0, |f| f.0.width))
}

/// Free the features; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_features_free(features: *mut Features) {
    // SAFETY: NULL or features that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(features) });
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
