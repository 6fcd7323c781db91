//! Kernels on plain slices, written once and compiled for every level of instructions.

// Instructions of a level may be used only where it is known to be there, which no type can say.
#![allow(unsafe_code)]

mod activations;
mod attention;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod block;
mod codes;
mod dense;
mod disjoint;
mod exp;
mod isa;
mod pool;
mod portable;
mod quantize;
mod quantized;
mod rowwise;
mod stored;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::OnceLock;

pub(super) use activations::Activations;
pub(super) use attention::{Heads, Keys, Sizes, attend, release_layout};
pub(super) use dense::{FEW, multiply_dense};
use isa::{Isa, Kernel};
pub use pool::cores;
pub(crate) use pool::with_threads;
pub use quantize::{RoundingError, quantize_matrix, repack_matrix};
pub(super) use quantized::{Matrix, multiply, multiply_gated};
pub(super) use rowwise::{Rows, rms_norm, rope, swiglu};
pub(super) use stored::Stored;

/// A level of instructions that the native kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SimdLevel {
    /// What every processor has.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// The same with VNNI.
    AvxVnni,
    /// AVX-512 with VNNI.
    Avx512,
}

impl SimdLevel {
    /// Every level, the slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512];

    /// The name that `MIMO_VL_SIMD` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512-vnni",
        }
    }

    /// Whether this processor has it.
    pub fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::Avx2::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::AvxVnni::is_supported(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::Avx512::is_supported(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The level in use: the best that is here, or the one that the environment variable `MIMO_VL_SIMD` names, if
    /// it is here.
    pub fn current() -> Self {
        static BEST: OnceLock<SimdLevel> = OnceLock::new();
        FORCED.get().unwrap_or_else(|| {
            *BEST.get_or_init(|| {
                let asked = std::env::var("MIMO_VL_SIMD").ok();
                let mut here = Self::ALL.into_iter().filter(|level| level.is_supported());
                let named = here.clone().find(|level| asked.as_deref() == Some(level.name()));
                if let (Some(asked), None) = (&asked, named) {
                    let names = here.clone().map(Self::name).collect::<Vec<_>>().join(", ");
                    tracing::warn!("MIMO_VL_SIMD is {asked:?}, which is none of {names}");
                }
                named.or_else(|| here.next_back()).unwrap_or(Self::Portable)
            })
        })
    }

    /// Do `work` with the kernels of this level; those that it starts on this thread.
    ///
    /// # Panics
    /// When this processor does not have it.
    pub fn force<T>(self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<SimdLevel>);
        impl Drop for Restore {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        assert!(self.is_supported(), "this processor has no {}", self.name());
        let _restore = Restore(FORCED.replace(Some(self)));
        work()
    }
}

thread_local! {
    static FORCED: Cell<Option<SimdLevel>> = const { Cell::new(None) };
}

/// Run the kernel at `level`, which is here: [`SimdLevel::current`] gives no other.
fn run<K: Kernel>(level: SimdLevel, kernel: K) -> K::Output {
    debug_assert!(level.is_supported());
    // SAFETY: the processor has the level.
    unsafe {
        match level {
            SimdLevel::Portable => portable::Portable::run(kernel),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => avx2::Avx2::run(kernel),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::AvxVnni => avx2::AvxVnni::run(kernel),
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512 => avx512::Avx512::run(kernel),
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable::Portable::run(kernel),
        }
    }
}
