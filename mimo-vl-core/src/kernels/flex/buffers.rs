//! Memory of large results, used again for the next one: what the system gives anew it clears page by page, which
//! takes as long as some of the operations.

use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

use burn_std::{AllocationController, AllocationProperty, Bytes};

/// Results from this size on are kept, in values; the allocator of the C library keeps smaller ones itself.
const SMALLEST: usize = 1 << 18;
/// Most values that are kept: 512 MiB.
const MOST: usize = 1 << 27;

static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Give back all memory that no tensor uses.
pub(super) fn release() {
    let free = std::mem::take(&mut *FREE.lock().unwrap_or_else(PoisonError::into_inner));
    drop(free);
}

/// Values that go back to the others when the last tensor that has them is dropped.
pub(super) struct Buffer {
    /// At least `len`; what lies beyond is of an earlier use.
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` values, which are to be written.
    pub(super) fn new(len: usize) -> Self {
        let mut values = None;
        if len >= SMALLEST {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            let fitting = free.iter().enumerate().filter(|(_, values)| (len..=2 * len).contains(&values.len()));
            let best = fitting.min_by_key(|(_, values)| values.len()).map(|(index, _)| index);
            values = best.map(|index| free.swap_remove(index));
        }
        Self { values: values.unwrap_or_else(|| vec![0.0; len]), len }
    }

    pub(super) fn values(&mut self) -> &mut [f32] {
        &mut self.values[..self.len]
    }

    pub(super) fn into_bytes(self) -> Bytes {
        let bytes = self.len * size_of::<f32>();
        // SAFETY: all of the values are initialised, and there are at least `len`.
        #[allow(unsafe_code)]
        unsafe {
            Bytes::from_controller(Box::new(self), bytes)
        }
    }
}

impl AllocationController for Buffer {
    fn alloc_align(&self) -> usize {
        align_of::<f32>()
    }

    fn property(&self) -> AllocationProperty {
        AllocationProperty::Other
    }

    #[allow(unsafe_code)]
    unsafe fn memory_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let bytes = self.values.len() * size_of::<f32>();
        // SAFETY: the bytes of the values; the caller writes initialised ones only, and any bits are a value.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_mut_ptr().cast(), bytes) }
    }

    fn memory(&self) -> &[MaybeUninit<u8>] {
        let bytes = self.values.len() * size_of::<f32>();
        // SAFETY: the bytes of the values.
        #[allow(unsafe_code)]
        unsafe {
            std::slice::from_raw_parts(self.values.as_ptr().cast(), bytes)
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.values.len() >= SMALLEST {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            if free.iter().map(Vec::len).sum::<usize>() + self.values.len() <= MOST {
                free.push(std::mem::take(&mut self.values));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_only_after_it_was_dropped() {
        let write = |len: usize, value: f32| {
            let mut buffer = Buffer::new(len);
            buffer.values().fill(value);
            buffer.into_bytes()
        };
        let (first, second) = (write(SMALLEST, 1.0), write(SMALLEST + 3, 2.0));
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert_eq!(first.len(), 4 * SMALLEST);
        let copy = first.clone();
        drop(first);
        let third = write(SMALLEST - SMALLEST / 4, 3.0);
        assert!(copy.chunks_exact(4).all(|four| four == 1.0_f32.to_ne_bytes()), "a copy has memory of its own");
        assert!(second.chunks_exact(4).all(|four| four == 2.0_f32.to_ne_bytes()));
        assert!(third.chunks_exact(4).all(|four| four == 3.0_f32.to_ne_bytes()));
        release();
    }
}
