//! Native kernel bodies for Burn's CPU backend, on slices borrowed from its tensors.

use std::cell::RefCell;

use burn::tensor::{DType, Element, Tensor, TensorData, TensorPrimitive};
use burn_flex::{Flex, FlexTensor};
use bytemuck::Pod;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::cpu::{self, Activations, HeadsView, KvView, Matrix, RowsView, SimdLevel, Sizes};
use super::{Int8Rows, Kernels, Mask, QuantizedWeight};
use crate::quant::PANEL_ROWS;

mod buffers;
#[cfg(test)]
mod tests;

use buffers::Buffer;

impl Kernels for Flex {
    const ROPE_REPEATS_HEADS: bool = false;

    fn linear(x: Tensor<Self, 2>, weight: Tensor<Self, 2>, bias: Option<Tensor<Self, 1>>) -> Tensor<Self, 2> {
        let ([rows, _], [columns, _]) = (x.dims(), weight.dims());
        let stored = primitive(weight.clone());
        let is_known = matches!(stored.dtype(), DType::F32 | DType::F16 | DType::BF16);
        if !(1..=cpu::SMALL_BATCH_ROWS).contains(&rows) || !is_known || !stored.is_contiguous() {
            return super::linear::linear(x, weight, bias);
        }
        let (x, bias, level) = (floats(x), bias.map(floats), SimdLevel::current());
        let (x, bias) = (values(&x), bias.as_ref().map(values));
        let mut out = Buffer::new(rows * columns);
        match stored.dtype() {
            DType::BF16 => cpu::multiply_dense::<bf16>(level, x, rows, values(&stored), bias, out.values()),
            DType::F16 => cpu::multiply_dense::<f16>(level, x, rows, values(&stored), bias, out.values()),
            _ => cpu::multiply_dense::<f32>(level, x, rows, values(&stored), bias, out.values()),
        }
        tensor(out, [rows, columns])
    }

