//! Trained weights as a checkpoint.

use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::recording::LoadedTensors;
use crate::checkpoint;
use crate::error::{Error, Result};

/// Writes the tensors of `loaded` to `directory/model.safetensors`, under their names in the checkpoint.
///
/// # Errors
/// [`Error::Tensor`] when a matrix is quantized; [`Error::Io`].
pub(super) fn save_weights<B: Backend, M: Module<B>>(
    model: &M,
    loaded: &LoadedTensors,
    directory: &Path,
) -> Result<()> {
    if let Some(name) = loaded.quantized.first() {
        let reason = "the base model is quantized, and a checkpoint is written from dense weights only: load the base \
                      with the weight format f32 or bf16";
        return Err(Error::tensor(name, reason));
    }
    let mut collector = Collector { loaded, tensors: Vec::new() };
    model.visit(&mut collector);
    checkpoint::save_bf16(directory, collector.tensors)
}

struct Collector<'a> {
    loaded: &'a LoadedTensors,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl<B: Backend> ModuleVisitor<B> for Collector<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some((name, shape)) = self.loaded.dense.get(&param.id) {
            let values = param.val().into_data().iter::<f32>().collect();
            self.tensors.push((name.clone(), shape.clone(), values));
        }
    }
}
