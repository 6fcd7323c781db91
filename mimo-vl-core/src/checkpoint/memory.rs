//! How much memory a checkpoint takes once it is loaded, and how much there is.

use sysinfo::System;

use super::files::{Checkpoint, Encoding, legacy_name};
use super::source::{WeightFormat, quant_spec};
use crate::error::{Error, Result};

/// Its rows are read one at a time, and it keeps its format.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Pass when `needed` bytes of main memory are free for this process.
///
/// # Errors
/// [`Error::Memory`].
pub fn check_memory(what: &'static str, needed: u64) -> Result<()> {
    if needed == 0 {
        return Ok(());
    }
    match available_memory() {
        Some(available) if needed > available => Err(Error::Memory { what, needed, available }),
        _ => Ok(()),
    }
}

/// Bytes of main memory that are free for this process; `None` where the system does not tell.
pub fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    if system.total_memory() == 0 {
        return None;
    }
    // What a container may have, without what the system keeps of files for it.
    let of_group = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss));
    Some(of_group.map_or(system.available_memory(), |free| free.min(system.available_memory())))
}

impl Checkpoint {
    /// Bytes that all tensors take in the number format `weights`; `narrow` tells whether the device has bf16 and f16, or
    /// keeps them as f32.
    ///
    /// A token embedding that stays in the file's map does not count: few of its rows are read.
    pub fn bytes_in_memory(&self, weights: WeightFormat, narrow: bool) -> u64 {
        let is_tied = !self.places().any(|(name, _)| legacy_name(name).starts_with("lm_head."));
        let bytes = self.places().map(|(name, place)| {
            let name = legacy_name(name);
            let quantized = match place.shape[..] {
                [rows, width] if self.quantization_report().is_none() => {
                    quant_spec(&name, place.encoding, weights).map(|quant_spec| quant_spec.format.bytes(rows, width))
                }
                _ => None,
            };
            let values: usize = place.shape.iter().product();
            let stored = match (weights, place.encoding) {
                (_, Encoding::Bytes) => values,
                (WeightFormat::F32, _) => 4 * values,
                (WeightFormat::F16 | WeightFormat::Bf16, _) => 2 * values,
                (_, Encoding::Float(_)) if narrow && name == EMBEDDING => 0,
                (_, Encoding::Float(float)) if narrow => float.size() * values,
                _ if narrow => 2 * values,
                _ => 4 * values,
            };
            match quantized {
                Some(quantized) if name == EMBEDDING => stored + if is_tied { quantized } else { 0 },
                Some(quantized) => quantized,
                None => stored,
            }
        });
        bytes.sum::<usize>() as u64
    }
}
