//! From a device's name, known at run time, to a Burn backend, known at compile time.

use crate::error::{Error, Result};
use crate::kernels::Kernels;

/// Work that is written once for every backend.
pub trait WithBackend {
    /// What the work gives.
    type Output;

    /// Do the work on `device` of the chosen backend.
    ///
    /// # Errors
    /// Whatever the work can meet.
    fn run<B: Kernels>(self, device: B::Device) -> Result<Self::Output>;
}

/// The names that [`dispatch`] knows in this build; `cuda` takes the card's number after a colon.
pub fn available_devices() -> Vec<&'static str> {
    let mut names = Vec::new();
    if cfg!(feature = "flex") {
        names.push("cpu");
    }
    if cfg!(feature = "ndarray") {
        names.push("ndarray");
    }
    if cfg!(feature = "cuda") {
        names.push("cuda:0");
    }
    names
}

/// Run `work` on the backend that `device` names: `cpu`, `ndarray` or `cuda:N`.
///
/// # Errors
/// [`Error::Device`] when the name is unknown, not part of this build, or has no usable driver; and those of the work.
pub fn dispatch<W: WithBackend>(device: &str, work: W) -> Result<W::Output> {
    let refuse = |reason: String| Err(Error::Device { device: device.to_owned(), reason });
    match device {
        #[cfg(feature = "flex")]
        "cpu" => work.run::<burn_flex::Flex>(burn_flex::FlexDevice),
        #[cfg(not(feature = "flex"))]
        "cpu" => refuse("this build lacks the feature `flex`".to_owned()),
        #[cfg(feature = "ndarray")]
        "ndarray" => work.run::<burn_ndarray::NdArray<f32>>(burn_ndarray::NdArrayDevice::Cpu),
        #[cfg(not(feature = "ndarray"))]
        "ndarray" => refuse("this build lacks the feature `ndarray`".to_owned()),
        _ => match device.strip_prefix("cuda") {
            Some(rest) => match rest.strip_prefix(':').unwrap_or(if rest.is_empty() { "0" } else { "" }).parse() {
                #[cfg(feature = "cuda")]
                Ok(index) => match cuda_cards() {
                    Ok(cards) if index < cards => work.run::<burn_cuda::Cuda>(burn_cuda::CudaDevice::new(index)),
                    Ok(cards) => refuse(format!("the NVIDIA driver reports {cards} cards")),
                    Err(reason) => refuse(reason),
                },
                #[cfg(not(feature = "cuda"))]
                Ok(_index) => refuse("this build lacks the feature `cuda`".to_owned()),
                Err::<usize, _>(_) => refuse("a card is named by its number, as in cuda:0".to_owned()),
            },
            None => refuse(format!("unknown; this build knows {}", available_devices().join(", "))),
        },
    }
}

/// Number of cards that the NVIDIA driver reports, or why it cannot be asked.
#[cfg(feature = "cuda")]
fn cuda_cards() -> std::result::Result<usize, String> {
    // SAFETY: looks for the driver library by its well-known name, as Burn itself does when it loads it.
    #[allow(unsafe_code)]
    let present = unsafe { cudarc::driver::sys::is_culib_present() };
    if !present {
        return Err("no NVIDIA driver: libcuda was not found".to_owned());
    }
    let cards = cudarc::driver::CudaContext::device_count().map_err(|error| format!("NVIDIA driver: {error:?}"))?;
    Ok(usize::try_from(cards).unwrap_or(0))
}
