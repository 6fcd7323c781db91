//! The state a run resumes from, and the weights it is for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use burn::module::{AutodiffModule, Module, ModuleVisitor, Param, ParamId};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, Optimizer};
use burn::record::{BinFileRecorder, FileRecorder, FullPrecisionSettings, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::checkpoint::{self, TensorId, TensorSource};
use crate::error::{Error, Result};
use crate::model::parameter_id;

/// Names and shapes of a model's tensors in its checkpoint.
pub(super) type Names = HashMap<ParamId, (String, Vec<usize>)>;

/// A source that remembers what was asked of it.
pub(super) struct RecordingSource<'a, S> {
    source: &'a S,
    names: RefCell<Names>,
}

impl<'a, S> RecordingSource<'a, S> {
    pub(super) fn new(source: &'a S) -> Self {
        Self { source, names: RefCell::default() }
    }

    pub(super) fn into_names(self) -> Names {
        self.names.into_inner()
    }
}

impl<B: Backend, S: TensorSource<B>> TensorSource<B> for RecordingSource<'_, S> {
    fn tensor<const D: usize>(&self, id: TensorId, shape: [usize; D]) -> Result<Tensor<B, D>> {
        let name = id.to_string();
        self.names.borrow_mut().insert(parameter_id(&name), (name, shape.to_vec()));
        self.source.tensor(id, shape)
    }
}

type Files = BinFileRecorder<FullPrecisionSettings>;

/// Write weights, optimiser moments and step number to `directory`, replacing the last state in one move.
pub(super) fn save_state<B: AutodiffBackend, M: AutodiffModule<B>>(
    directory: &Path,
    run: u64,
    model: &M,
    optimizer: &OptimizerAdaptor<AdamW, M, B>,
    step: u64,
) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
    let (path, partial) = (state_file::<B>(directory, "state"), state_file::<B>(directory, "partial"));
    let record = (model.clone().into_record(), optimizer.to_record(), [run, step]);
    Recorder::<B>::record(&Files::default(), record, partial.clone())
        .map_err(|error| Error::io(&partial, std::io::Error::other(error.to_string())))?;
    std::fs::rename(&partial, &path).map_err(|error| Error::io(&path, error))
}

/// Put the state of `directory` into model and optimiser, and give its step number; `None` when there is no state.
pub(super) fn load_state<B: AutodiffBackend, M: AutodiffModule<B>>(
    directory: &Path,
    run: u64,
    model: &mut M,
    optimizer: &mut OptimizerAdaptor<AdamW, M, B>,
    device: &B::Device,
) -> Result<Option<u64>> {
    let path = state_file::<B>(directory, "state");
    if !path.is_file() {
        return Ok(None);
    }
    let (weights, moments, [of, step]): (_, _, [u64; 2]) = Recorder::<B>::load(&Files::default(), path.clone(), device)
        .map_err(|error| Error::checkpoint(&path, format!("not a training state of this model: {error}")))?;
    if of != run {
        let reason =
            "the state of another run, or of other options: give another folder for the state, or remove this one";
        return Err(Error::checkpoint(path, reason));
    }
    *model = model.clone().load_record(weights);
    *optimizer = optimizer.clone().load_record(moments);
    Ok(Some(step))
}

fn state_file<B: Backend>(directory: &Path, stem: &str) -> PathBuf {
    directory.join(stem).with_extension(<Files as FileRecorder<B>>::file_extension())
}

/// Write the weights as `directory/model.safetensors` under the names of the checkpoint.
pub(super) fn save_weights<B: Backend, M: Module<B>>(model: &M, names: &Names, directory: &Path) -> Result<()> {
    let mut collect = Collect { names, tensors: Vec::new() };
    model.visit(&mut collect);
    checkpoint::save_bf16(directory, collect.tensors)
}

struct Collect<'a> {
    names: &'a Names,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl<B: Backend> ModuleVisitor<B> for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some((name, shape)) = self.names.get(&param.id) {
            let values = param.val().into_data().iter::<f32>().collect();
            self.tensors.push((name.clone(), shape.clone(), values));
        }
    }
}
