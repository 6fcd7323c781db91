//! The state that a run resumes from.

use std::path::{Path, PathBuf};

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, Optimizer};
use burn::record::{BinFileRecorder, FileRecorder, FullPrecisionSettings, Recorder};
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::error::{Error, Result};

type StateRecorder = BinFileRecorder<FullPrecisionSettings>;

/// Writes parameters, optimizer moments and step number to `directory`. The file replaces the last one by a rename.
pub(super) fn save_state<B: AutodiffBackend, M: AutodiffModule<B>>(
    directory: &Path,
    fingerprint: u64,
    model: &M,
    optimizer: &OptimizerAdaptor<AdamW, M, B>,
    step: u64,
) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| Error::io(directory, error))?;
    let (path, partial) = (state_file::<B>(directory, "state"), state_file::<B>(directory, "partial"));
    let record = (model.clone().into_record(), optimizer.to_record(), [fingerprint, step]);
    Recorder::<B>::record(&StateRecorder::default(), record, partial.clone())
        .map_err(|error| Error::io(&partial, std::io::Error::other(error.to_string())))?;
    std::fs::rename(&partial, &path).map_err(|error| Error::io(&path, error))
}

/// Restores model and optimizer from `directory` and returns the step number; `None` when there is no state.
pub(super) fn load_state<B: AutodiffBackend, M: AutodiffModule<B>>(
    directory: &Path,
    fingerprint: u64,
    model: &mut M,
    optimizer: &mut OptimizerAdaptor<AdamW, M, B>,
    device: &B::Device,
) -> Result<Option<u64>> {
    let path = state_file::<B>(directory, "state");
    if !path.is_file() {
        return Ok(None);
    }
    let (parameters, moments, [saved_fingerprint, step]): (_, _, [u64; 2]) =
        Recorder::<B>::load(&StateRecorder::default(), path.clone(), device)
            .map_err(|error| Error::checkpoint(&path, format!("not a training state of this model: {error}")))?;
    if saved_fingerprint != fingerprint {
        let reason =
            "the state of another run, or of other options: choose another state directory, or remove this file";
        return Err(Error::checkpoint(path, reason));
    }
    *model = model.clone().load_record(parameters);
    *optimizer = optimizer.clone().load_record(moments);
    Ok(Some(step))
}

fn state_file<B: Backend>(directory: &Path, stem: &str) -> PathBuf {
    directory.join(stem).with_extension(<StateRecorder as FileRecorder<B>>::file_extension())
}
