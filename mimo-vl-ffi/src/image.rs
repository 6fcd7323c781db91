//! Images for prompts.

use std::ffi::{c_char, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mimo_vl_core::Error;

use crate::boundary::{change, create, fallible};
use crate::c_enum::{CEnum, c_enum};
use crate::callback::{ReleaseCallback, UserData};
use crate::error::{ErrorObject, Status};
use crate::pointer;
use crate::unwind::{free, read};

/// Decoded image. A prompt that it is added to keeps what it needs of it.
#[derive(Debug)]
pub struct Image(pub(crate) mimo_vl_core::Image);

/// Opens an image file: PNG, JPEG, GIF, WebP, BMP or TIFF. The EXIF orientation is applied, and transparent pixels are
/// blended with white. Free the image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not an image, damaged, truncated
/// or too large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_path(
    path: *const c_char,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::Image::open(pointer::path(path, "path")?)?))
        })
    }
}

/// Decodes an image file in memory, `len` bytes at `data`; otherwise like mimo_vl_image_from_path.
///
/// Errors: MIMO_VL_STATUS_IMAGE if it is not an image, damaged, truncated or too large.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_bytes(
    data: *const u8,
    len: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules, and `data` points to `len` bytes.
    unsafe {
        create(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::Image::from_bytes(pointer::bytes(data, len, "data")?)?))
        })
    }
}

/// Copies RGB pixels: rows from the top, 3 bytes per pixel. `stride` is the distance between the starts of two rows in
/// bytes, at least 3 * width; `len` is the number of bytes at `pixels`, at least stride * (height - 1) + 3 * width.
/// Free the image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if a side is 0 or too large, or if `stride` or `len` is too small.
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

/// Byte order of a pixel.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum PixelFormat {
    /// 3 bytes: red, green, blue.
    Rgb = 0,
    /// 3 bytes: blue, green, red.
    Bgr = 1,
    /// 4 bytes: red, green, blue, alpha; blended with white.
    Rgba = 2,
    /// 4 bytes: blue, green, red, alpha; blended with white.
    Bgra = 3,
}

c_enum!("mimo_vl_pixel_format", PixelFormat { Rgb, Bgr, Rgba, Bgra });

/// Copies pixels of `format`, a mimo_vl_pixel_format; otherwise like mimo_vl_image_from_rgb, with the format's number
/// of bytes per pixel.
///
/// Errors: those of mimo_vl_image_from_rgb.
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
    // SAFETY: the arguments keep the header's rules, and `pixels` points to `len` bytes.
    unsafe {
        create(image_out, "image_out", error_out, || {
            let pixels = pointer::bytes(pixels, len, "pixels")?;
            let from_pixels = match PixelFormat::from_number(format, "format")? {
                PixelFormat::Rgb => mimo_vl_core::Image::from_rgb,
                PixelFormat::Bgr => mimo_vl_core::Image::from_bgr,
                PixelFormat::Rgba => mimo_vl_core::Image::from_rgba,
                PixelFormat::Bgra => mimo_vl_core::Image::from_bgra,
            };
            Ok(Image(from_pixels(width, height, stride, pixels)?))
        })
    }
}

/// Makes an image of RGB pixels without copying them: rows from the top, 3 bytes per pixel, no padding; `len` is 3 *
/// width * height. The memory at `pixels` must not change until `release` is called with `user_data`, once, when the
/// image and all prompts and sessions that use it are gone. If this function fails, `release` is not called. Free the
/// image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if a side is 0 or too large, or `len` does not fit; MIMO_VL_STATUS_OPTION if `len` is
/// 0. `user_data` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_from_borrowed_rgb(
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
        create(image_out, "image_out", error_out, || {
            let pixels = pointer::bytes(pixels, len, "pixels")?;
            if pixels.is_empty() {
                return Err(pointer::refuse("pixels", "there are none"));
            }
            let release = release.ok_or_else(|| pointer::null("release"))?;
            let accepted = Arc::new(AtomicBool::new(false));
            let borrowed =
                BorrowedPixels { pixels, release, user_data: UserData(user_data), accepted: accepted.clone() };
            let image = mimo_vl_core::Image::keep_rgb(width, height, borrowed)?;
            accepted.store(true, Ordering::Relaxed);
            Ok(Image(image))
        })
    }
}

/// Pixels in memory of the caller.
struct BorrowedPixels {
    pixels: &'static [u8],
    release: unsafe extern "C" fn(*mut c_void),
    user_data: UserData,
    /// True once the image exists; until then the caller keeps the memory.
    accepted: Arc<AtomicBool>,
}

impl AsRef<[u8]> for BorrowedPixels {
    fn as_ref(&self) -> &[u8] {
        self.pixels
    }
}

impl Drop for BorrowedPixels {
    fn drop(&mut self) {
        if self.accepted.load(Ordering::Relaxed) {
            // SAFETY: the caller's function, called once, with the caller's data.
            unsafe { (self.release)(self.user_data.0) }
        }
    }
}

/// Crops an image to the rectangle at `(left, top)`. Boxes and points of answers stay in pixels of the uncropped image.
/// Free the crop with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_IMAGE if the rectangle is empty or not inside the image.
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
        create(image_out, "image_out", error_out, || {
            Ok(Image(pointer::borrow(image, "image")?.0.crop(left, top, width, height)?))
        })
    }
}

/// Writes the image to a PNG file.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_write_png(
    image: *const Image,
    path: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        fallible(error_out, || {
            let png = pointer::borrow(image, "image")?.0.to_png()?;
            let path = pointer::path(path, "path")?;
            std::fs::write(path, png).map_err(|source| Error::Io { path: path.to_owned(), source })
        })
    }
}

/// Returns the RGB pixels: rows from the top, 3 bytes per pixel, no padding. They are valid as long as the image, and
/// until one of its limits is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_pixels(image: *const Image) -> *const u8 {
    // SAFETY: NULL or a living image, as the header requires.
    unsafe { read(image, ptr::null(), |image| image.0.pixels().as_ptr()) }
}

/// Sets the number of pixels that the image is enlarged to, if it has fewer, for prompts that it is added to later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_set_min_pixels(
    image: *mut Image,
    min_pixels: u32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(image, "image", error_out, |image| {
            image.0 = image.0.clone().min_pixels(min_pixels);
            Ok(())
        })
    }
}

/// Sets the number of pixels that the image is reduced to, if it has more, for prompts that it is added to later. One
/// token takes 784 pixels.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_set_max_pixels(
    image: *mut Image,
    max_pixels: u32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        change(image, "image", error_out, |image| {
            image.0 = image.0.clone().max_pixels(max_pixels);
            Ok(())
        })
    }
}

/// Returns the width in pixels, with the orientation applied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_width(image: *const Image) -> u32 {
    // SAFETY: NULL or a living image, as the header requires.
    unsafe { read(image, 0, |image| image.0.width()) }
}

/// Returns the height in pixels, with the orientation applied.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_height(image: *const Image) -> u32 {
    // SAFETY: NULL or a living image, as the header requires.
    unsafe { read(image, 0, |image| image.0.height()) }
}

/// Frees the image.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_free(image: *mut Image) {
    // SAFETY: NULL or an image that the caller owns, as the header requires.
    unsafe { free(image) };
}
