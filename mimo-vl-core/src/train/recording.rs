//! The names under which a model loads its tensors.

use std::cell::RefCell;
use std::collections::HashMap;

use burn::module::ParamId;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use crate::checkpoint::{TensorId, TensorSource};
use crate::config::TensorRole;
use crate::error::Result;
use crate::kernels::QuantizedWeight;
use crate::model::parameter_id;

/// Names and shapes of the tensors that a model loaded.
#[derive(Debug, Default)]
pub(super) struct LoadedTensors {
    /// Dense tensors, which are trained.
    pub(super) dense: HashMap<ParamId, (String, Vec<usize>)>,
    /// Names of quantized matrices, which stay as they are.
    pub(super) quantized: Vec<String>,
}

/// A source that records the tensors it returns.
pub(super) struct RecordingSource<'a, S> {
    source: &'a S,
    loaded: RefCell<LoadedTensors>,
}

impl<'a, S> RecordingSource<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        Self { source, loaded: RefCell::default() }
    }

    pub(super) fn into_loaded(self) -> LoadedTensors {
        self.loaded.into_inner()
    }
}

impl<B: Backend, S: TensorSource<B>> TensorSource<B> for RecordingSource<'_, S> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let name = id.to_string();
        self.loaded.borrow_mut().dense.insert(parameter_id(&name), (name, shape.to_vec()));
        self.source.tensor(id, shape)
    }

    fn quantized(&self, matrices: &[(TensorId, usize)], width: usize) -> Result<Option<QuantizedWeight<B>>> {
        // A tied output layer stays the embedding, which is trained.
        if matrices.iter().any(|(id, _)| id.role == TensorRole::Embedding) {
            return Ok(None);
        }
        let weight = self.source.quantized(matrices, width)?;
        if weight.is_some() {
            let names = matrices.iter().map(|(id, _)| id.to_string());
            self.loaded.borrow_mut().quantized.extend(names);
        }
        Ok(weight)
    }
}

#[cfg(all(test, feature = "flex"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use burn_flex::Flex;

    use super::*;

    struct Quantized;

    impl TensorSource<Flex> for Quantized {
        fn tensor<const D: usize>(&self, id: TensorId, _shape: [usize; D]) -> Result<Tensor<Flex, D>> {
            panic!("{id} is not read")
        }

        fn quantized(&self, _: &[(TensorId, usize)], _: usize) -> Result<Option<QuantizedWeight<Flex>>> {
            panic!("a tied output layer is trained")
        }
    }

    #[test]
    fn tied_embeddings_stay_tied() {
        let source = RecordingSource::new(&Quantized);
        assert!(source.quantized(&[(TensorRole::Embedding.into(), 4)], 8).unwrap().is_none());
    }
}
