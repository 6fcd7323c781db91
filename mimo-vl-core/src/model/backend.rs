//! Dispatch from the name of a device, at run time, to a Burn backend, at compile time.

use crate::error::{Error, Result};
use crate::kernels::Kernels;

/// Work that is generic over the backend.
pub trait WithBackend {
    /// Result of the work.
    type Output;

    /// Runs the work on `device` of a backend.
    ///
    /// # Errors
    /// Those of the work.
    fn run<B: Kernels>(self, device: B::Device) -> Result<Self::Output>;
}

/// Returns the device names that this build supports; `cuda:` is followed by the index of a GPU.
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

/// Runs `work` on the backend that `device` names: `cpu`, `ndarray` or `cuda:N`.
///
/// # Errors
/// [`Error::Device`] when the device is unknown, not part of this build, or has no usable driver; and those of the
/// work.
#[cfg_attr(not(any(feature = "flex", feature = "ndarray", feature = "cuda")), allow(unused_variables))]
pub fn dispatch<W: WithBackend>(device: &str, work: W) -> Result<W::Output> {
    let unusable = |reason: String| Err(Error::Device { device: device.to_owned(), reason });
    match device {
        #[cfg(feature = "flex")]
        "cpu" => work.run::<burn_flex::Flex>(burn_flex::FlexDevice),
        #[cfg(not(feature = "flex"))]
        "cpu" => unusable("this build lacks the feature `flex`".to_owned()),
        #[cfg(feature = "ndarray")]
        "ndarray" => work.run::<burn_ndarray::NdArray<f32>>(burn_ndarray::NdArrayDevice::Cpu),
        #[cfg(not(feature = "ndarray"))]
        "ndarray" => unusable("this build lacks the feature `ndarray`".to_owned()),
        _ => match device.strip_prefix("cuda") {
            Some(rest) => match rest.strip_prefix(':').unwrap_or(if rest.is_empty() { "0" } else { "" }).parse() {
                #[cfg(feature = "cuda")]
                Ok(index) => match cuda_gpus() {
                    Ok(gpus) if index < gpus => work.run::<burn_cuda::Cuda>(burn_cuda::CudaDevice::new(index)),
                    Ok(gpus) => unusable(format!("the NVIDIA driver reports {gpus} GPUs")),
                    Err(reason) => unusable(reason),
                },
                #[cfg(not(feature = "cuda"))]
                Ok(_index) => unusable("this build lacks the feature `cuda`".to_owned()),
                Err::<usize, _>(_) => unusable("a GPU is named by its index, as in cuda:0".to_owned()),
            },
            None => unusable(format!("unknown; this build supports {}", available_devices().join(", "))),
        },
    }
}

/// Number of GPUs that the NVIDIA driver reports, or the reason why it cannot be queried.
#[cfg(feature = "cuda")]
fn cuda_gpus() -> std::result::Result<usize, String> {
    // SAFETY: searches the driver library by its well-known name, as Burn does when it loads it.
    #[allow(unsafe_code)]
    let present = unsafe { cudarc::driver::sys::is_culib_present() };
    if !present {
        return Err("no NVIDIA driver: libcuda was not found".to_owned());
    }
    let gpus = cudarc::driver::CudaContext::device_count().map_err(|error| format!("NVIDIA driver: {error:?}"))?;
    Ok(usize::try_from(gpus).unwrap_or(0))
}
