//! Named tensors of a checkpoint directory, read through a memory map and pulled one at a time.

mod blocks;
mod files;
mod gguf;
mod memory;
mod rounded;
mod save;
mod saved;
mod source;

pub use files::Checkpoint;
pub use memory::{available_memory, check_memory};
pub use rounded::{Receipt, RoundedMatrix, RoundedWriter};
pub use save::save;
pub use saved::{Named, Values, read_saved, write_saved};
pub use source::{CheckpointSource, FloatType, TensorSource, Weights};
