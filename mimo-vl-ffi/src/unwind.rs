//! Work that cannot fail, and never unwinds into C.

use std::ptr;

use mimo_vl_core::expert::contain;

use crate::pointer;

/// Does work that cannot fail. Returns `otherwise` if it panics nevertheless.
pub(crate) fn infallible<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    contain(work).unwrap_or(otherwise)
}

/// Makes an object that C owns; null if making it panics.
pub(crate) fn create<T>(make: impl FnOnce() -> T) -> *mut T {
    infallible(ptr::null_mut(), || pointer::own(make()))
}

/// Reads a value of an object that C lends. Returns `otherwise` for null.
///
/// # Safety
/// `object` is null or points to a living value that nobody changes during the call.
pub(crate) unsafe fn read<T, R>(object: *const T, otherwise: R, work: impl FnOnce(&T) -> R) -> R {
    // SAFETY: passed on to the caller.
    infallible(None, || unsafe { object.as_ref() }.map(work)).unwrap_or(otherwise)
}

/// Reads numbers of an object that C lends into the `N` places at `out`, which is skipped if it is null. Returns false,
/// and writes nothing, if there are none or the object is null.
///
/// # Safety
/// As for [`read`]; `out` is null or valid for `N` writes.
pub(crate) unsafe fn read_array<T, U: Copy, const N: usize>(
    object: *const T,
    out: *mut U,
    work: impl FnOnce(&T) -> Option<[U; N]>,
) -> bool {
    // SAFETY: passed on to the caller.
    let Some(numbers) = (unsafe { read(object, None, work) }) else { return false };
    if !out.is_null() {
        // SAFETY: not null, and the caller vouches for the room.
        unsafe { out.cast::<[U; N]>().write_unaligned(numbers) };
    }
    true
}

/// Frees an object that [`pointer::own`] made; null is ignored.
///
/// # Safety
/// As for [`pointer::free`].
pub(crate) unsafe fn free<T>(object: *mut T) {
    // SAFETY: passed on to the caller.
    infallible((), || unsafe { pointer::free(object) });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_infallible_work_returns_the_other_value() {
        assert_eq!(infallible(3, || panic!("never seen by C")), 3);
        assert!(create::<u8>(|| panic!("never seen by C")).is_null());
    }

    #[test]
    fn null_objects_read_as_the_other_value() {
        let mut out = [7.0; 2];
        // SAFETY: null is allowed, and `out` has two places.
        unsafe {
            assert_eq!(read(ptr::null::<u8>(), 3, |_| 4), 3);
            assert!(!read_array(ptr::null::<u8>(), out.as_mut_ptr(), |_| Some([1.0, 2.0])));
            assert!(read_array(&1_u8, ptr::null_mut(), |_| Some([1.0, 2.0])));
            assert!(!read_array(&1_u8, out.as_mut_ptr(), |_| None::<[f64; 2]>));
            assert!(out == [7.0; 2] && read_array(&1_u8, out.as_mut_ptr(), |_| Some([1.0, 2.0])));
        }
        assert_eq!(out, [1.0, 2.0]);
    }
}
