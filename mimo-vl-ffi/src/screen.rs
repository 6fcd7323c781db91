//! Coordinates of screenshots and desktops, and zoomed crops.

use crate::action::Action;
use crate::boundary::create;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::pointer;
use crate::unwind::{infallible, read, read_array};

/// Monitor: the position of its screenshot on the desktop. Desktop units are those in which an operating system
/// positions windows and pointers; one of them covers `scale` pixels of the monitor.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Screen {
    /// Left edge in desktop units.
    pub left: f64,
    /// Top edge in desktop units.
    pub top: f64,
    /// Width of the screenshot in pixels.
    pub width: u32,
    /// Height of the screenshot in pixels.
    pub height: u32,
    /// Pixels per desktop unit: 1, or 1.25, 1.5, 2 and the like on high-density monitors.
    pub scale: f64,
}

impl Screen {
    /// The core's screen; `None` unless all is finite, no side is 0 and the scale is above 0.
    fn checked(&self) -> Option<mimo_vl_core::gui::Screen> {
        let Self { left, top, width, height, scale } = *self;
        mimo_vl_core::gui::Screen::new([left, top], [width, height], scale).ok()
    }
}

/// Converts a point of a screenshot in pixels to the desktop, and writes x and y in desktop units to `point_out[0..1]`.
/// Returns false, and writes nothing, for a screen that is not finite, or has a side or scale of 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_to_desktop(screen: *const Screen, x: f64, y: f64, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a screen, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(screen, point_out, |screen| Some(screen.checked()?.to_desktop([x, y]))) }
}

/// Converts a point of the desktop to a screenshot, and writes x and y in pixels to `point_out[0..1]`; otherwise like
/// mimo_vl_screen_to_desktop.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_to_pixels(screen: *const Screen, x: f64, y: f64, point_out: *mut f64) -> bool {
    // SAFETY: NULL or a screen, and NULL or a place for two numbers, as the header requires.
    unsafe { read_array(screen, point_out, |screen| Some(screen.checked()?.to_pixels([x, y]))) }
}

/// Returns the index of the screen, of the `count` at `screens`, that contains the point (x, y) of the desktop; `count`
/// if none does, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_at(screens: *const Screen, count: usize, x: f64, y: f64) -> usize {
    infallible(count, || {
        // SAFETY: NULL or `count` screens, as the header requires.
        let screens = unsafe { pointer::list(screens, count, "screens") }.unwrap_or_default();
        let contains = |screen: &Screen| screen.checked().is_some_and(|screen| screen.contains([x, y]));
        screens.iter().position(contains).unwrap_or(count)
    })
}

/// Crops a screenshot around (x, y) to a part that is `zoom` times smaller on each side, for a second prompt about
/// small elements. Near an edge the part is moved inwards. Boxes and points of answers stay in pixels of the uncropped
/// screenshot. Free the crop with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION if `zoom` is not finite or below 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_image_zoom_crop(
    screenshot: *const Image,
    x: f64,
    y: f64,
    zoom: f64,
    image_out: *mut *mut Image,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::gui::zoom_crop(&pointer::borrow(screenshot, "screenshot")?.0, [x, y], zoom)?))
        })
    }
}

/// Converts a scroll to the drag with the same effect on a screen of `width` by `height` pixels; another action is
/// copied. Free it with mimo_vl_action_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_action_scroll_as_drag(
    action: *const Action,
    width: f64,
    height: f64,
    action_out: *mut *mut Action,
    error_out: *mut *mut ErrorObject,
) -> Status {
    // SAFETY: the arguments keep the header's rules.
    unsafe {
        create(action_out, "action_out", error_out, || {
            Ok(Action::new(pointer::borrow(action, "action")?.action.scroll_as_drag(width, height)))
        })
    }
}

/// Returns true if the point (x, y) lies in the box with left, top, right and bottom at `edges[0..3]`, edges included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_box_contains(edges: *const f64, x: f64, y: f64) -> bool {
    // SAFETY: NULL or four numbers, as the header requires.
    unsafe { read(edges.cast(), false, |edges: &[f64; 4]| mimo_vl_core::score::contains(*edges, [x, y])) }
}
