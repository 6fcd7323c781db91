//! Quantization without kernels: the formats, the policy that chooses one for each weight, and the divergence of the
//! result.

mod divergence;
mod format;
mod policy;

pub use divergence::Divergence;
pub use format::{Codebook, PANEL_ROWS, QuantFormat};
pub use policy::{Bits, quant_format};
