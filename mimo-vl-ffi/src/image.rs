//! A picture for a prompt.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mimo_vl_core::Error;

use crate::callback::{ReleaseCallback, UserData};
use crate::error::{ErrorObject, Status};
use crate::{boundary, pointer};

/// A decoded picture. Prompts that it was added to keep what they need of it.
#[derive(Debug)]
pub struct Image(pub(crate) mimo_vl_core::Image);

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
            Ok(Image(mimo_vl_core::Image::open(pointer::path(path, "path")?)?))
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
            Ok(Image(mimo_vl_core::Image::from_bytes(pointer::bytes(data, len, "data")?)?))
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
        mimo_vl_image_from_pixels(PixelFormat::Rgb as i32, width, height, stride, pixels, len, image_out, error_out)
    }
}

/// The order of the bytes of a pixel.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum PixelFormat {
    /// 3 bytes: red, green, blue.
    Rgb = 0,
    /// 3 bytes: blue, green, red.
    Bgr = 1,
    /// 4 bytes: red, green, blue, alpha; the picture is laid on white.
    Rgba = 2,
    /// 4 bytes: blue, green, red, alpha; the picture is laid on white.
    Bgra = 3,
}

/// Copy raw pixels in another order; `format` is one of mimo_vl_pixel_format. Otherwise as mimo_vl_image_from_rgb, with rows of
/// as many bytes as the format has for `width` pixels.
///
/// Errors: as mimo_vl_image_from_rgb, and MIMO_VL_STATUS_OPTION for another format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_pixels(
    format: i32,
    width: u32,
    height: u32,
    stride: usize,
    pixels: *const u8,
    len: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    const RGB: i32 = PixelFormat::Rgb as i32;
    const BGR: i32 = PixelFormat::Bgr as i32;
    const RGBA: i32 = PixelFormat::Rgba as i32;
    const BGRA: i32 = PixelFormat::Bgra as i32;
    // SAFETY: the arguments keep the header's rules, and `pixels` points to `len` bytes.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let pixels = pointer::bytes(pixels, len, "pixels")?;
            Ok(Image(match format {
                RGB => mimo_vl_core::Image::from_rgb(width, height, stride, pixels)?,
                BGR => mimo_vl_core::Image::from_bgr(width, height, stride, pixels)?,
                RGBA => mimo_vl_core::Image::from_rgba(width, height, stride, pixels)?,
                BGRA => mimo_vl_core::Image::from_bgra(width, height, stride, pixels)?,
                other => return Err(pointer::refuse("format", format!("{other} is none of mimo_vl_pixel_format"))),
            }))
        })
    }
}

/// Use raw pixels where they are, without a copy: rows from the top, 3 bytes a pixel, red, green, blue, without padding; `len`,
/// the number of bytes at `pixels`, is 3 * width * height. They must stay as they are until `release` is called with `user_data`,
/// once, when the image and everything that was made with it, prompts and conversations, is gone. Free the image with
/// mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when a side is 0 or too large, or `len` is another number; MIMO_VL_STATUS_OPTION for NULL
/// arguments but `user_data`, and when `len` is 0. `release` is not called then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_lend_rgb(
    width: u32,
    height: u32,
    pixels: *const u8,
    len: usize,
    release: ReleaseCallback,
    user_data: *mut c_void,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `pixels` points to `len` bytes until `release` is called.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let pixels = pointer::bytes(pixels, len, "pixels")?;
            if pixels.is_empty() {
                return Err(pointer::refuse("pixels", "there are none"));
            }
            let release = release.ok_or_else(|| pointer::null("release"))?;
            let kept = Arc::new(AtomicBool::new(false));
            let lent = Lent { pixels, release, data: UserData(user_data), kept: kept.clone() };
            let image = mimo_vl_core::Image::from_rgb_owned(width, height, lent)?;
            kept.store(true, Ordering::Relaxed);
            Ok(Image(image))
        })
    }
}

/// Pixels of the caller.
struct Lent {
    pixels: &'static [u8],
    release: unsafe extern "C" fn(*mut c_void),
    data: UserData,
    /// Whether they were taken: the caller keeps what was refused.
    kept: Arc<AtomicBool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.pixels
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.kept.load(Ordering::Relaxed) {
            // SAFETY: the caller's function, called once, with the caller's data.
            unsafe { (self.release)(self.data.0) }
        }
    }
}

/// The part from `(left, top)` on as a picture of its own; boxes and points stay in pixels of the whole one. Free it with
/// mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE when the part is empty or does not lie in the picture, MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_crop(
    image: *const Image,
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            Ok(Image(pointer::borrow(image, "image")?.0.crop(left, top, width, height)?))
        })
    }
}

/// Write the picture to a PNG file.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be written, MIMO_VL_STATUS_OPTION for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_write_png(
    image: *const Image,
    path: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let png = pointer::borrow(image, "image")?.0.to_png()?;
            let path = pointer::path(path, "path")?;
            std::fs::write(path, png).map_err(|source| Error::Io { path: path.to_owned(), source })
        })
    }
}

/// The pixels: rows from the top, 3 bytes each, red, green, blue, without padding. They live as long as the image, and until its
/// limits are set. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_pixels(image: *const Image) -> *const u8 {
    boundary::infallible(std::ptr::null(), || {
        // SAFETY: NULL or a living image, by the header's rules.
        unsafe { image.as_ref() }.map_or(std::ptr::null(), |image| image.0.pixels().as_ptr())
    })
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
