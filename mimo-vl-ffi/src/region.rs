//! What an answer locates in a picture.

use std::fmt;

use mimo_vl_core::{Coordinates, Geometry};

use crate::boundary;
use crate::text::{EMPTY, Str, Text, put};

/// A box, or one or several points, with its name.
pub struct Region {
    region: mimo_vl_core::Region,
    label: Option<Text>,
    text: Option<Text>,
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.region.fmt(f)
    }
}

impl Region {
    pub(crate) fn new(region: mimo_vl_core::Region) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(Text::new);
        Self { label: text(&region.label), text: text(&region.text), region }
    }
}

/// The frame in which coordinates are given. In those of pictures the origin is the top left corner and x goes to the right.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Frame {
    /// Pixels of the caller's picture, upright and uncut.
    Pixels = 0,
    /// The same over the picture's size: from 0 to 1.
    Normalized = 1,
    /// Pixels of the picture that the model saw, as it wrote them.
    Model = 2,
    /// Points of the page of a PDF file that the picture shows: y goes upwards, and a box has the smaller values first.
    Page = 3,
}

fn coordinates<const N: usize>(located: &Coordinates<N>, frame: i32) -> Option<[f64; N]> {
    const PIXELS: i32 = Frame::Pixels as i32;
    const NORMALIZED: i32 = Frame::Normalized as i32;
    const MODEL: i32 = Frame::Model as i32;
    const PAGE: i32 = Frame::Page as i32;
    match frame {
        PIXELS => Some(located.pixels),
        NORMALIZED => Some(located.normalized),
        MODEL => Some(located.model),
        PAGE => located.page,
        _ => None,
    }
}

/// The region's name, if it has one; then, unless `label_out` is NULL, it is put into `*label_out`, which lives as long as the
/// region, and an empty text otherwise. False for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_label(region: *const Region, label_out: *mut Str) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for a text, by the header's rules.
    boundary::infallible(false, || unsafe { lend(region.as_ref().and_then(|region| region.label.as_ref()), label_out) })
}

/// The text that is written in the picture there, if the answer has it; otherwise as mimo_vl_region_label.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_text(region: *const Region, text_out: *mut Str) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for a text, by the header's rules.
    boundary::infallible(false, || unsafe { lend(region.as_ref().and_then(|region| region.text.as_ref()), text_out) })
}

/// Lend a text that may not be there; whether it is.
///
/// # Safety
/// `out` is null or valid for a write.
pub(crate) unsafe fn lend(text: Option<&Text>, out: *mut Str) -> bool {
    // SAFETY: passed on to the caller.
    unsafe { put(out, text.map_or(EMPTY, Text::lend)) };
    text.is_some()
}

/// In which picture or video of the conversation the region lies, from 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_image(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, by the header's rules.
    boundary::infallible(0, || unsafe { region.as_ref() }.map_or(0, |region| region.region.image))
}

/// On which page of its PDF file the region lies, from 1; 0 where its picture shows none, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_page(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, by the header's rules.
    boundary::infallible(0, || unsafe { region.as_ref() }.and_then(|region| region.region.page).unwrap_or(0))
}

/// If the region is a box, put its left, top, right and bottom edge into `edges_out[0..3]`; `frame` is one of mimo_vl_frame.
/// False, and nothing is written, for points, for a frame that is not there and for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_box(region: *const Region, frame: i32, edges_out: *mut f64) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living region, by the header's rules.
        let located = unsafe { region.as_ref() }.and_then(|region| region.region.as_box());
        // SAFETY: NULL or a place for four numbers, by the documentation.
        unsafe { write(located.and_then(|located| coordinates(located, frame)), edges_out) }
    })
}

/// How many points the region has; 0 for a box and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_point_count(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, by the header's rules.
    boundary::infallible(0, || unsafe { region.as_ref() }.map_or(0, |region| region.region.points().len()))
}

/// Put x and y of point `index`, counted from 0, into `point_out[0..1]`; `frame` is one of mimo_vl_frame. False, and nothing is
/// written, where there is no such point, for a frame that is not there and for NULL arguments.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_point(
    region: *const Region,
    index: usize,
    frame: i32,
    point_out: *mut f64,
) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living region, by the header's rules.
        let point = unsafe { region.as_ref() }.and_then(|region| region.region.points().get(index));
        // SAFETY: NULL or a place for two numbers, by the documentation.
        unsafe { write(point.and_then(|point| coordinates(point, frame)), point_out) }
    })
}

/// Whether something of the region lay outside the picture and was moved to its edge, or a box had its sides the wrong way
/// round. False for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_clamped(region: *const Region) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a living region, by the header's rules.
        match unsafe { region.as_ref() }.map(|region| &region.region.geometry) {
            Some(Geometry::Box(located)) => located.clamped,
            Some(Geometry::Points(points)) => points.iter().any(|point| point.clamped),
            _ => false,
        }
    })
}

/// How sure the model was of the tokens that wrote the region: the geometric mean of their probabilities, which is not
/// calibrated. NaN unless logprobs were asked for, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_confidence(region: *const Region) -> f32 {
    boundary::infallible(f32::NAN, || {
        // SAFETY: NULL or a living region, by the header's rules.
        unsafe { region.as_ref() }.and_then(|region| region.region.confidence).unwrap_or(f32::NAN)
    })
}

/// Write numbers that may not be there to a place that may be null; whether they were written.
///
/// # Safety
/// `out` is null or valid for `N` writes.
pub(crate) unsafe fn write<const N: usize>(numbers: Option<[f64; N]>, out: *mut f64) -> bool {
    let Some(numbers) = numbers.filter(|_| !out.is_null()) else { return false };
    // SAFETY: not null, and the caller vouches for the room.
    unsafe { out.cast::<[f64; N]>().write_unaligned(numbers) };
    true
}
