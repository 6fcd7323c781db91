//! The training loop: batches ahead in a thread, gradients of several batches at once, one optimiser step.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{AdamW, AdamWConfig, GradientsAccumulator, GradientsParams, Optimizer};
use burn::tensor::ElementConversion;
use burn_autodiff::Autodiff;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::batch::Batch;
use super::gradients::{clip, detached};
use super::loss::{Amount, Labels, Learner};
use super::save;
use super::schedule::Schedule;
use crate::cancel::{CancelToken, TaskControl};
use crate::checkpoint::TensorSource;
use crate::config::{ModelConfig, PreprocessConfig};
use crate::error::{Error, Result};
use crate::kernels::Kernels;
use crate::model::{VisionLanguageModel, parameter_id};

/// Where batches come from. The same index must always give the same batch, so that a run can be resumed.
pub trait Dataset: Sync {
    /// Batch number `index`, from 0.
    ///
    /// # Errors
    /// Whatever making it can meet; training stops with it.
    fn batch(&self, index: u64) -> Result<Batch>;
}

/// How to train.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// The learning rate over time, and with it the number of steps.
    pub schedule: Schedule,
    /// Batches whose gradients are added up to one step.
    pub batches_per_step: usize,
    /// Batches that are worked on at once, each on a thread of its own; 1 lets every operation use all cores.
    pub workers: usize,
    /// Kinds of things that labelled patches show, 0 included; 0 leaves such labels out of account.
    pub patch_classes: usize,
    /// The numbers of labels, and those to be found, are below this; 0 leaves them out of account.
    pub number_classes: usize,
    /// AdamW's decay rates of the two moments.
    pub betas: [f32; 2],
    /// AdamW's decoupled weight decay.
    pub weight_decay: f32,
    /// Largest joint norm of the gradients.
    pub clip: f64,
    /// Tells this run from others: its data, and whatever else the other options do not say. A state is resumed
    /// only by the run that it is of.
    pub run: String,
    /// Where the state is kept that a run resumes from.
    pub state: PathBuf,
    /// Steps between two saves of the state.
    pub save_every: u64,
}

impl TrainOptions {
    /// A hash of everything that the course of a run depends on.
    fn fingerprint(&self) -> u64 {
        let Self { schedule, batches_per_step, patch_classes, number_classes, .. } = self;
        let Self { betas, weight_decay, clip, run, .. } = self;
        let labels = format!("{patch_classes} {number_classes}");
        let text = format!("{schedule:?} {batches_per_step} {labels} {betas:?} {weight_decay} {clip} {run}");
        parameter_id(&text).val()
    }
}

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Steps done so far.
    pub step: u64,
    /// Mean negative log-likelihood of the target tokens, by their weights.
    pub loss: f64,
    /// Sum of the auxiliary losses, of patch labels, early targets and found numbers, each a mean. What is minimised has them
    /// multiplied by [`Schedule::auxiliary_weight`].
    pub auxiliary: f64,
    /// Share of target tokens that were the model's first choice.
    pub accuracy: f64,
    /// Joint norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Learning rate.
    pub rate: f64,
    /// Examples of the step.
    pub examples: usize,
    /// How long it took.
    pub duration: Duration,
}

/// A model in training.
pub struct Trainer<B: Kernels> {
    learner: Learner<Autodiff<B>>,
    optimizer: OptimizerAdaptor<AdamW, Learner<Autodiff<B>>, Autodiff<B>>,
    names: save::Names,
    options: TrainOptions,
    preprocess: PreprocessConfig,
    device: B::Device,
    pools: Vec<ThreadPool>,
    step: u64,
}

/// What a worker gives back for one batch.
struct Part {
    loss: f64,
    auxiliary: f64,
    right: i64,
    grads: GradientsParams,
}

impl<B: Kernels> Trainer<B> {
    /// Start from the tensors of `source`, or go on from the state in `options.state` when there is one.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the state cannot be read or is of another run; [`Error::Option`] when the worker threads cannot be had.
    pub fn new(
        source: &impl TensorSource<Autodiff<B>>,
        config: &ModelConfig,
        options: TrainOptions,
        preprocess: PreprocessConfig,
        device: B::Device,
    ) -> Result<Self> {
        let adamw = AdamWConfig::new()
            .with_beta_1(options.betas[0])
            .with_beta_2(options.betas[1])
            .with_weight_decay(options.weight_decay);
        let pools = match options.workers {
            0 | 1 => Vec::new(),
            workers => (0..workers).map(|_| single_thread()).collect::<Result<_>>()?,
        };
        let remembering = save::RecordingSource::new(source);
        let model = VisionLanguageModel::load(&remembering, config)?;
        let labels = Labels { kinds: options.patch_classes, numbers: options.number_classes };
        let mut learner = Learner::load(source, model, config, labels)?;
        let mut optimizer = adamw.init();
        let step = save::load_state(&options.state, options.fingerprint(), &mut learner, &mut optimizer, &device)?;
        let step = step.unwrap_or(0);
        Ok(Self { learner, optimizer, names: remembering.into_names(), options, preprocess, device, pools, step })
    }

