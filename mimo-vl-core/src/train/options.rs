//! Options of a training run.

use std::path::PathBuf;

use super::schedule::CosineSchedule;
use crate::model::parameter_id;

/// Options of a training run. [`new`](Self::new) has the defaults; set the fields that differ.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Learning rate over time, and with it the number of optimizer steps.
    pub schedule: CosineSchedule,
    /// Batches per optimizer step; their gradients are added. At least 1; 1 by default.
    pub gradient_accumulation_steps: usize,
    /// Batches computed at once, each on a thread of its own; with 1, the default, every operation uses all cores.
    pub workers: usize,
    /// Decay rates of AdamW's moments; `[0.9, 0.999]` by default.
    pub adam_betas: [f32; 2],
    /// Decoupled weight decay of AdamW; 0 by default.
    pub weight_decay: f32,
    /// Largest joint Euclidean norm of the gradients; larger ones are scaled down to it. 1 by default.
    pub max_grad_norm: f64,
    /// Identifies the run: its data, and whatever else the other options do not say. A saved state is only resumed by
    /// the run that wrote it. Empty by default.
    pub run_name: String,
    /// Directory of the state that a run resumes from.
    pub state_dir: PathBuf,
    /// Optimizer steps between two saves of the state; 500 by default.
    pub save_steps: u64,
}

impl TrainOptions {
    /// Defaults for a schedule, with the state in `state_dir`.
    pub fn new(schedule: CosineSchedule, state_dir: impl Into<PathBuf>) -> Self {
        Self {
            schedule,
            gradient_accumulation_steps: 1,
            workers: 1,
            adam_betas: [0.9, 0.999],
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            run_name: String::new(),
            state_dir: state_dir.into(),
            save_steps: 500,
        }
    }

    /// A hash of everything that the course of a run depends on.
    pub(super) fn fingerprint(&self, objective: &str) -> u64 {
        let Self { schedule, gradient_accumulation_steps, adam_betas, weight_decay, max_grad_norm, run_name, .. } =
            self;
        let text = format!(
            "{schedule:?} {gradient_accumulation_steps} {adam_betas:?} {weight_decay} {max_grad_norm} {objective} \
             {run_name}"
        );
        parameter_id(&text).val()
    }
}
