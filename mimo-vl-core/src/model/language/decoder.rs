//! The language model.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor, TensorData};

use super::kv_cache::{KvCache, KvCacheDtype};
use super::layer::Layer;
use crate::cancel::TaskControl;
use crate::checkpoint::TensorSource;
use crate::config::{TensorRole, TextConfig};
use crate::error::Result;
use crate::kernels::Kernels;
use crate::model::nn::{Linear, RmsNorm, RopeTable, mrope_table, parameter};

/// Token embedding, layers, final norm and output layer.
#[derive(Module, Debug)]
pub struct LanguageModel<B: Kernels> {
    embed: Param<Tensor<B, 2>>,
    layers: Vec<Layer<B>>,
    norm: RmsNorm<B>,
    /// `None` if the output layer shares the weights of the token embedding.
    head: Option<Linear<B>>,
    rope_theta: f64,
    mrope_section: [usize; 3],
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl<B: Kernels> LanguageModel<B> {
    /// Loads `model.*` and `lm_head.weight` from the source.
    ///
    /// # Errors
    /// Errors of the source.
    pub fn load(source: &impl TensorSource<B>, config: &TextConfig) -> Result<Self> {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        let head = match config.tie_word_embeddings {
            true => source.quantized(&[(TensorRole::Embedding.into(), vocab)], hidden)?.map(Linear::from_quantized),
            false => Some(Linear::load(source, TensorRole::Head, [hidden, vocab], false)?),
        };
        Ok(Self {
            embed: parameter(source, TensorRole::Embedding, [vocab, hidden])?,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::load(source, config, index))
                .collect::<Result<_>>()?,
            norm: RmsNorm::load(source, TensorRole::FinalNorm, hidden, config.rms_norm_eps)?,
            head,
            rope_theta: config.rope_theta,
            mrope_section: config.mrope_section,
            heads: config.num_attention_heads,
            kv_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
        })
    }

    /// Embeds tokens, as f32.
    ///
    /// # Shapes
    /// - result: `[ids, hidden]`
    pub fn embed(&self, ids: &[u32], device: &B::Device) -> Tensor<B, 2> {
        let rows: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        let rows = Tensor::<B, 1, Int>::from_data(TensorData::new(rows, [ids.len()]), device);
        let embeddings = self.embed.val().select(0, rows);
        if embeddings.dtype() == DType::F32 { embeddings } else { embeddings.cast(DType::F32) }
    }

    /// An empty cache for this model.
    pub fn cache(&self, dtype: KvCacheDtype) -> KvCache<B> {
        KvCache::new(self.layers.len(), dtype)
    }

    /// Peak number of bytes that [`reserve`](Self::reserve) and appending up to `tokens` tokens allocate.
    pub fn growth(&self, cache: &KvCache<B>, tokens: usize, device: &B::Device) -> u64 {
        cache.growth(tokens, self.kv_heads, self.head_dim, device)
    }

    /// Number of bytes allocated for a cache.
    pub fn cache_bytes(&self, cache: &KvCache<B>, device: &B::Device) -> u64 {
        cache.bytes(self.kv_heads, self.head_dim, device)
    }

    /// Grows `cache` to a capacity of `tokens` tokens in total.
    pub fn reserve(&self, cache: &mut KvCache<B>, tokens: usize, device: &B::Device) {
        cache.reserve(tokens, self.kv_heads, self.head_dim, device);
    }

    /// Runs the layers and the final norm over `batch` sequences of equal length. With caches, one per sequence, `x`
    /// has the next tokens of each sequence.
    ///
    /// # Shapes
    /// - `x`: `[batch · len, hidden]`
    /// - `positions`: temporal, height and width position of each row of `x`
    /// - result: as `x`
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::Timeout`](crate::error::Error::Timeout), checked before each layer. The caches then keep their number
    /// of tokens.
    ///
    /// # Panics
    /// If the capacity of a cache is too small; see [`reserve`](Self::reserve).
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        positions: &[[u32; 3]],
        batch: usize,
        caches: &mut [&mut KvCache<B>],
        control: &TaskControl,
    ) -> Result<Tensor<B, 2>> {
        let rope = self.rope(positions, &x.device());
        let x = self.run(0..self.layers.len(), x, &rope, batch, caches, control)?;
        for cache in caches {
            cache.advance(positions.len() / batch);
        }
        Ok(self.norm.forward(x))
    }

    /// As [`forward`](Self::forward) without caches; `on_layer` reads the hidden states, `[rows, hidden]`. Layer 0 is
    /// the input, and layer `n` the output of the `n`-th layer, before the final norm.
    ///
    /// # Errors
    /// [`Error::Cancelled`](crate::error::Error::Cancelled) and
    /// [`Error::Timeout`](crate::error::Error::Timeout), checked before each layer.
    pub fn forward_with(
        &self,
        mut x: Tensor<B, 2>,
        positions: &[[u32; 3]],
        batch: usize,
        control: &TaskControl,
        mut on_layer: impl FnMut(usize, &Tensor<B, 2>),
    ) -> Result<Tensor<B, 2>> {
        let rope = self.rope(positions, &x.device());
        on_layer(0, &x);
        for layer in 0..self.layers.len() {
            x = self.run(layer..layer + 1, x, &rope, batch, &mut [], control)?;
            on_layer(layer + 1, &x);
        }
        Ok(self.norm.forward(x))
    }

    /// Number of layers.
    pub fn layer_count(&self) -> usize {
        self.layers.len()
    }

    /// The final norm, which maps hidden states of a layer to the input of [`logits`](Self::logits).
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    /// - result: as `hidden`
    pub fn final_norm(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        self.norm.forward(hidden)
    }

    fn rope(&self, positions: &[[u32; 3]], device: &B::Device) -> RopeTable<B> {
        mrope_table(positions, self.rope_theta, self.mrope_section, self.heads, device)
    }

    /// Runs a range of layers.
    fn run(
        &self,
        layers: Range<usize>,
        mut x: Tensor<B, 2>,
        rope: &RopeTable<B>,
        batch: usize,
        caches: &mut [&mut KvCache<B>],
        control: &TaskControl,
    ) -> Result<Tensor<B, 2>> {
        for (index, layer) in self.layers.iter().enumerate().take(layers.end).skip(layers.start) {
            control.check()?;
            let layer_caches = caches.iter_mut().map(|cache| {
                let (layers, past) = cache.layers();
                (&mut layers[index], past)
            });
            x = layer.forward(x, batch, rope, &mut layer_caches.collect::<Vec<_>>());
        }
        Ok(x)
    }

    /// Computes the logits of every token of the vocabulary.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`, from [`forward`](Self::forward)
    /// - result: `[rows, vocabulary]`
    pub fn logits(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.head {
            Some(head) => head.forward(hidden),
            None => <B as Kernels>::linear(hidden, self.embed.val(), None),
        }
    }
}
