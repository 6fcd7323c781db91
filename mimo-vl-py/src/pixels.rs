//! Images of other Python libraries, recognized by their methods: none of the libraries is imported.

use mimo_vl_core::{Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::dlpack;
use crate::error::OrRaise;
use crate::text;

const ACCEPTED: &str = "an image is a pathlib.Path, the bytes of an image file, an open binary file, a PIL image, or \
                        an array of uint8 of shape (height, width, 3 or 4)";

/// Opens the image file at `path`.
pub(crate) fn from_path(path: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    let py = path.py();
    let path = text::path(path)?;
    py.detach(|| mimo_vl_core::Image::open(&path)).or_raise(py)
}

/// Decodes an image file in `data`, any flat buffer of bytes.
pub(crate) fn from_encoded(data: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    let py = data.py();
    let bytes = match data.cast::<PyBytes>() {
        Ok(bytes) => bytes.clone(),
        Err(_) => {
            let view = buffer(data)?;
            if view.getattr("ndim")?.extract::<usize>()? != 1 || view.getattr("itemsize")?.extract::<usize>()? != 1 {
                return Err(PyTypeError::new_err("an image file in memory is a flat buffer of bytes"));
            }
            view.call_method0("tobytes")?.cast_into::<PyBytes>()?
        }
    };
    let bytes = bytes.as_bytes();
    py.detach(|| mimo_vl_core::Image::from_bytes(bytes)).or_raise(py)
}

/// Copies the pixels of `array`: uint8, shape `[height, width, 3 or 4]`, any strides.
pub(crate) fn from_array(array: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    if is_tensor(array)? {
        return from_tensor(array);
    }
    let view = buffer(array)?;
    let shape: Vec<usize> = view.getattr("shape")?.extract()?;
    let format: String = view.getattr("format")?.extract()?;
    let &[height, width, channels @ (3 | 4)] = shape.as_slice() else {
        return Err(layout(array, format!("its shape is {shape:?} and must be (height, width, 3 or 4)")));
    };
    if format != "B" {
        return Err(layout(array, format!("its items have the format {format:?} and must be 8-bit unsigned integers")));
    }
    let rows = view.call_method0("tobytes")?.cast_into::<PyBytes>()?;
    raw(array.py(), width, height, channels, rows.as_bytes())
}

/// Returns true if `source` supports DLPack but not the buffer protocol, which numpy arrays support as well.
fn is_tensor(source: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(source.hasattr("__dlpack__")? && PyMemoryView::from(source).is_err())
}

/// Copies the pixels of a tensor: uint8, shape `[height, width, 3 or 4]`.
fn from_tensor(tensor: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    let (shape, rows) = dlpack::bytes(tensor)?;
    match shape[..] {
        [height, width, channels @ (3 | 4)] => raw(tensor.py(), width, height, channels, &rows),
        _ => Err(layout(tensor, format!("its shape is {shape:?} and must be (height, width, 3 or 4)"))),
    }
}

/// Copies the pixels of a PIL image of any 8-bit mode; transparent pixels are blended with white.
pub(crate) fn from_pil(image: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    let mode: String = image.getattr("mode")?.extract()?;
    if mode.starts_with('I') || mode.starts_with('F') {
        let reason = format!("the value range of the PIL mode {mode} is unknown: convert the image to L or RGB first");
        return Err(layout(image, reason));
    }
    let has_alpha = matches!(mode.as_str(), "RGBA" | "RGBa" | "LA" | "La" | "PA")
        || image.getattr("info")?.contains("transparency")?;
    let (target, channels) = if has_alpha { ("RGBA", 4) } else { ("RGB", 3) };
    let image = if mode == target { image.clone() } else { image.call_method1("convert", (target,))? };
    let (width, height): (usize, usize) = image.getattr("size")?.extract()?;
    let rows = image.call_method0("tobytes")?.cast_into::<PyBytes>()?;
    raw(image.py(), width, height, channels, rows.as_bytes())
}

/// Converts any supported image. A `str` is refused, because in a prompt it is text.
pub(crate) fn from_any(source: &Bound<'_, PyAny>) -> PyResult<mimo_vl_core::Image> {
    if source.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(
            "a str is text; for the image file at that path use pathlib.Path(...) or mimo_vl.Image.open(...)",
        ));
    }
    if source.hasattr("__fspath__")? {
        return from_path(source);
    }
    if source.hasattr("mode")? && source.hasattr("convert")? && source.hasattr("tobytes")? {
        return from_pil(source);
    }
    if source.hasattr("read")? && source.hasattr("seek")? {
        let data = source.call_method0("read")?;
        if data.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err("an image file must be opened in binary mode, \"rb\""));
        }
        return from_encoded(&data);
    }
    if is_tensor(source)? {
        return from_tensor(source);
    }
    match buffer(source)?.getattr("ndim")?.extract::<usize>()? {
        1 => from_encoded(source),
        _ => from_array(source),
    }
}

/// A view of a buffer, or of the array that `source` converts to.
fn buffer<'py>(source: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyMemoryView>> {
    match PyMemoryView::from(source) {
        Ok(view) => Ok(view),
        // Some tensors are not buffers but convert themselves to an array.
        Err(_) if source.hasattr("__array__")? => PyMemoryView::from(&source.call_method0("__array__")?),
        Err(_) => Err(PyTypeError::new_err(format!("{} is not an image: {ACCEPTED}", source.get_type().name()?))),
    }
}

fn raw(py: Python<'_>, width: usize, height: usize, channels: usize, rows: &[u8]) -> PyResult<mimo_vl_core::Image> {
    let make = || -> Result<mimo_vl_core::Image> {
        let side = |side: usize| {
            u32::try_from(side).map_err(|_| Error::Image {
                what: format!("image of {width}x{height} raw pixels"),
                reason: "a side is too long".to_owned(),
            })
        };
        let (columns, lines) = (side(width)?, side(height)?);
        match channels {
            4 => mimo_vl_core::Image::from_rgba(columns, lines, 4 * width, rows),
            _ => mimo_vl_core::Image::from_rgb(columns, lines, 3 * width, rows),
        }
    };
    py.detach(make).or_raise(py)
}

/// The error for pixels with an unsupported layout.
fn layout(source: &Bound<'_, PyAny>, reason: String) -> PyErr {
    let what = source.get_type().name().map_or_else(|_| "array".to_owned(), |name| name.to_string());
    crate::error::exception(source.py(), &Error::Image { what, reason })
}
