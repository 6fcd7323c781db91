//! MiMo-VL, the vision-language model, inside your program: open an image, ask a question, get an answer.

pub mod answer;
pub mod cancel;
pub mod checkpoint;
pub mod config;
pub mod device;
pub mod encode;
pub mod error;
pub mod kernels;
pub mod language;
pub mod model;
pub mod nn;
pub mod preprocess;
pub mod projector;
pub mod prompt;
pub mod sampling;
pub mod session;
pub mod splice;
#[cfg(feature = "train")]
pub mod train;
pub mod vision;
