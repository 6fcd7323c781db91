//! One slice that several threads write, each in parts of its own.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice of which threads take parts that do not overlap.
pub(super) struct Disjoint<'a, T> {
    start: *mut T,
    len: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: threads get parts of the slice only, which do not overlap by the contract of `part`.
#[allow(unsafe_code)]
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), slice: PhantomData }
    }

    /// Where the slice starts; what is written through it is bound by the contract of [`part`](Self::part).
    pub(super) fn start(&self) -> *mut T {
        self.start
    }

    /// # Safety
    /// No other part that is still in use overlaps this one.
    #[allow(unsafe_code, clippy::mut_from_ref)]
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "part {range:?} of {}", self.len);
        // SAFETY: it lies inside the slice, and the caller vouches that nothing else uses it.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
