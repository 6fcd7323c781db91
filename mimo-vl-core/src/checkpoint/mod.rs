//! Named tensors of a checkpoint directory, read through a memory map and pulled one at a time.

mod entry;
mod export;
mod files;
mod formats;
mod gguf;
mod memory;
mod names;
mod quantized;
mod quantized_writer;
mod source;
mod tensor_file;

pub use export::save_bf16;
pub use files::Checkpoint;
pub use formats::{FloatType, WeightFormat};
pub use memory::{available_memory, check_memory};
pub use names::{TensorId, TensorKind};
pub use quantized::{QuantizationReport, QuantizedMatrix};
pub use quantized_writer::QuantizedWriter;
pub use source::{CheckpointSource, TensorSource};
pub use tensor_file::{NamedTensor, TensorValues, read_tensor_file, write_tensor_file};
