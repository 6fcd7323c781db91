//! Training with the model code of inference.
//!
//! A [`Trainer`] takes batches from a [`Dataset`] and minimizes an [`Objective`] with AdamW. [`CausalLmObjective`] is
//! next-token cross-entropy; other objectives implement the trait and may have parameters of their own, which are
//! optimized, saved and restored with those of the model. The guide is `docs/training.md`.

mod batch;
mod causal_lm;
mod expanded;
mod export;
mod gradients;
mod model;
mod objective;
mod options;
mod random;
mod recording;
mod schedule;
mod state;
mod trainer;

pub use batch::{Batch, Example, TokenTarget};
pub use burn_autodiff::Autodiff;
pub use causal_lm::{CausalLmObjective, LossNormalizer, Normalization, token_cross_entropy};
pub use expanded::ExpandedSource;
pub use objective::{InputEmbeddings, Metric, Objective, ObjectiveLoss, TrainContext};
pub use options::TrainOptions;
pub use random::RandomSource;
pub use schedule::CosineSchedule;
pub use trainer::{Dataset, StepReport, Trainer};
