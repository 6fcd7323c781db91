//! Buffer pool for large results. Fresh memory is zeroed by the system page by page, which takes as long as some of the
//! operations.

use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

use burn_std::{AllocationController, AllocationProperty, Bytes};

/// Smallest buffer that is pooled, in values. The C library's allocator pools smaller ones itself.
const MIN_REUSED: usize = 1 << 18;
/// Largest total size of the pool, in values: 512 MiB.
const MAX_FREE: usize = 1 << 27;

static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// Frees all buffers that no tensor uses.
pub(super) fn release() {
    let free = std::mem::take(&mut *FREE.lock().unwrap_or_else(PoisonError::into_inner));
    drop(free);
}

/// A buffer that returns to the pool when the last tensor that uses it is dropped.
pub(super) struct Buffer {
    /// At least `len` values; the rest is left over from an earlier use.
    values: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// A buffer of `len` values with unspecified contents.
    pub(super) fn new(len: usize) -> Self {
        let mut values = None;
        if len >= MIN_REUSED {
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
        if self.values.len() >= MIN_REUSED {
            let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
            if free.iter().map(Vec::len).sum::<usize>() + self.values.len() <= MAX_FREE {
                free.push(std::mem::take(&mut self.values));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_reused_only_after_its_last_owner_is_dropped() {
        let write = |len: usize, value: f32| {
            let mut buffer = Buffer::new(len);
            buffer.values().fill(value);
            buffer.into_bytes()
        };
        let (first, second) = (write(MIN_REUSED, 1.0), write(MIN_REUSED + 3, 2.0));
        assert_ne!(first.as_ptr(), second.as_ptr());
        assert_eq!(first.len(), 4 * MIN_REUSED);
        let copy = first.clone();
        drop(first);
        let third = write(MIN_REUSED - MIN_REUSED / 4, 3.0);
        assert!(copy.chunks_exact(4).all(|four| four == 1.0_f32.to_ne_bytes()), "a clone has its own memory");
        assert!(second.chunks_exact(4).all(|four| four == 2.0_f32.to_ne_bytes()));
        assert!(third.chunks_exact(4).all(|four| four == 3.0_f32.to_ne_bytes()));
        release();
    }
}
