//! The C interface of MiMo-VL: one module per noun of `include/mimo_vl.h`, which is generated from here.
//!
//! Functions that can fail run inside [`boundary`], all others inside [`unwind`]. The contract of each is its
//! documentation in the header with the rules at the header's head, which is why there are no `# Safety` sections.
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(clippy::missing_safety_doc)]

pub mod abi;
pub mod action;
pub mod answer;
pub mod batch;
pub mod callback;
pub mod cancel;
pub mod error;
pub mod event;
pub mod image;
pub mod load;
pub mod log;
pub mod model;
pub mod options;
pub mod pdf;
pub mod plan;
pub mod prompt;
pub mod region;
pub mod screen;
pub mod session;
pub mod stream;
pub mod text;
pub mod video;

mod boundary;
mod c_enum;
mod pointer;
mod unwind;
