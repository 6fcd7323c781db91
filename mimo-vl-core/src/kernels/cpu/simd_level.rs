//! Choice of the instruction set that the kernels use.

use std::cell::Cell;
use std::sync::OnceLock;

use super::isa::{Isa, Kernel};
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};

/// An instruction set for which the native kernels are compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum SimdLevel {
    /// Scalar code without special instructions, supported by every processor.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX2, FMA, F16C and AVX-VNNI.
    AvxVnni,
    /// AVX-512 with VNNI.
    Avx512,
}

impl SimdLevel {
    /// All levels, slowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::AvxVnni, Self::Avx512];

    /// The name accepted by the environment variable `MIMO_VL_SIMD`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512-vnni",
        }
    }

    /// True if this processor supports the level.
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

    /// The level in use: the one named by the environment variable `MIMO_VL_SIMD` if it is supported, else the best
    /// supported one.
    pub fn current() -> Self {
        static BEST: OnceLock<SimdLevel> = OnceLock::new();
        FORCED.get().unwrap_or_else(|| {
            *BEST.get_or_init(|| {
                let requested = std::env::var("MIMO_VL_SIMD").ok();
                let mut supported = Self::ALL.into_iter().filter(|level| level.is_supported());
                let named = supported.clone().find(|level| requested.as_deref() == Some(level.name()));
                if let (Some(requested), None) = (&requested, named) {
                    let names = supported.clone().map(Self::name).collect::<Vec<_>>().join(", ");
                    tracing::warn!("MIMO_VL_SIMD is {requested:?}; this processor supports {names}");
                }
                named.or_else(|| supported.next_back()).unwrap_or(Self::Portable)
            })
        })
    }

    /// Runs `work` with the kernels of this level, for the operations that it starts on the current thread.
    ///
    /// # Panics
    /// If this processor does not support the level.
    pub fn force<T>(self, work: impl FnOnce() -> T) -> T {
        struct Restore(Option<SimdLevel>);
        impl Drop for Restore {
            fn drop(&mut self) {
                FORCED.set(self.0);
            }
        }
        assert!(self.is_supported(), "this processor does not support {}", self.name());
        let _restore = Restore(FORCED.replace(Some(self)));
        work()
    }
}

thread_local! {
    static FORCED: Cell<Option<SimdLevel>> = const { Cell::new(None) };
}

/// Runs the kernel at `level`, which must be supported; [`SimdLevel::current`] returns no other.
pub(super) fn run<K: Kernel>(level: SimdLevel, kernel: K) -> K::Output {
    debug_assert!(level.is_supported());
    // SAFETY: the processor supports the level.
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
