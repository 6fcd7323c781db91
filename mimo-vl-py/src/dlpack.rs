//! Copies of other libraries' tensors through DLPack: <https://dmlc.github.io/dlpack/latest/c_api.html>.
#![allow(unsafe_code, reason = "the protocol passes a pointer")]

use std::ffi::{CStr, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// Name of a capsule whose tensor has not been consumed.
const CAPSULE_NAME: &CStr = c"dltensor";
/// Device types in host memory: `kDLCPU` and `kDLCUDAHost`.
const HOST_DEVICES: [i32; 2] = [1, 3];
/// Type code of unsigned integers, `kDLUInt`.
const UNSIGNED: u8 = 1;

/// `DLTensor`: the first field of `DLManagedTensor`, to which a capsule points.
#[repr(C)]
struct Tensor {
    data: *const c_void,
    device: i32,
    device_id: i32,
    dimensions: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *const i64,
    strides: *const i64,
    byte_offset: u64,
}

/// Returns the shape and the bytes, in row-major order, of a uint8 tensor in host memory.
pub(crate) fn bytes(source: &Bound<'_, PyAny>) -> PyResult<(Vec<usize>, Vec<u8>)> {
    let refused = |reason: String| PyTypeError::new_err(format!("this tensor is not an image: {reason}"));
    let (device, _): (i32, i32) = source.call_method0("__dlpack_device__")?.extract()?;
    if !HOST_DEVICES.contains(&device) {
        return Err(refused("it is on another device; copy it to the CPU first".to_owned()));
    }
    // The capsule keeps its name, so that its destructor frees the tensor.
    let capsule = source.call_method0("__dlpack__")?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(CAPSULE_NAME))?.cast::<Tensor>();
    // SAFETY: a capsule of this name points to a DLManagedTensor, which lives as long as the capsule.
    let tensor = unsafe { pointer.as_ref() };
    if (tensor.code, tensor.bits, tensor.lanes) != (UNSIGNED, 8, 1) {
        return Err(refused("its items are not 8-bit unsigned integers".to_owned()));
    }
    let dimensions = usize::try_from(tensor.dimensions).unwrap_or(0);
    if dimensions != 3 {
        return Err(refused(format!("it has {dimensions} dimensions; its shape must be (height, width, 3 or 4)")));
    }
    // SAFETY: the shape has one number per dimension, and so have the strides unless they are null.
    let (shape, strides) = unsafe {
        let strides = (!tensor.strides.is_null()).then(|| std::slice::from_raw_parts(tensor.strides, dimensions));
        (std::slice::from_raw_parts(tensor.shape, dimensions), strides)
    };
    let lengths: Vec<usize> = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
    let [height, width, channels] = lengths[..] else { return Err(refused("its shape is empty".to_owned())) };
    let tight = [width.saturating_mul(channels) as i64, channels as i64, 1];
    let strides = strides.unwrap_or(&tight);
    let count = height.checked_mul(width).and_then(|pixels| pixels.checked_mul(channels));
    let count = count
        .filter(|&count| (1..1 << 31).contains(&count))
        .ok_or_else(|| refused(format!("its shape is {lengths:?}")))?;
    let mut values = Vec::with_capacity(count);
    let start = tensor.data.cast::<u8>().wrapping_add(tensor.byte_offset as usize);
    for row in 0..height as i64 {
        for column in 0..width as i64 {
            for channel in 0..channels as i64 {
                let offset = row * strides[0] + column * strides[1] + channel * strides[2];
                // SAFETY: for every index within its shape the tensor has an item of one byte at this offset.
                values.push(unsafe { *start.wrapping_offset(offset as isize) });
            }
        }
    }
    Ok((lengths, values))
}
