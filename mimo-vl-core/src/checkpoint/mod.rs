//! Named tensors of a checkpoint directory, read through a memory map and pulled one at a time.

mod export;
mod files;
mod gguf;
mod memory;
mod quantized;
mod source;
mod tensor_file;

pub use export::save;
pub use files::Checkpoint;
pub use memory::{available_memory, check_memory};
pub use quantized::{QuantizationReport, QuantizedMatrix, QuantizedWriter};
pub use source::{CheckpointSource, FloatType, TensorSource, WeightFormat};
pub use tensor_file::{NamedTensor, TensorValues, read_saved, write_saved};
