//! A slice that several threads write in disjoint parts.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice from which threads borrow parts that do not overlap.
pub(super) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: threads access only parts of the slice, which do not overlap by the contract of `part`.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Pointer to the first element. Writes through it are bound by the contract of [`part`](Self::part).
    pub(super) fn start(&self) -> *mut T {
        self.start
    }

    /// Borrows a part of the slice.
    ///
    /// # Safety
    /// No other part in use may overlap this one.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "part {range:?} of {}", self.len);
        // SAFETY: the range is in bounds, and the caller guarantees that nothing else uses it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
