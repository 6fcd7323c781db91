//! Element types in which weights, keys and values are stored.

use half::{bf16, f16};

use super::isa::Isa;

/// An element type that is converted to f32 when it is read.
pub(in crate::kernels) trait Stored: Copy + Sync {
    /// Loads one register of values.
    unsafe fn load<I: Isa>(from: *const Self) -> I::F;
    /// Converts one value.
    fn get(self) -> f32;
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const Self) -> I::F {
        // SAFETY: as for this function.
        unsafe { I::load(from) }
    }
    #[inline(always)]
    fn get(self) -> f32 {
        self
    }
}

impl Stored for f16 {
    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const Self) -> I::F {
        // SAFETY: as for this function.
        unsafe { I::load_f16(from) }
    }
    #[inline(always)]
    fn get(self) -> f32 {
        self.to_f32()
    }
}

impl Stored for bf16 {
    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const Self) -> I::F {
        // SAFETY: as for this function.
        unsafe { I::load_bf16(from) }
    }
    #[inline(always)]
    fn get(self) -> f32 {
        self.to_f32()
    }
}

impl Stored for i8 {
    #[inline(always)]
    unsafe fn load<I: Isa>(from: *const Self) -> I::F {
        // SAFETY: as for this function.
        unsafe { I::load_i8(from) }
    }
    #[inline(always)]
    fn get(self) -> f32 {
        f32::from(self)
    }
}
