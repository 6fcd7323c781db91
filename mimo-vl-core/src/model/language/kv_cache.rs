//! The KV cache: keys and values of the tokens so far.

use std::str::FromStr;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::kernels::{Int8Rows, Kernels, Mask};

/// Number format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KvCacheDtype {
    /// 32 bits, as computed.
    F32,
    /// 16 bits: half the memory of `F32`, with 11 bits of precision. Devices without the type use f32.
    F16,
    /// 8-bit codes with one scale per token and head: about a quarter of the memory of `F32`. Devices without the type
    /// use f32.
    Int8,
}

impl KvCacheDtype {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// The name, as accepted by `from_str`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// The format used on `device`: `self` if the device supports its type, else `F32`.
    fn supported<B: Kernels>(self, device: &B::Device) -> Self {
        let dtype = match self {
            Self::F32 => return self,
            Self::F16 => DType::F16,
            Self::Int8 => DType::I8,
        };
        if B::supports_dtype(device, dtype) { self } else { Self::F32 }
    }
}

impl FromStr for KvCacheDtype {
    type Err = Error;

    /// Parses a name of [`KvCacheDtype::ALL`].
    ///
    /// # Errors
    /// [`Error::Option`] for an unknown name.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("kv_cache_dtype", format!("{name:?} is none of {names}"))
        })
    }
}

/// KV cache of one sequence, preallocated and written in place.
///
/// A clone shares the keys and values until one of the two is written.
#[derive(Debug, Clone)]
pub struct KvCache<B: Kernels> {
    layers: Vec<LayerCache<B>>,
    /// Number of cached tokens.
    len: usize,
    /// Number of tokens for which memory is allocated.
    capacity: usize,
    dtype: KvCacheDtype,
    /// Reference count of the caches that may share the keys and values.
    sharers: Arc<()>,
}

/// Keys and values of one layer; `None` until the first allocation.
#[derive(Debug, Clone)]
pub(super) struct LayerCache<B: Kernels> {
    keys: Option<KvTensor<B>>,
    values: Option<KvTensor<B>>,
}

/// Keys or values, `[1, kv_heads, capacity, head_dim]`.
#[derive(Debug, Clone)]
enum KvTensor<B: Kernels> {
    Float(Tensor<B, 4>),
    Int8(Int8Rows<B>),
}

impl<B: Kernels> KvTensor<B> {
    fn zeros(dtype: KvCacheDtype, shape: [usize; 4], device: &B::Device) -> Self {
        match dtype.supported::<B>(device) {
            KvCacheDtype::Int8 => Self::Int8(Int8Rows::zeros(shape, device)),
            KvCacheDtype::F16 => Self::Float(Tensor::zeros(shape, (device, DType::F16))),
            KvCacheDtype::F32 => Self::Float(Tensor::zeros(shape, (device, DType::F32))),
        }
    }

    /// Copies the first `count` rows of `old`, which has the same format.
    fn copy_prefix(self, old: Self, count: usize) -> Self {
        let first_rows = |old: Tensor<B, 4>| old.narrow(2, 0, count);
        match (self, old) {
            (Self::Float(new), Self::Float(old)) => Self::Float(B::write_rows(new, first_rows(old), 0)),
            (Self::Int8(Int8Rows { codes, scales }), Self::Int8(old)) => {
                let [batch, heads, _, width] = codes.dims();
                let old = old.first_rows(count);
                let codes = codes.slice_assign([0..batch, 0..heads, 0..count, 0..width], old.codes);
                Self::Int8(Int8Rows { codes, scales: B::write_rows(scales, old.scales, 0) })
            }
            _ => unreachable!("both have the same format"),
        }
    }

    /// Writes rows, starting at row `start`.
    fn write(self, rows: Tensor<B, 4>, start: usize) -> Self {
        match self {
            Self::Float(tensor) => Self::Float(B::write_rows(tensor, rows, start)),
            Self::Int8(tensor) => Self::Int8(B::write_int8_rows(tensor, rows, start)),
        }
    }
}

impl<B: Kernels> KvCache<B> {
    /// An empty cache for `layers` layers.
    pub fn new(layers: usize, dtype: KvCacheDtype) -> Self {
        let layers = (0..layers).map(|_| LayerCache { keys: None, values: None }).collect();
        Self { layers, len: 0, capacity: 0, dtype, sharers: Arc::default() }
    }

