//! The report of a quantized checkpoint.
//!
//! The weights are in one `model.safetensors`. For each product of the network it has the tensors `NAME.codes` and
//! `NAME.scales`, in the layout that the kernels read (`docs/kernels/quantized.md`); matrices that are one product
//! have their names joined with `+`. All other tensors are stored as they were. The entry `mimo_vl` of the metadata
//! holds the [`QuantizationReport`] as JSON.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::formats::WeightFormat;
use super::names::TensorId;
use crate::config::TensorRole;
use crate::error::{Error, Result};
use crate::quant::{Divergence, QuantFormat};

/// The key of the report in a file's metadata.
pub(super) const METADATA: &str = "mimo_vl";

/// The only version of the layout so far.
pub(super) const VERSION: u32 = 1;

/// Origin, formats and errors of a quantized checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizationReport {
    /// Version of the file's layout.
    pub version: u32,
    /// Requested number format, [`WeightFormat::Int8`] or [`WeightFormat::Int4`].
    pub weights: WeightFormat,
    /// Name of the source checkpoint.
    pub source: String,
    /// Revision of the source checkpoint, if its path is that of the hub's cache.
    pub revision: Option<String>,
    /// Quantized products of the network.
    pub matrices: Vec<QuantizedMatrix>,
    /// Divergence from the source model, one for each prompt of the call.
    #[serde(alias = "agreement")]
    pub divergences: Vec<Divergence>,
}

/// Matrices that were quantized together as one product, one below the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct QuantizedMatrix {
    /// Legacy names of the matrices.
    pub names: Vec<String>,
    /// Rows of each matrix.
    pub rows: Vec<usize>,
    /// Columns of all matrices.
    pub width: usize,
    /// Codebook and group size.
    #[serde(flatten)]
    pub format: QuantFormat,
    /// Relative error, `‖quantized − weights‖ / ‖weights‖`.
    pub error: f64,
}

impl QuantizationReport {
    /// Parses the metadata entry of `path`.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let broken = |error: serde_json::Error| {
            Error::checkpoint(path, format!("broken quantization report ({error}); quantize the checkpoint again"))
        };
        let Versioned { version } = serde_json::from_str(text).map_err(broken)?;
        if version != VERSION {
            let reason = format!("quantized weights in version {version} of the layout; this library reads {VERSION}");
            return Err(Error::checkpoint(path, reason));
        }
        let report: Self = serde_json::from_str(text).map_err(broken)?;
        if report.weights.bits().is_none() || report.matrices.iter().any(|matrix| !matrix.format.is_supported()) {
            return Err(Error::checkpoint(path, "the quantization report names an unknown format"));
        }
        Ok(report)
    }

    /// The stored entry for these matrices, which were quantized together as one product.
    pub(super) fn matrix(&self, matrices: &[(TensorId, usize)]) -> Option<&QuantizedMatrix> {
        let names: Vec<String> = matrices.iter().map(|(id, _)| id.to_string()).collect();
        self.matrices.iter().find(|matrix| matrix.names == names)
    }

    /// Root mean square of the matrices' relative errors, weighted by their sizes.
    pub fn error(&self) -> f64 {
        let size =
            |matrix: &QuantizedMatrix| matrix.rows.iter().map(|&rows| rows as f64).sum::<f64>() * matrix.width as f64;
        let total: f64 = self.matrices.iter().map(size).sum();
        let squares: f64 = self.matrices.iter().map(|matrix| size(matrix) * matrix.error.powi(2)).sum();
        if total > 0.0 { (squares / total).sqrt() } else { 0.0 }
    }
}

impl QuantizedMatrix {
    /// Role of the first matrix; `None` when the name is not of a tensor of the model.
    pub fn role(&self) -> Option<TensorRole> {
        TensorId::parse(self.names.first()?).map(|id| id.role)
    }

    /// Names of the stored codes and scales.
    pub(super) fn stored_names(&self) -> [String; 2] {
        let name = self.names.join("+");
        [format!("{name}.codes"), format!("{name}.scales")]
    }
}
