//! Tensors of other libraries through DLPack, copied: <https://dmlc.github.io/dlpack/latest/c_api.html>.
#![allow(unsafe_code, reason = "the protocol hands over a pointer")]

use std::ffi::{CStr, c_void};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyCapsuleMethods};

/// The name of a capsule whose tensor nobody has taken yet.
const NAME: &CStr = c"dltensor";
/// Devices whose memory the processor reads: its own, and what CUDA pinned for it.
const READABLE: [i32; 2] = [1, 3];
/// Type code of unsigned whole numbers.
const UNSIGNED: u8 = 1;

/// `DLTensor`; a capsule's pointer leads to one, as it is the first field of `DLManagedTensor`.
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

/// The shape and the bytes, in order, of a tensor of uint8 on the processor.
pub(crate) fn bytes(source: &Bound<'_, PyAny>) -> PyResult<(Vec<usize>, Vec<u8>)> {
    let refused = |reason: String| PyTypeError::new_err(format!("this tensor is not an image: {reason}"));
    let (device, _): (i32, i32) = source.call_method0("__dlpack_device__")?.extract()?;
    if !READABLE.contains(&device) {
        return Err(refused("it lies on another device; bring it to the CPU first".to_owned()));
    }
    // The capsule keeps its name, so that its owner takes the tensor back when it goes.
    let capsule = source.call_method0("__dlpack__")?.cast_into::<PyCapsule>()?;
    let pointer = capsule.pointer_checked(Some(NAME))?.cast::<Tensor>();
    // SAFETY: a capsule of this name points to a DLManagedTensor, which lives as long as the capsule.
    let tensor = unsafe { pointer.as_ref() };
    if (tensor.code, tensor.bits, tensor.lanes) != (UNSIGNED, 8, 1) {
        return Err(refused("its items are not 8-bit unsigned whole numbers".to_owned()));
    }
    let dimensions = usize::try_from(tensor.dimensions).unwrap_or(0);
    if dimensions != 3 {
        return Err(refused(format!("it has {dimensions} dimensions; (height, width, 3 or 4) is needed")));
    }
    // SAFETY: the shape has as many numbers as there are dimensions, and so have strides that are there.
    let (shape, strides) = unsafe {
        let strides = (!tensor.strides.is_null()).then(|| std::slice::from_raw_parts(tensor.strides, dimensions));
        (std::slice::from_raw_parts(tensor.shape, dimensions), strides)
    };
    let lengths: Vec<usize> = shape.iter().map(|&length| usize::try_from(length).unwrap_or(0)).collect();
    let [height, width, channels] = lengths[..] else { return Err(refused("it has no shape".to_owned())) };
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
                // SAFETY: the tensor has an item of one byte for every index within its shape, at the sum of the strides.
                values.push(unsafe { *start.wrapping_offset(offset as isize) });
            }
        }
    }
    Ok((lengths, values))
}