    /// Number of cached tokens.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no token is cached.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Removes all tokens from index `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// True if another cache may share the keys and values.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.sharers) > 1
    }

    /// Peak number of bytes to allocate, besides those already allocated, until the cache has `tokens` tokens. Tensors
    /// are reallocated one at a time, and tensors that another cache shares are copied.
    pub fn growth(&self, tokens: usize, kv_heads: usize, head_dim: usize, device: &B::Device) -> u64 {
        let tensors = 2 * self.layers.len();
        let rows = if self.is_shared() {
            tensors * tokens.max(self.capacity)
        } else {
            match tokens.saturating_sub(self.capacity) {
                0 => 0,
                new if self.capacity == 0 => tensors * new,
                new => tensors * new + tokens,
            }
        };
        (rows * kv_heads * self.row_bytes(head_dim, device)) as u64
    }

    /// Number of allocated bytes.
    pub fn bytes(&self, kv_heads: usize, head_dim: usize, device: &B::Device) -> u64 {
        (2 * self.layers.len() * self.capacity * kv_heads * self.row_bytes(head_dim, device)) as u64
    }

    /// Bytes of one key or value: one head of one token.
    fn row_bytes(&self, head_dim: usize, device: &B::Device) -> usize {
        match self.dtype.supported::<B>(device) {
            KvCacheDtype::F32 => 4 * head_dim,
            KvCacheDtype::F16 => 2 * head_dim,
            KvCacheDtype::Int8 => head_dim + size_of::<f32>(),
        }
    }

    /// Grows the capacity to `tokens` tokens in total. Cached tokens are preserved.
    pub fn reserve(&mut self, tokens: usize, kv_heads: usize, head_dim: usize, device: &B::Device) {
        if tokens <= self.capacity {
            return;
        }
        for layer in &mut self.layers {
            for tensor in [&mut layer.keys, &mut layer.values] {
                let grown = KvTensor::zeros(self.dtype, [1, kv_heads, tokens, head_dim], device);
                *tensor = Some(match tensor.take() {
                    Some(old) if self.len > 0 => grown.copy_prefix(old, self.len),
                    _ => grown,
                });
            }
        }
        self.capacity = tokens;
        self.sharers = Arc::default();
    }

    /// The caches of all layers, and the number of cached tokens.
    pub(super) fn layers(&mut self) -> (&mut [LayerCache<B>], usize) {
        (&mut self.layers, self.len)
    }

    /// Adds `tokens` to the number of cached tokens, after every layer has written them.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
        if self.is_shared() {
            // Writing has copied everything that was shared.
            self.sharers = Arc::default();
        }
    }
}

impl<B: Kernels> LayerCache<B> {
    /// Appends new keys and values after the first `past` ones, and attends to all of them.
    ///
    /// # Shapes
    /// - `q`: `[1, heads, new, head_dim]`
    /// - `keys`, `values`: `[1, kv_heads, new, head_dim]`
    /// - result: as `q`
    pub(super) fn attend(
        &mut self,
        past: usize,
        q: Tensor<B, 4>,
        keys: Tensor<B, 4>,
        values: Tensor<B, 4>,
    ) -> Tensor<B, 4> {
        let (len, mask) = (past + keys.dims()[2], Mask::Causal { offset: past });
        // The tensors are moved out, so that they are not shared and are written in place.
        let append = |tensor: &mut Option<KvTensor<B>>, rows| tensor.take().expect("reserved").write(rows, past);
        let (k, v) = (append(&mut self.keys, keys), append(&mut self.values, values));
        let output = match (&k, &v) {
            (KvTensor::Int8(k), KvTensor::Int8(v)) => B::attention_int8(q, k.first_rows(len), v.first_rows(len), mask),
            (KvTensor::Float(k), KvTensor::Float(v)) => {
                let first_rows = |tensor: &Tensor<B, 4>| tensor.clone().narrow(2, 0, len);
                <B as Kernels>::attention(q, first_rows(k), first_rows(v), mask)
            }
            _ => unreachable!("both have the same format"),
        };
        (self.keys, self.values) = (Some(k), Some(v));
        output
    }
}