    fn linear_quantized(
        x: Tensor<Self, 2>,
        weight: &QuantizedWeight<Self>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 2> {
        quantized(x, weight, bias, weight.rows, cpu::multiply)
    }

    fn gated_quantized(
        x: Tensor<Self, 2>,
        weight: &QuantizedWeight<Self>,
        bias: Option<Tensor<Self, 1>>,
    ) -> Tensor<Self, 2> {
        if weight.rows.is_multiple_of(2 * PANEL_ROWS) {
            return quantized(x, weight, bias, weight.rows / 2, cpu::multiply_gated);
        }
        super::quantized::gated(x, weight, bias)
    }

    fn rms_norm(x: Tensor<Self, 2>, weight: Tensor<Self, 1>, eps: f64) -> Tensor<Self, 2> {
        let shape = x.dims();
        let (x, weight) = (rows(x), floats(weight));
        let mut out = Buffer::new(shape[0] * shape[1]);
        cpu::rms_norm(SimdLevel::current(), x.rows(), values(&weight), eps as f32, out.values());
        tensor(out, shape)
    }

    fn rope(
        x: Tensor<Self, 2>,
        cos: Tensor<Self, 2>,
        sin: Tensor<Self, 2>,
        _rotate_half: Tensor<Self, 2>,
    ) -> Tensor<Self, 2> {
        let (shape, head_dim) = (x.dims(), cos.dims()[1]);
        let (x, cos, sin) = (rows(x), floats(cos), floats(sin));
        let mut out = Buffer::new(shape[0] * shape[1]);
        cpu::rope(SimdLevel::current(), x.rows(), values(&cos), values(&sin), head_dim, out.values());
        tensor(out, shape)
    }

    fn swiglu(gate: Tensor<Self, 2>, up: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let shape = gate.dims();
        let (gate, up) = (rows(gate), rows(up));
        let mut out = Buffer::new(shape[0] * shape[1]);
        cpu::swiglu(SimdLevel::current(), gate.rows(), up.rows(), out.values());
        tensor(out, shape)
    }

    fn write_rows(cache: Tensor<Self, 4>, rows: Tensor<Self, 4>, start: usize) -> Tensor<Self, 4> {
        // `slice_assign` of this backend copies the full tensor each time.
        let mut cache = contiguous(primitive(cache));
        let shape = cache.layout().shape().clone();
        if cache.dtype() == DType::F16 {
            let to = cache.storage_mut::<f16>();
            each_row(rows, start, &shape, |at, row| {
                to[at * row.len()..][..row.len()].convert_from_f32_slice(row);
            });
        } else {
            let to = cache.storage_mut::<f32>();
            each_row(rows, start, &shape, |at, row| to[at * row.len()..][..row.len()].copy_from_slice(row));
        }
        Tensor::from_primitive(TensorPrimitive::Float(cache))
    }

    fn write_int8_rows(cache: Int8Rows<Self>, rows: Tensor<Self, 4>, start: usize) -> Int8Rows<Self> {
        let (mut codes, mut scales) = (contiguous(cache.codes.into_primitive()), contiguous(primitive(cache.scales)));
        let shape = codes.layout().shape().clone();
        let (to_codes, to_scales) = (codes.storage_mut::<i8>(), scales.storage_mut::<f32>());
        each_row(rows, start, &shape, |at, row| {
            let scale = row.iter().fold(0.0_f32, |max, x| max.max(x.abs())) / 127.0;
            to_scales[at] = scale;
            let to = &mut to_codes[at * row.len()..][..row.len()];
            to.iter_mut().zip(row).for_each(|(to, x)| *to = (x / scale.max(f32::MIN_POSITIVE)).round_ties_even() as i8);
        });
        Int8Rows {
            codes: Tensor::from_primitive(codes),
            scales: Tensor::from_primitive(TensorPrimitive::Float(scales)),
        }
    }

    fn attention_int8(q: Tensor<Self, 4>, k: Int8Rows<Self>, v: Int8Rows<Self>, mask: Mask) -> Tensor<Self, 4> {
        let views = |rows: Int8Rows<Self>| {
            (contiguous_rows::<4>(rows.codes.into_primitive()), with_contiguous_rows(rows.scales))
        };
        let (k, v) = (views(k), views(v));
        attend::<i8>(q, (&k.0, Some(&k.1)), (&v.0, Some(&v.1)), mask)
    }

    fn attention(q: Tensor<Self, 4>, k: Tensor<Self, 4>, v: Tensor<Self, 4>, mask: Mask) -> Tensor<Self, 4> {
        if k.dtype() == DType::F16 && v.dtype() == DType::F16 {
            let (k, v) = (with_contiguous_rows(k), with_contiguous_rows(v));
            return attend::<f16>(q, (&k, None), (&v, None), mask);
        }
        let (k, v) = (with_contiguous_rows(as_f32(k)), with_contiguous_rows(as_f32(v)));
        attend::<f32>(q, (&k, None), (&v, None), mask)
    }
}

/// Attention over keys and values, each with optional scales.
fn attend<T: cpu::Stored + Element + Pod>(
    q: Tensor<Flex, 4>,
    k: (&FlexTensor, Option<&FlexTensor>),
    v: (&FlexTensor, Option<&FlexTensor>),
    mask: Mask,
) -> Tensor<Flex, 4> {
    let [batch, heads, queries, head_dim] = q.dims();
    let shape = k.0.layout().shape();
    let sizes = Sizes { batch, heads, kv_heads: shape[1], queries, keys: shape[2], head_dim };
    let mut out = Buffer::new(batch * heads * queries * head_dim);
    let q = with_contiguous_rows(q);
    let kv = |(rows, scales): (_, Option<_>)| KvView { rows: view::<T>(rows), scales: scales.map(view) };
    cpu::attend(SimdLevel::current(), sizes, view(&q), kv(k), kv(v), mask, out.values());
    tensor(out, [batch, queries, heads, head_dim]).swap_dims(1, 2)
}

/// The tensor itself if its values are in row-major order from the start of its storage, else a copy that is.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() && tensor.layout().start_offset() == 0 { tensor } else { tensor.to_contiguous() }
}

/// Calls `each` with every row and its row index in a cache of shape `cache`, where the rows start at row `start` of
/// each head.
fn each_row(rows: Tensor<Flex, 4>, start: usize, cache: &[usize], mut each: impl FnMut(usize, &[f32])) {
    let [batch, heads, count, head_dim] = rows.dims();
    let capacity = cache[2];
    assert!(cache == [batch, heads, capacity, head_dim] && start + count <= capacity, "rows outside the cache");
    let rows = with_contiguous_rows(as_f32(rows));
    let from = view::<f32>(&rows);
    for (head, row) in (0..batch * heads).flat_map(|head| (0..count).map(move |row| (head, row))) {
        let steps = [head / heads, head % heads, row].into_iter().zip(from.strides);
        let at = from.offset + steps.map(|(count, stride)| count * stride).sum::<usize>();
        each(head * capacity + start + row, &from.values[at..at + head_dim]);
    }
}

