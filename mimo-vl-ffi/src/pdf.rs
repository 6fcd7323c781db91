//! Pages of PDF files as images.

use std::ffi::{c_char, c_void};

use mimo_vl_core::{PdfOptions as CoreOptions, PdfPage, open_pdf};

use crate::boundary::create;
use crate::call::{Call, LongCall, long_call, set, set_call, try_set};
use crate::callback::ProgressCallback;
use crate::cancel::CancelToken;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::unwind::{free, read, read_array};
use crate::{pointer, unwind};

/// Rendered pages of a PDF file.
#[derive(Debug)]
pub struct Pdf(Vec<PdfPage>);

/// Options of rendering a PDF file: which pages, and their size. Their values are checked by mimo_vl_pdf_from_path.
#[derive(Debug)]
pub struct PdfOptions {
    options: CoreOptions,
    call: Call,
}

long_call!(PdfOptions, CoreOptions);

/// Makes options with the default of each: all pages, at most 64, at 144 dots per inch. Free them with
/// mimo_vl_pdf_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_pdf_options_new() -> *mut PdfOptions {
    unwind::create(|| PdfOptions { options: CoreOptions::new(), call: Call::default() })
}

/// Sets the pages to render, `first` to `last`, counted from 1; SIZE_MAX is the last page of the file. Default: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_pages(
    options: *mut PdfOptions,
    first: usize,
    last: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.pages = Some(first..=last)) }
}

/// Sets the resolution in pixels per inch; default 144.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_dpi(
    options: *mut PdfOptions,
    dpi: f32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.dpi = dpi) }
}

/// Sets the largest number of pixels of a page; a larger page is rendered at a lower resolution.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_max_pixels(
    options: *mut PdfOptions,
    max_pixels: u32,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_pixels = max_pixels) }
}

/// Sets the largest number of pages, beyond which rendering fails; default 64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_max_pages(
    options: *mut PdfOptions,
    max_pages: usize,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set(options, error_out, |options| options.max_pages = max_pages) }
}

/// Sets the password of an encrypted file, a NUL-terminated string; default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_password(
    options: *mut PdfOptions,
    password: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        try_set(options, error_out, |options| {
            options.password = Some(pointer::name(password, "password")?.to_owned());
            Ok(())
        })
    }
}

/// Sets the token that cancels the calls with these options; NULL removes it. Default none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_cancel(
    options: *mut PdfOptions,
    token: *const CancelToken,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_cancel(token)) }
}

/// Sets the time limit of a call with these options in seconds; 0 or less is off, the default. A call that takes longer
/// fails with MIMO_VL_STATUS_TIMEOUT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_timeout(
    options: *mut PdfOptions,
    seconds: f64,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_timeout(seconds)) }
}

/// Sets the function that receives the progress of the calls with these options, and its `user_data`; NULL removes it.
/// Default none. The stage is MIMO_VL_STAGE_DECODE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_progress(
    options: *mut PdfOptions,
    callback: ProgressCallback,
    user_data: *mut c_void,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe { set_call(options, error_out, |call| call.set_progress(callback, user_data)) }
}

/// Frees the options.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_free(options: *mut PdfOptions) {
    // SAFETY: NULL or options that the caller owns, as the header requires.
    unsafe { free(options) };
}

/// Renders pages of a PDF file. `options` may be NULL for the defaults. Free the pages with mimo_vl_pdf_free.
///
/// Errors: MIMO_VL_STATUS_IO if the file cannot be read; MIMO_VL_STATUS_IMAGE if it is not a PDF file, damaged, or
/// needs another password; MIMO_VL_STATUS_CANCELLED; MIMO_VL_STATUS_TIMEOUT; MIMO_VL_STATUS_OPTION for options out of
/// range and pages that the file does not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_from_path(
    path: *const c_char,
    options: *const PdfOptions,
    pdf_out: *mut *mut Pdf,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(pdf_out, "pdf_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = PdfOptions::to_core(options);
            open_pdf(path, &options).map(Pdf)
        })
    }
}

/// Returns the number of rendered pages.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_count(pdf: *const Pdf) -> usize {
    // SAFETY: NULL or living pages, as the header requires.
    unsafe { read(pdf, 0, |pdf| pdf.0.len()) }
}

/// Makes an image of rendered page `index`, counted from 0. Free it with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION if there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_image(
    pdf: *const Pdf,
    index: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(image_out, "image_out", error_out, || {
            let pages = &pointer::borrow(pdf, "pdf")?.0;
            let missing = || pointer::refuse("index", format!("{index}, and there are {} pages", pages.len()));
            Ok(Image(pages.get(index).ok_or_else(missing)?.image.clone()))
        })
    }
}

/// Returns the number in the file, counted from 1, of rendered page `index`; 0 if there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_number(pdf: *const Pdf, index: usize) -> usize {
    // SAFETY: NULL or living pages, as the header requires.
    unsafe { read(pdf, 0, |pdf| pdf.0.get(index).map_or(0, |page| page.number)) }
}

/// Writes width and height of rendered page `index`, in points, to `size_out[0..1]`. Returns false, and writes nothing,
/// if there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_size(pdf: *const Pdf, index: usize, size_out: *mut f64) -> bool {
    // SAFETY: NULL or living pages, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(pdf, size_out, |pdf| pdf.0.get(index).map(|page| page.size.into())) }
}

/// Converts a box on the image of rendered page `index`, left, top, right and bottom in pixels at `pixels[0..3]`, to
/// points of the page: smaller x, smaller y, larger x and larger y at `points_out[0..3]`, with y upwards. Returns
/// false, and writes nothing, if there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_box_to_points(
    pdf: *const Pdf,
    index: usize,
    pixels: *const f64,
    points_out: *mut f64,
) -> bool {
    // SAFETY: NULL or living pages, and NULL or four numbers and a place for them, as the header requires.
    unsafe {
        let edges = (!pixels.is_null()).then(|| pixels.cast::<[f64; 4]>().read_unaligned());
        read_array(pdf, points_out, |pdf| Some(pdf.0.get(index)?.box_to_points(edges?)))
    }
}

/// Frees the pages. Images made of them are not affected.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_free(pdf: *mut Pdf) {
    // SAFETY: NULL or pages that the caller owns, as the header requires.
    unsafe { free(pdf) };
}
