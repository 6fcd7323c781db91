//! Quantization without a kernel: formats, the policy that gives each weight one, and the divergence it causes.

mod divergence;
mod format;
mod policy;

pub use divergence::Divergence;
pub use format::{Codebook, PANEL_ROWS, QuantFormat};
pub use policy::{Bits, quant_format};
