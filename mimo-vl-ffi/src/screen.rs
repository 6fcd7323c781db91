//! From the pixels of a screenshot to a desktop, and a zoom_crop look.

use crate::action::Action;
use crate::error::{ErrorObject, Status};
use crate::image::Image;
use crate::region::write;
use crate::{boundary, pointer};

/// A monitor: where a screenshot of it lies on the desktop. Desktop units are what an operating system places windows and
/// pointers in; one covers `scale` pixels of a monitor.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Screen {
    /// Left edge, in desktop units.
    pub left: f64,
    /// Top edge, in desktop units.
    pub top: f64,
    /// Pixels of its screenshot from left to right.
    pub width: u32,
    /// Pixels of its screenshot from top to bottom.
    pub height: u32,
    /// Pixels for one desktop unit: 1, or 1.25, 1.5, 2 and the like on dense monitors.
    pub scale: f64,
}

impl Screen {
    /// The screen, if it is one: all is finite, no side is 0 and the scale is above 0.
    fn checked(&self) -> Option<mimo_vl_core::gui::Screen> {
        let Self { left, top, width, height, scale } = *self;
        mimo_vl_core::gui::Screen::new([left, top], [width, height], scale).ok()
    }
}

/// Put the point of the desktop, in its units, that is (x, y) in the screenshot, in pixels, into `point_out[0..1]`. False, and
/// nothing is written, for NULL arguments, and for a screen without a finite place, pixels or a scale above 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_to_desktop(screen: *const Screen, x: f64, y: f64, point_out: *mut f64) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a screen, and NULL or a place for two numbers.
        unsafe {
            let screen = screen.as_ref().and_then(Screen::checked);
            write(screen.map(|screen| screen.to_desktop([x, y])), point_out)
        }
    })
}

/// Put the point of the screenshot, in pixels, that is (x, y) on the desktop, in its units, into `point_out[0..1]`. False, and
/// nothing is written, where mimo_vl_screen_to_desktop writes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_to_pixels(screen: *const Screen, x: f64, y: f64, point_out: *mut f64) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or a screen, and NULL or a place for two numbers.
        unsafe {
            let screen = screen.as_ref().and_then(Screen::checked);
            write(screen.map(|screen| screen.to_pixels([x, y])), point_out)
        }
    })
}

/// Which of the `count` monitors at `screens` the point (x, y) of the desktop lies on; `count` where it lies on none, and for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_screen_at(screens: *const Screen, count: usize, x: f64, y: f64) -> usize {
    boundary::infallible(count, || {
        // SAFETY: NULL or `count` screens.
        let screens = unsafe { pointer::list(screens, count, "screens") }.unwrap_or_default();
        let is_there = |screen: &Screen| screen.checked().is_some_and(|screen| screen.contains([x, y]));
        screens.iter().position(is_there).unwrap_or(count)
    })
}

/// The part of a screenshot around (x, y) that is `zoom` times smaller on each side, for a second look at what is small:
/// boxes and points of answers about it stay in pixels of the whole screenshot. At the edges the part is moved inwards. Free it
/// with mimo_vl_image_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments, and when `zoom` is not a finite number from 1 on.
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
        boundary::making(image_out, "image_out", error_out, || {
            Ok(Image(mimo_vl_core::gui::zoom_crop(&pointer::borrow(screenshot, "screenshot")?.0, [x, y], zoom)?))
        })
    }
}

/// A scroll as the drag that does the same on a screen of `width` by `height` pixels; another action as it is. Free it with
/// mimo_vl_action_free.
///
/// Errors: MIMO_VL_STATUS_OPTION for NULL arguments.
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
        boundary::making(action_out, "action_out", error_out, || {
            Ok(Action::new(pointer::borrow(action, "action")?.action.scroll_as_drag(width, height)))
        })
    }
}

/// Whether the point (x, y) lies in the box left, top, right, bottom at `edges`, its edges included: the score of a click. False
/// for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mimo_vl_box_contains(edges: *const f64, x: f64, y: f64) -> bool {
    boundary::infallible(false, || {
        // SAFETY: NULL or four numbers.
        let edges = unsafe { edges.cast::<[f64; 4]>().as_ref() };
        edges.is_some_and(|&edges| mimo_vl_core::score::contains(edges, [x, y]))
    })
}
