//! A picture for a prompt.

use std::ffi::c_char;

use crate::error::{ErrorObject, Status};
use crate::{boundary, pointer};

/// A decoded picture. Prompts that it was added to keep what they need of it.
#[derive(Debug)]
pub struct Image(pub(crate) mimo_vl_core::prompt::Image);

/// Open an image file: PNG, JPEG, GIF, WebP, BMP or TIFF. Its EXIF orientation is applied, and transparency is laid on
/// white. Free the image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_IMAGE when it is not an image, is damaged, cut
/// short or too large, MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_path(
    path: *const c_char,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::prompt::Image::open(pointer::path(path, "path")?)?))
        })
    }
}

/// Decode an image file that is in memory, `len` bytes from `data` on; as mimo_vl_image_from_path otherwise.
///
/// Errors: MIMO_VL_STATUS_IMAGE when it is not an image, is damaged, cut short or too large, MIMO_VL_STATUS_OPTION for
/// NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_bytes(
    data: *const u8,
    len: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `data` points to `len` bytes.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::prompt::Image::from_bytes(pointer::bytes(data, len, "data")?)?))
        })
    }
}

/// Copy raw pixels: rows from the top, 3 bytes a pixel, red, green, blue. `stride` is the distance between the starts
/// of two rows in bytes, at least 3 * width. `len` is the number of bytes at `pixels`, at least
/// stride * (height - 1) + 3 * width. Free the image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when a side is 0 or too large, the stride is shorter than a row, or `len` is too small;
/// MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_rgb(
    width: u32,
    height: u32,
    stride: usize,
    pixels: *const u8,
    len: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `pixels` points to `len` bytes.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let pixels = pointer::bytes(pixels, len, "pixels")?;
            Ok(Image(mimo_vl_core::prompt::Image::from_rgb(width, height, stride, pixels)?))
        })
    }
}

/// Enlarge the picture to at least `pixels` pixels before the model sees it. For prompts that it is added to
/// afterwards. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_set_min_pixels(image: *mut Image, pixels: u32) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living image that only this call uses, by the header's rules.
        if let Some(image) = unsafe { image.as_mut() } {
            image.0 = image.0.clone().min_pixels(pixels);
        }
    });
}

/// Shrink the picture to at most `pixels` pixels before the model sees it; 784 pixels cost one token. For prompts that
/// it is added to afterwards. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_set_max_pixels(image: *mut Image, pixels: u32) {
    boundary::infallible((), || {
        // SAFETY: NULL or a living image that only this call uses, by the header's rules.
        if let Some(image) = unsafe { image.as_mut() } {
            image.0 = image.0.clone().max_pixels(pixels);
        }
    });
}

/// Width in pixels, after the orientation was applied; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_width(image: *const Image) -> u32 {
    // SAFETY: NULL or a living image, by the header's rules.
    boundary::infallible(0, || unsafe { image.as_ref() }.map_or(0, |image| image.0.width()))
}

/// Height in pixels, after the orientation was applied; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_height(image: *const Image) -> u32 {
    // SAFETY: NULL or a living image, by the header's rules.
    boundary::infallible(0, || unsafe { image.as_ref() }.map_or(0, |image| image.0.height()))
}

/// Free the image; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_free(image: *mut Image) {
    // SAFETY: NULL or an image that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(image) });
}