thread_local! {
    /// Retained between calls, to reuse its memory.
    static ACTIVATIONS: RefCell<Activations> = RefCell::default();
}

/// Frees the memory retained for later results, except for what a decode step needs.
pub(crate) fn release_buffers() {
    buffers::release();
    cpu::release_scratch();
    ACTIVATIONS.with_borrow_mut(Activations::shrink);
}

type Multiply = fn(SimdLevel, &Activations, Matrix<'_>, Option<&[f32]>, &mut [f32]);

/// Product with a quantized weight that yields `columns` values per row.
fn quantized(
    x: Tensor<Flex, 2>,
    weight: &QuantizedWeight<Flex>,
    bias: Option<Tensor<Flex, 1>>,
    columns: usize,
    multiply: Multiply,
) -> Tensor<Flex, 2> {
    let [rows, width] = x.dims();
    assert_eq!(width, weight.width, "columns of activations and weights");
    let level = SimdLevel::current();
    let (x, bias) = (floats(x), bias.map(floats));
    let (codes, scales) = (weight.codes.clone().into_primitive(), primitive(weight.scales.clone()));
    let matrix = Matrix { codes: values(&codes), scales: values(&scales), rows: weight.rows, format: weight.format };
    let mut out = Buffer::new(rows * columns);
    ACTIVATIONS.with_borrow_mut(|activations| {
        activations.quantize(level, values(&x), rows, width, weight.format.group);
        multiply(level, activations, matrix, bias.as_ref().map(values), out.values());
    });
    tensor(out, [rows, columns])
}

fn primitive<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    tensor.into_primitive().tensor()
}

fn as_f32<const D: usize>(tensor: Tensor<Flex, D>) -> Tensor<Flex, D> {
    if tensor.dtype() == DType::F32 { tensor } else { tensor.cast(DType::F32) }
}

/// The tensor as contiguous f32.
fn floats<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    let tensor = primitive(as_f32(tensor));
    if tensor.is_contiguous() { tensor } else { tensor.to_contiguous() }
}

/// The values of a contiguous tensor of element type `T`.
fn values<T: Element + Pod>(tensor: &FlexTensor) -> &[T] {
    tensor.as_slice().expect("a contiguous tensor of this element type")
}

fn tensor<const D: usize>(values: Buffer, shape: [usize; D]) -> Tensor<Flex, D> {
    let data = TensorData::from_bytes(values.into_bytes(), shape.to_vec(), DType::F32);
    Tensor::from_primitive(TensorPrimitive::Float(FlexTensor::from_data(data)))
}

/// The tensor itself if its rows are contiguous and no stride is negative, else a copy.
fn with_contiguous_rows<const D: usize>(tensor: Tensor<Flex, D>) -> FlexTensor {
    contiguous_rows::<D>(primitive(tensor))
}

/// [`with_contiguous_rows`] for a primitive tensor.
fn contiguous_rows<const D: usize>(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout();
    let strides = layout.strides();
    let fits = (strides[D - 1] == 1 || layout.shape()[D - 1] == 1) && strides.iter().all(|&stride| stride >= 0);
    if fits { tensor } else { tensor.to_contiguous() }
}

/// A tensor of contiguous rows, which may be slices of wider rows.
struct RowTensor(FlexTensor);

fn rows(tensor: Tensor<Flex, 2>) -> RowTensor {
    RowTensor(with_contiguous_rows(as_f32(tensor)))
}

impl RowTensor {
    fn rows(&self) -> RowsView<'_> {
        let layout = self.0.layout();
        let values = &self.0.storage::<f32>()[layout.start_offset()..];
        RowsView { values, width: layout.shape()[1], stride: layout.strides()[0] as usize }
    }
}

/// View of a tensor from [`with_contiguous_rows`].
fn view<T: Element + Pod>(tensor: &FlexTensor) -> HeadsView<'_, T> {
    let layout = tensor.layout();
    let strides = layout.strides();
    let strides = [strides[0] as usize, strides[1] as usize, strides[2] as usize];
    HeadsView { values: tensor.storage(), offset: layout.start_offset(), strides }
}
