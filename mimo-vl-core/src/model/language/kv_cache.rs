//! Keys and values of the tokens so far.

use std::str::FromStr;
use std::sync::Arc;

use burn::tensor::{DType, Tensor};

use crate::error::{Error, Result};
use crate::kernels::{Int8Rows, Kernels, Mask};

/// The number format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KvCacheDtype {
    /// As they are computed.
    F32,
    /// Half the memory, with 11 bits of precision; f32 where the device lacks the type.
    F16,
    /// A quarter of the memory: codes of eight bits with a scale for each token and head; f32 where the device lacks the
    /// type.
    Int8,
}

impl KvCacheDtype {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// The name, as `from_str` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// What it is on a device, which may lack the type.
    fn on<B: Kernels>(self, device: &B::Device) -> Self {
        let wanted = match self {
            Self::F32 => return self,
            Self::F16 => DType::F16,
            Self::Int8 => DType::I8,
        };
        if B::supports_dtype(device, wanted) { self } else { Self::F32 }
    }
}

impl FromStr for KvCacheDtype {
    type Err = Error;

    /// # Errors
    /// [`Error::Option`] for a name that is none of these.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::option("kv_cache", format!("{name:?} is none of {names}"))
        })
    }
}

/// The key and value cache of one sequence, allocated ahead and filled in place.
///
/// A clone shares the keys and values until either writes.
#[derive(Debug, Clone)]
pub struct Cache<B: Kernels> {
    layers: Vec<LayerCache<B>>,
    len: usize,
    capacity: usize,
    kind: KvCacheDtype,
    /// Held by every cache that may share the keys and values.
    holders: Arc<()>,
}

/// One layer's keys and values; `None` until the first allocation.
#[derive(Debug, Clone)]
pub(super) struct LayerCache<B: Kernels> {
    keys: Option<KvTensor<B>>,
    values: Option<KvTensor<B>>,
}

/// Rows of keys or values, `[1, kv_heads, capacity, head_dim]`.
#[derive(Debug, Clone)]
enum KvTensor<B: Kernels> {
    Floats(Tensor<B, 4>),
    Bytes(Int8Rows<B>),
}

impl<B: Kernels> KvTensor<B> {
    fn zeros(kind: KvCacheDtype, shape: [usize; 4], device: &B::Device) -> Self {
        match kind.on::<B>(device) {
            KvCacheDtype::Int8 => Self::Bytes(Int8Rows::zeros(shape, device)),
            KvCacheDtype::F16 => Self::Floats(Tensor::zeros(shape, (device, DType::F16))),
            KvCacheDtype::F32 => Self::Floats(Tensor::zeros(shape, (device, DType::F32))),
        }
    }

    /// Take over the first `count` rows of another store of the same kind.
    fn with(self, old: Self, count: usize) -> Self {
        let first = |old: Tensor<B, 4>| old.narrow(2, 0, count);
        match (self, old) {
            (Self::Floats(fresh), Self::Floats(old)) => Self::Floats(B::write_rows(fresh, first(old), 0)),
            (Self::Bytes(Int8Rows { codes, scales }), Self::Bytes(old)) => {
                let [batch, heads, _, width] = codes.dims();
                let old = old.first(count);
                let codes = codes.slice_assign([0..batch, 0..heads, 0..count, 0..width], old.codes);
                Self::Bytes(Int8Rows { codes, scales: B::write_rows(scales, old.scales, 0) })
            }
            _ => unreachable!("both are of one kind"),
        }
    }

    /// Write rows from row `start` on.
    fn written(self, rows: Tensor<B, 4>, start: usize) -> Self {
        match self {
            Self::Floats(store) => Self::Floats(B::write_rows(store, rows, start)),
            Self::Bytes(store) => Self::Bytes(B::write_int8_rows(store, rows, start)),
        }
    }
}

impl<B: Kernels> Cache<B> {
    /// An empty cache for `layers` layers.
    pub fn new(layers: usize, kind: KvCacheDtype) -> Self {
        let layers = (0..layers).map(|_| LayerCache { keys: None, values: None }).collect();
        Self { layers, len: 0, capacity: 0, kind, holders: Arc::default() }
    }

    /// Tokens that are held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forget every token from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Whether another cache may need the keys and values that this one has.
    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.holders) > 1
    }

    /// Bytes that taking in tokens needs beside those that are allocated, with `tokens` in all: stores are replaced one at a
    /// time, and what another cache holds, too, is copied.
    pub fn growth(&self, tokens: usize, kv_heads: usize, head_dim: usize, device: &B::Device) -> u64 {
        let stores = 2 * self.layers.len();
        let rows = if self.is_shared() {
            stores * tokens.max(self.capacity)
        } else {
            match tokens.saturating_sub(self.capacity) {
                0 => 0,
                new if self.capacity == 0 => stores * new,
                new => stores * new + tokens,
            }
        };
        (rows * kv_heads * self.row_bytes(head_dim, device)) as u64
    }

    /// Bytes that are allocated.
    pub fn bytes(&self, kv_heads: usize, head_dim: usize, device: &B::Device) -> u64 {
        (2 * self.layers.len() * self.capacity * kv_heads * self.row_bytes(head_dim, device)) as u64
    }

    /// Bytes of the key or the value of one head of one token.
    fn row_bytes(&self, head_dim: usize, device: &B::Device) -> usize {
        match self.kind.on::<B>(device) {
            KvCacheDtype::F32 => 4 * head_dim,
            KvCacheDtype::F16 => 2 * head_dim,
            KvCacheDtype::Int8 => head_dim + size_of::<f32>(),
        }
    }

    /// Make room for `tokens` tokens in all; the held ones are kept.
    pub fn reserve(&mut self, tokens: usize, kv_heads: usize, head_dim: usize, device: &B::Device) {
        if tokens <= self.capacity {
            return;
        }
        for layer in &mut self.layers {
            for store in [&mut layer.keys, &mut layer.values] {
                let fresh = KvTensor::zeros(self.kind, [1, kv_heads, tokens, head_dim], device);
                *store = Some(match store.take() {
                    Some(old) if self.len > 0 => fresh.with(old, self.len),
                    _ => fresh,
                });
            }
        }
        self.capacity = tokens;
        self.holders = Arc::default();
    }

    /// The layers, and the number of tokens they hold.
    pub(super) fn layers(&mut self) -> (&mut [LayerCache<B>], usize) {
        (&mut self.layers, self.len)
    }

    /// Count `tokens` more as held, after every layer took them in.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
        if self.is_shared() {
            // All that was shared is copied now.
            self.holders = Arc::default();
        }
    }
}

impl<B: Kernels> LayerCache<B> {
    /// Write the new keys and values after the first `past` ones, and attend to all of them.
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
        let (held, mask) = (past + keys.dims()[2], Mask::Causal { offset: past });
        // The stores are taken out, so that nothing else has them and they are written in place.
        let written = |store: &mut Option<KvTensor<B>>, rows| store.take().expect("reserved").written(rows, past);
        let (k, v) = (written(&mut self.keys, keys), written(&mut self.values, values));
        let mixed = match (&k, &v) {
            (KvTensor::Bytes(k), KvTensor::Bytes(v)) => B::attention_int8(q, k.first(held), v.first(held), mask),
            (KvTensor::Floats(k), KvTensor::Floats(v)) => {
                let first = |store: &Tensor<B, 4>| store.clone().narrow(2, 0, held);
                <B as Kernels>::attention(q, first(k), first(v), mask)
            }
            _ => unreachable!("both are of one kind"),
        };
        (self.keys, self.values) = (Some(k), Some(v));
        mixed
    }
}