    /// Steps done so far.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Train to the end of the schedule; `on_step` hears of every step. The state is saved at intervals, at the
    /// end, and when `cancel` is raised.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; [`Error::Io`] when the state cannot be saved; those of the dataset and of [`train`](Self::train).
    pub fn run(
        &mut self,
        dataset: &impl Dataset,
        cancel: &CancelToken,
        mut on_step: impl FnMut(&StepReport),
    ) -> Result<()> {
        let per_step = self.options.batches_per_step as u64;
        let (first, last) = (self.step * per_step, self.options.schedule.steps * per_step);
        std::thread::scope(|scope| {
            let (sender, batches) = mpsc::sync_channel(2 * self.options.batches_per_step);
            scope.spawn(move || {
                for index in first..last {
                    if sender.send(dataset.batch(index)).is_err() {
                        break;
                    }
                }
            });
            while self.step < self.options.schedule.steps {
                if cancel.is_cancelled() {
                    self.save_state()?;
                    return Err(Error::Cancelled);
                }
                let step: Vec<Batch> = batches.iter().take(self.options.batches_per_step).collect::<Result<_>>()?;
                if step.len() < self.options.batches_per_step {
                    return Err(Error::internal("the thread that makes batches panicked"));
                }
                let report = self.train(&step)?;
                on_step(&report);
                if self.step.is_multiple_of(self.options.save_every.max(1)) {
                    self.save_state()?;
                }
            }
            self.save_state()
        })
    }

    /// One optimiser step over `batches`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the loss or a gradient is no number; [`Error::Prompt`] when there is no class for a label, a number
    /// or an early target. The weights are then as before.
    pub fn train(&mut self, batches: &[Batch]) -> Result<StepReport> {
        let started = Instant::now();
        let amount = Amount::of(batches, self.options.schedule.auxiliary_weight(self.step));
        let mut accumulator = GradientsAccumulator::new();
        let (mut loss, mut auxiliary, mut right) = (0.0, 0.0, 0);
        for part in self.parts(batches, amount)? {
            loss += part.loss;
            auxiliary += part.auxiliary;
            right += part.right;
            accumulator.accumulate(&self.learner, part.grads);
        }
        if !loss.is_finite() {
            return Err(Error::internal(format!("the loss of step {} is {loss}", self.step)));
        }
        let (grads, gradient_norm) = clip(&self.learner, accumulator.grads(), self.options.clip);
        if !gradient_norm.is_finite() {
            return Err(Error::internal(format!("the gradients of step {} have the norm {gradient_norm}", self.step)));
        }
        let rate = self.options.schedule.rate(self.step);
        self.learner = self.optimizer.step(rate, self.learner.clone(), grads);
        self.step += 1;
        Ok(StepReport {
            step: self.step,
            loss,
            auxiliary,
            accuracy: right as f64 / amount.targets.max(1) as f64,
            gradient_norm,
            rate,
            examples: batches.iter().map(|batch| batch.size).sum(),
            duration: started.elapsed(),
        })
    }

    /// Loss and gradients of every batch, in order. A worker that is done takes the next batch, the longest first, as they take
    /// different times.
    fn parts(&self, batches: &[Batch], amount: Amount) -> Result<Vec<Part>> {
        if self.pools.is_empty() {
            return batches.iter().map(|batch| self.part(self.learner.clone(), batch, amount)).collect();
        }
        let mut order: Vec<usize> = (0..batches.len()).collect();
        order.sort_by_key(|&index| Reverse(batches[index].ids.len() + batches[index].patches()));
        let next = AtomicUsize::new(0);
        let work = |learner: &Learner<Autodiff<B>>, pool: &ThreadPool| {
            let mut done = Vec::new();
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let part = pool.install(|| self.part(detached(learner), &batches[index], amount));
                if part.is_err() {
                    next.store(batches.len(), Ordering::Relaxed);
                }
                done.push((index, part));
            }
            done
        };
        let done = std::thread::scope(|scope| {
            let workers = self.pools.iter().map(|pool| {
                let learner = self.learner.clone();
                scope.spawn(move || work(&learner, pool))
            });
            let workers: Vec<_> = workers.collect();
            workers
                .into_iter()
                .map(|worker| worker.join().map_err(|panic| Error::panicked(&*panic)))
                .collect::<Result<Vec<_>>>()
        })?;
        let mut parts: Vec<_> = done.into_iter().flatten().collect();
        parts.sort_by_key(|(index, _)| *index);
        parts.into_iter().map(|(_, part)| part).collect()
    }

    fn part(&self, learner: Learner<Autodiff<B>>, batch: &Batch, amount: Amount) -> Result<Part> {
        let loss = learner.loss(batch, amount, &self.preprocess, &self.device, &TaskControl::default())?;
        let (value, right) = (loss.tokens.into_scalar().elem(), loss.right.into_scalar().elem());
        let auxiliary = loss.auxiliary.into_scalar().elem();
        Ok(Part { loss: value, auxiliary, right, grads: GradientsParams::from_grads(loss.total.backward(), &learner) })
    }

    fn save_state(&self) -> Result<()> {
        save::save_state(&self.options.state, self.options.fingerprint(), &self.learner, &self.optimizer, self.step)
    }

    /// Write the weights as a checkpoint's `model.safetensors`, in bf16.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be written.
    pub fn save_weights(&self, directory: &Path) -> Result<()> {
        save::save_weights(&self.learner, &self.names, directory)
    }
}

fn single_thread() -> Result<ThreadPool> {
    ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| Error::option("workers", error.to_string()))
}
