//! Pages of PDF files as pictures.

use std::ffi::{c_char, c_void};

use mimo_vl_core::{PdfOptions as CoreOptions, PdfPage, open_pdf_watched};

use crate::callback::ProgressCallback;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::region::write;
use crate::video::watched;
use crate::{boundary, pointer};

/// The pages of a PDF file, as they were asked for.
#[derive(Debug)]
pub struct Pdf(Vec<PdfPage>);

/// Which pages of a PDF file are drawn, and how large.
#[derive(Debug)]
pub struct PdfOptions(CoreOptions);

/// Options with the defaults: all pages, at most 64, at 144 dots per inch. Free them with mimo_vl_pdf_options_free.
#[unsafe(no_mangle)]
pub extern "C" fn mimo_vl_pdf_options_new() -> *mut PdfOptions {
    boundary::infallible(std::ptr::null_mut(), || pointer::own(PdfOptions(CoreOptions::new())))
}

/// Change options that C lends; null is ignored.
///
/// # Safety
/// `options` is null or points to living options that nobody else uses during the call.
unsafe fn change(options: *mut PdfOptions, step: impl FnOnce(CoreOptions) -> CoreOptions) {
    boundary::infallible((), || {
        // SAFETY: passed on to the caller.
        if let Some(options) = unsafe { options.as_mut() } {
            options.0 = step(options.0.clone());
        }
    });
}

/// Draw the pages from `first` to `last` only, both counted from 1; SIZE_MAX for the last one. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_pages(options: *mut PdfOptions, first: usize, last: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.pages(first..=last)) };
}

/// Set the wanted number of pixels per inch. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_dpi(options: *mut PdfOptions, dpi: f32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.dpi(dpi)) };
}

/// Set the most pixels of a page; larger ones get fewer per inch. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_max_pixels(options: *mut PdfOptions, pixels: u32) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.max_pixels(pixels)) };
}

/// Set the most pages; more are an error. NULL options are ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_max_pages(options: *mut PdfOptions, pages: usize) {
    // SAFETY: the argument keeps the header's rules.
    unsafe { change(options, |options| options.max_pages(pages)) };
}

/// Set what opens an encrypted file, a string that ends with a zero byte.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and a password that is not UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_set_password(
    options: *mut PdfOptions,
    password: *const c_char,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::fallible(error_out, || {
            let options = pointer::borrow_mut(options, "options")?;
            options.0 = options.0.clone().password(pointer::name(password, "password")?);
            Ok(())
        })
    }
}

/// Free the options; NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_options_free(options: *mut PdfOptions) {
    // SAFETY: NULL or options that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(options) });
}

/// Draw the pages of a PDF file. `options` may be NULL for the defaults, and `progress`, which is told of pages, for none;
/// `user_data` is for `progress`. Free the pages with mimo_vl_pdf_free.
///
/// Errors: MIMO_VL_STATUS_IO when the file cannot be read, MIMO_VL_STATUS_IMAGE when it is no PDF file, is damaged, or needs
/// another password, MIMO_VL_STATUS_CANCELLED when `progress` says so, MIMO_VL_STATUS_OPTION for options out of their range,
/// pages that the file does not have, and NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_from_path(
    path: *const c_char,
    options: *const PdfOptions,
    progress: ProgressCallback,
    user_data: *mut c_void,
    pdf_out: *mut *mut Pdf,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(pdf_out, "pdf_out", error_out, || {
            let path = pointer::path(path, "path")?;
            let options = options.as_ref().map(|options| options.0.clone()).unwrap_or_default();
            watched(progress, user_data, |watch| open_pdf_watched(path, &options, watch)).map(Pdf)
        })
    }
}

/// Number of pages that were drawn; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_count(pdf: *const Pdf) -> usize {
    // SAFETY: NULL or living pages, by the header's rules.
    boundary::infallible(0, || unsafe { pdf.as_ref() }.map_or(0, |pdf| pdf.0.len()))
}

/// What a page shows; `index` counts from 0 through the pages that were drawn. Free the image with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments and where there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_image(
    pdf: *const Pdf,
    index: usize,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        boundary::making(image_out, "image_out", error_out, || {
            let pages = &pointer::borrow(pdf, "pdf")?.0;
            let none = || pointer::refuse("index", format!("{index}, and there are {} pages", pages.len()));
            Ok(Image(pages.get(index).ok_or_else(none)?.image.clone()))
        })
    }
}

/// The number of a page in its file, from 1 on; 0 for NULL and where there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_number(pdf: *const Pdf, index: usize) -> usize {
    // SAFETY: NULL or living pages, by the header's rules.
    boundary::infallible(0, || unsafe { page(pdf, index) }.map_or(0, |page| page.number))
}

/// Write width and height of a page in points, as shown, to the 2 numbers at `size_out`. False, and nothing is written, for NULL
/// arguments and where there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_size(pdf: *const Pdf, index: usize, size_out: *mut f64) -> bool {
    // SAFETY: NULL or living pages, and NULL or a place for two numbers, by the header's rules.
    boundary::infallible(false, || unsafe { write(page(pdf, index).map(|page| page.size.into()), size_out) })
}

/// Bring a box of a page's picture, the 4 numbers left, top, right, bottom in pixels at `pixels`, into points of the page, and
/// write the smaller x and y and the larger ones to the 4 numbers at `points_out`; y goes upwards there. False, and nothing
/// is written, for NULL arguments and where there is no such page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_page_box_to_points(
    pdf: *const Pdf,
    index: usize,
    pixels: *const f64,
    points_out: *mut f64,
) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or living pages, and NULL or four numbers and a place for them, by the header's rules.
        unsafe {
            let page = page(pdf, index).filter(|_| !pixels.is_null());
            write(page.map(|page| page.box_to_points(pixels.cast::<[f64; 4]>().read_unaligned())), points_out)
        }
    })
}

/// # Safety
/// `pdf` is null or points to living pages.
unsafe fn page<'a>(pdf: *const Pdf, index: usize) -> Option<&'a PdfPage> {
    // SAFETY: passed on to the caller.
    unsafe { pdf.as_ref() }.and_then(|pdf| pdf.0.get(index))
}

/// Free the pages; NULL is ignored. Images that were taken of them stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_pdf_free(pdf: *mut Pdf) {
    // SAFETY: NULL or pages that the caller owns, by the header's rules.
    boundary::infallible((), || unsafe { pointer::free(pdf) });
}
