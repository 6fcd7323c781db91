//! The training loop: batches prepared ahead in a thread, gradients of several batches at once, one optimizer step.

use std::cmp::Reverse;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::ElementConversion;
use burn_autodiff::Autodiff;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::gradients::{clip_grad_norm, detached};
use super::model::TrainModel;
use super::objective::{Metric, Objective, TrainContext};
use super::options::TrainOptions;
use super::recording::{LoadedTensors, RecordingSource};
use super::{export, state};
use crate::cancel::{CancelToken, TaskControl};
use crate::checkpoint::TensorSource;
use crate::config::{ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::model::VisionLanguageModel;

/// A source of batches. An index always gives the same batch, so that a run can be resumed.
pub trait Dataset: Sync {
    /// A batch of the objective.
    type Batch: Send;

    /// Returns batch number `index`, counted from 0.
    ///
    /// # Errors
    /// Any error of reading or preparing the batch; it ends the run.
    fn batch(&self, index: u64) -> Result<Self::Batch>;
}

/// Results of one optimizer step.
#[derive(Debug, Clone)]
pub struct StepReport {
    /// Optimizer steps done so far, this one included.
    pub step: u64,
    /// The minimized loss, before the step.
    pub loss: f64,
    /// Metrics of the objective.
    pub metrics: Vec<Metric>,
    /// Joint Euclidean norm of the gradients before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Examples of the step.
    pub examples: usize,
    /// Wall-clock time of the step.
    pub duration: Duration,
}

impl StepReport {
    /// The metric called `name`.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }
}

/// Trains a model with AdamW (Loshchilov and Hutter, arXiv 1711.05101).
pub struct Trainer<B: Kernels, O: Objective<Autodiff<B>>> {
    model: TrainModel<Autodiff<B>, O>,
    optimizer: OptimizerAdaptor<AdamW, TrainModel<Autodiff<B>, O>, Autodiff<B>>,
    loaded: LoadedTensors,
    options: TrainOptions,
    fingerprint: u64,
    preprocess: PreprocessConfig,
    device: B::Device,
    /// One single-threaded pool per worker; empty with one worker.
    pools: Vec<ThreadPool>,
    step: u64,
}

/// Loss and gradients of one batch.
struct BatchResult {
    loss: f64,
    metrics: Vec<Metric>,
    grads: GradientsParams,
}

impl<B: Kernels, O: Objective<Autodiff<B>>> Trainer<B, O> {
    /// Loads the model from `source`. Where `options.state_dir` has a state, the run resumes from it.
    ///
    /// Matrices that `source` quantizes stay frozen; all other weights are trained. Such a model cannot be exported.
    ///
    /// # Errors
    /// Those of the source; [`Error::Checkpoint`] when the state cannot be read or belongs to another run;
    /// [`Error::Option`] when there are no batches in a step, or the worker threads cannot be started.
    pub fn new(
        source: &impl TensorSource<Autodiff<B>>,
        config: &ModelConfig,
        objective: O,
        options: TrainOptions,
        preprocess: PreprocessConfig,
        device: B::Device,
    ) -> Result<Self> {
        if options.gradient_accumulation_steps == 0 {
            return Err(Error::option("gradient_accumulation_steps", "0; a step needs one batch at least"));
        }
        let adamw = AdamWConfig::new()
            .with_beta_1(options.adam_betas[0])
            .with_beta_2(options.adam_betas[1])
            .with_weight_decay(options.weight_decay);
        let pools = match options.workers {
            0 | 1 => Vec::new(),
            workers => (0..workers).map(|_| single_thread_pool()).collect::<Result<_>>()?,
        };
        let recording = RecordingSource::new(source);
        let mut model = TrainModel { model: VisionLanguageModel::load(&recording, config)?, objective };
        let loaded = recording.into_loaded();
        let mut optimizer = adamw.init();
        let fingerprint = options.fingerprint(&model.objective.fingerprint());
        let step = state::load_state(&options.state_dir, fingerprint, &mut model, &mut optimizer, &device)?;
        let step = step.unwrap_or(0);
        Ok(Self { model, optimizer, loaded, options, fingerprint, preprocess, device, pools, step })
    }

    /// Optimizer steps done so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Trains to the end of the schedule and calls `on_step` after every step.
    ///
    /// The state is saved every `save_steps` steps, at the end, and on cancellation. A step that is cancelled halfway
    /// is dropped, and the resumed run repeats it.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Io`] when the state cannot be saved; those of the dataset and of
    /// [`train_step`](Self::train_step).
    pub fn train(
        &mut self,
        dataset: &impl Dataset<Batch = O::Batch>,
        cancel: &CancelToken,
        mut on_step: impl FnMut(&StepReport),
    ) -> Result<()> {
        let per_step = self.options.gradient_accumulation_steps;
        let total_steps = self.options.schedule.total_steps;
        let indices = self.step * per_step as u64..total_steps * per_step as u64;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(2 * per_step);
            scope.spawn(move || {
                for index in indices {
                    if sender.send(dataset.batch(index)).is_err() {
                        break;
                    }
                }
            });
            while self.step < total_steps {
                if cancel.is_cancelled() {
                    self.save_state()?;
                    return Err(Error::Cancelled);
                }
                let batches: Vec<O::Batch> = receiver.iter().take(per_step).collect::<Result<_>>()?;
                if batches.len() < per_step {
                    return Err(Error::internal("the thread that prepares batches panicked"));
                }
                let report = self.train_step(&batches, cancel);
                if matches!(report, Err(Error::Cancelled | Error::Timeout)) {
                    self.save_state()?;
                }
                on_step(&report?);
                if self.step.is_multiple_of(self.options.save_steps.max(1)) {
                    self.save_state()?;
                }
            }
            self.save_state()
        })
    }

    /// Takes one optimizer step over `batches`. The parameters stay as they were when it fails.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Internal`] when the loss or a gradient is not finite; those of the objective.
    pub fn train_step(&mut self, batches: &[O::Batch], cancel: &CancelToken) -> Result<StepReport> {
        let started = Instant::now();
        let normalizer = self.model.objective.normalizer(batches, self.step);
        let mut accumulator = GradientsAccumulator::new();
        let mut loss = 0.0;
        let mut metrics: Vec<Metric> = Vec::new();
        for result in self.batch_results(batches, &normalizer, cancel)? {
            loss += result.loss;
            add_metrics(&mut metrics, &result.metrics);
            accumulator.accumulate(&self.model, result.grads);
        }
        if !loss.is_finite() {
            return Err(Error::internal(format!("the loss of step {} is {loss}", self.step)));
        }
        let (grads, grad_norm) = clip_grad_norm(&self.model, accumulator.grads(), self.options.max_grad_norm);
        if !grad_norm.is_finite() {
            return Err(Error::internal(format!("the gradients of step {} have the norm {grad_norm}", self.step)));
        }
        let learning_rate = self.options.schedule.learning_rate(self.step);
        self.model = self.optimizer.step(learning_rate, self.model.clone(), grads);
        self.step += 1;
        Ok(StepReport {
            step: self.step,
            loss,
            metrics,
            grad_norm,
            learning_rate,
            examples: batches.iter().map(|batch| batch.as_ref().size).sum(),
            duration: started.elapsed(),
        })
    }

    /// Loss and gradients of every batch, in order. An idle worker takes the longest batch that is left.
    fn batch_results(
        &self,
        batches: &[O::Batch],
        normalizer: &O::Normalizer,
        cancel: &CancelToken,
    ) -> Result<Vec<BatchResult>> {
        if self.pools.is_empty() {
            let result = |batch| self.batch_result(self.model.clone(), batch, normalizer, cancel);
            return batches.iter().map(result).collect();
        }
        let mut order: Vec<usize> = (0..batches.len()).collect();
        order.sort_by_key(|&index| {
            let batch = batches[index].as_ref();
            Reverse(batch.ids.len() + batch.patch_count())
        });
        let next = AtomicUsize::new(0);
        let work = |model: &TrainModel<Autodiff<B>, O>, pool: &ThreadPool| {
            let mut results = Vec::new();
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = pool.install(|| self.batch_result(detached(model), &batches[index], normalizer, cancel));
                if result.is_err() {
                    next.store(batches.len(), Ordering::Relaxed);
                }
                results.push((index, result));
            }
            results
        };
        let results = std::thread::scope(|scope| {
            let workers = self.pools.iter().map(|pool| {
                let model = self.model.clone();
                scope.spawn(move || work(&model, pool))
            });
            let workers: Vec<_> = workers.collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|panic| Error::panicked(&*panic)))
                .collect::<Result<Vec<_>>>()
        })?;
        let mut results: Vec<_> = results.into_iter().flatten().collect();
        results.sort_by_key(|(index, _)| *index);
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn batch_result(
        &self,
        model: TrainModel<Autodiff<B>, O>,
        batch: &O::Batch,
        normalizer: &O::Normalizer,
        cancel: &CancelToken,
    ) -> Result<BatchResult> {
        cancel.check()?;
        let control = TaskControl::with_cancel(cancel);
        let context = TrainContext { preprocess: &self.preprocess, device: &self.device, control: &control };
        let loss = model.objective.loss(&model.model, batch, normalizer, &context)?;
        cancel.check()?;
        let value = loss.total.clone().into_scalar().elem();
        let grads = GradientsParams::from_grads(loss.total.backward(), &model);
        Ok(BatchResult { loss: value, metrics: loss.metrics, grads })
    }

    fn save_state(&self) -> Result<()> {
        state::save_state(&self.options.state_dir, self.fingerprint, &self.model, &self.optimizer, self.step)
    }

    /// Writes the weights of the model to `directory/model.safetensors`, in bf16. Parameters of the objective are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Tensor`] when the base model is quantized; [`Error::Io`] when the file cannot be written.
    pub fn save_weights(&self, directory: &Path) -> Result<()> {
        export::save_weights(&self.model, &self.loaded, directory)
    }
}

/// Adds the metrics of a batch to those of its step.
fn add_metrics(sums: &mut Vec<Metric>, metrics: &[Metric]) {
    for metric in metrics {
        match sums.iter_mut().find(|sum| sum.name == metric.name) {
            Some(sum) => sum.value += metric.value,
            None => sums.push(*metric),
        }
    }
}

fn single_thread_pool() -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| Error::option("workers", error.to_string()))
}
