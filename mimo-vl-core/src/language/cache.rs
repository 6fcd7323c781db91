//! Keys and values of the tokens so far.

use burn::tensor::{DType, Tensor};

use crate::kernels::Kernels;

/// The number format of cached keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KvCache {
    /// As they are computed.
    F32,
    /// Half the memory, with 11 bits of precision; f32 where the device lacks the type.
    F16,
}

/// The key and value cache of one sequence, allocated ahead and filled in place.
#[derive(Debug)]
pub struct Cache<B: Kernels> {
    layers: Vec<LayerCache<B>>,
    len: usize,
    capacity: usize,
    kind: KvCache,
}

/// One layer's keys and values, `[1, kv_heads, capacity, head_dim]`; `None` until the first allocation.
#[derive(Debug)]
pub(super) struct LayerCache<B: Kernels> {
    keys: Option<Tensor<B, 4>>,
    values: Option<Tensor<B, 4>>,
}

impl<B: Kernels> Cache<B> {
    /// An empty cache for `layers` layers.
    pub fn new(layers: usize, kind: KvCache) -> Self {
        let layers = (0..layers).map(|_| LayerCache { keys: None, values: None }).collect();
        Self { layers, len: 0, capacity: 0, kind }
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

    /// Bytes that [`reserve`](Self::reserve) would allocate.
    pub fn growth(&self, tokens: usize, kv_heads: usize, head_dim: usize) -> u64 {
        let size = match self.kind {
            KvCache::F16 => 2,
            KvCache::F32 => 4,
        };
        if tokens <= self.capacity { 0 } else { (2 * self.layers.len() * kv_heads * tokens * head_dim * size) as u64 }
    }

    /// Make room for `tokens` tokens in all; the held ones are kept.
    pub fn reserve(&mut self, tokens: usize, kv_heads: usize, head_dim: usize, device: &B::Device) {
        if tokens <= self.capacity {
            return;
        }
        let dtype = match self.kind {
            KvCache::F16 if B::supports_dtype(device, DType::F16) => DType::F16,
            KvCache::F16 | KvCache::F32 => DType::F32,
        };
        for layer in &mut self.layers {
            for store in [&mut layer.keys, &mut layer.values] {
                let fresh = Tensor::zeros([1, kv_heads, tokens, head_dim], (device, dtype));
                *store = Some(match store.take() {
                    Some(old) if self.len > 0 => {
                        let held = [0..1, 0..kv_heads, 0..self.len, 0..head_dim];
                        fresh.slice_assign(held.clone(), old.slice(held))
                    }
                    _ => fresh,
                });
            }
        }
        self.capacity = tokens;
    }

    /// The layers, and the number of tokens they hold.
    pub(super) fn layers(&mut self) -> (&mut [LayerCache<B>], usize) {
        (&mut self.layers, self.len)
    }

    /// Count `tokens` more as held, after every layer took them in.
    pub(super) fn advance(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

impl<B: Kernels> LayerCache<B> {
    /// Write the new keys and values after the first `past` ones, and give all of them.
    ///
    /// # Shapes
    /// - `keys`, `values`: `[1, kv_heads, new, head_dim]`
    /// - result: two of `[1, kv_heads, past + new, head_dim]`
    pub(super) fn append(
        &mut self,
        past: usize,
        keys: Tensor<B, 4>,
        values: Tensor<B, 4>,
    ) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let write = |store: &mut Option<Tensor<B, 4>>, new: Tensor<B, 4>| {
            let held = past + new.dims()[2];
            // The store is taken out, so that nothing else has it and it is written in place.
            let full = match store.take() {
                Some(full) => B::write_rows(full, new, past),
                None => new,
            };
            *store = Some(full.clone());
            full.narrow(2, 0, held)
        };
        (write(&mut self.keys, keys), write(&mut self.values, values))
    }
}
