//! Training on the same model code that answers.

mod batch;
mod gradients;
mod grown;
mod init;
mod loss;
mod save;
mod schedule;
mod trainer;

pub use batch::{Batch, Example, NumberTarget, PatchLabel, Target};
pub use grown::ExpandedSource;
pub use init::RandomSource;
pub use schedule::Schedule;
pub use trainer::{Dataset, StepReport, TrainOptions, Trainer};
