//! Boxes and points that an answer locates in an image.

use std::fmt;

use mimo_vl_core::{Coordinates, Geometry};

use crate::c_enum::{CEnum, c_enum};
use crate::text::{Str, Text, read_text};
use crate::unwind::{read, read_array};

/// Box or points in an image, with a label.
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

/// Coordinate frame of boxes and points. The origin of an image is its top left corner, with x to the right and y down.
#[derive(Debug, Clone, Copy)]
#[repr(i32)]
pub enum Frame {
    /// Pixels of the caller's image, with the orientation applied and uncropped.
    Pixels = 0,
    /// Pixels divided by the size of the image: 0 to 1.
    Normalized = 1,
    /// Pixels of the resized image that the model sees, as the answer has them.
    Model = 2,
    /// Points of the PDF page that the image shows, with y upwards; a box has the smaller values first.
    Page = 3,
}

c_enum!("mimo_vl_frame", Frame { Pixels, Normalized, Model, Page });

fn in_frame<const N: usize>(coordinates: &Coordinates<N>, frame: i32) -> Option<[f64; N]> {
    match Frame::from_number(frame, "frame").ok()? {
        Frame::Pixels => Some(coordinates.pixels),
        Frame::Normalized => Some(coordinates.normalized),
        Frame::Model => Some(coordinates.model),
        Frame::Page => coordinates.page,
    }
}

/// Writes the label to `*label_out`. Returns false, and writes an empty text, if the region has none. The text is valid
/// as long as the region.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_label(region: *const Region, label_out: *mut Str) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for a text, as the header requires.
    unsafe { read_text(region, label_out, |region| region.label.as_ref()) }
}

/// Writes the text that the answer read in the region to `*text_out`. Returns false, and writes an empty text, if there
/// is none. The text is valid as long as the region.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_text(region: *const Region, text_out: *mut Str) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for a text, as the header requires.
    unsafe { read_text(region, text_out, |region| region.text.as_ref()) }
}

/// Returns the index of the region's image or video among those of the conversation, counted from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_image(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, as the header requires.
    unsafe { read(region, 0, |region| region.region.image) }
}

/// Returns the number of the region's page in its PDF file, counted from 1; 0 if its image is not a PDF page.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_page(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, as the header requires.
    unsafe { read(region, 0, |region| region.region.page.unwrap_or(0)) }
}

/// Writes left, top, right and bottom of a box to `edges_out[0..3]`; `frame` is a mimo_vl_frame. Returns false, and
/// writes nothing, if the region is not a box or lacks the frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_box(region: *const Region, frame: i32, edges_out: *mut f64) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for four numbers, as the header requires.
    unsafe { read_array(region, edges_out, |region| in_frame(region.region.as_box()?, frame)) }
}

/// Returns the number of points; 0 for a box.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_point_count(region: *const Region) -> usize {
    // SAFETY: NULL or a living region, as the header requires.
    unsafe { read(region, 0, |region| region.region.points().len()) }
}

/// Writes x and y of point `index`, counted from 0, to `point_out[0..1]`; `frame` is a mimo_vl_frame. Returns false,
/// and writes nothing, if there is no such point or the region lacks the frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_point(
    region: *const Region,
    index: usize,
    frame: i32,
    point_out: *mut f64,
) -> bool {
    // SAFETY: NULL or a living region, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(region, point_out, |region| in_frame(region.region.points().get(index)?, frame)) }
}

/// Returns true if the answer's coordinates were corrected: moved to the edge of the image, or sides of a box swapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_clamped(region: *const Region) -> bool {
    // SAFETY: NULL or a living region, as the header requires.
    unsafe {
        read(region, false, |region| match &region.region.geometry {
            Geometry::Box(coordinates) => coordinates.clamped,
            Geometry::Points(points) => points.iter().any(|point| point.clamped),
            _ => false,
        })
    }
}

/// Returns the confidence, 0 to 1: the geometric mean of the probabilities of the region's tokens, which is not
/// calibrated. NaN without mimo_vl_generate_options_set_logprobs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_region_confidence(region: *const Region) -> f32 {
    // SAFETY: NULL or a living region, as the header requires.
    unsafe { read(region, f32::NAN, |region| region.region.confidence.unwrap_or(f32::NAN)) }
}
