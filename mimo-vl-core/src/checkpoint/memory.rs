//! Memory: the size of a loaded checkpoint, and the free memory of the computer.

use sysinfo::System;

use super::entry::Encoding;
use super::files::Checkpoint;
use super::formats::WeightFormat;
use super::names::TensorId;
use super::source::quant_spec;
use crate::config::TensorRole;
use crate::error::{Error, Result};

/// Checks that `needed` bytes of main memory are free for this process.
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

/// Bytes of main memory that are free for this process; `None` where the system does not report it.
pub fn available_memory() -> Option<u64> {
    let mut system = System::new();
    system.refresh_memory();
    if system.total_memory() == 0 {
        return None;
    }
    // The limit of a container; its resident set does not include the page cache.
    let in_group = system.cgroup_limits().map(|limits| limits.total_memory.saturating_sub(limits.rss));
    Some(in_group.map_or(system.available_memory(), |free| free.min(system.available_memory())))
}

impl Checkpoint {
    /// Bytes of all tensors in memory, loaded as `weights`. `half_floats` is true for a device that has bf16 and f16;
    /// elsewhere these become f32.
    ///
    /// A token embedding that stays in the memory map counts as 0: few of its rows are read.
    pub fn bytes_in_memory(&self, weights: WeightFormat, half_floats: bool) -> u64 {
        let role = |name: &str| TensorId::parse(name).map(|id| id.role);
        let is_tied = !self.entries().any(|(name, _)| role(name) == Some(TensorRole::Head));
        let bytes = self.entries().map(|(name, entry)| {
            let role = role(name);
            let is_embedding = role == Some(TensorRole::Embedding);
            let quantized = match (role, &entry.shape[..]) {
                (Some(role), &[rows, width]) if self.quantization_report().is_none() => {
                    quant_spec(role, entry.encoding, weights).map(|spec| spec.format.bytes(rows, width))
                }
                _ => None,
            };
            let values: usize = entry.shape.iter().product();
            let dense = match (weights, entry.encoding) {
                (_, Encoding::Bytes) => values,
                (WeightFormat::F32, _) => 4 * values,
                (WeightFormat::F16 | WeightFormat::Bf16, _) => 2 * values,
                (_, Encoding::Float(_)) if half_floats && is_embedding => 0,
                (_, Encoding::Float(float)) if half_floats => float.size() * values,
                _ if half_floats => 2 * values,
                _ => 4 * values,
            };
            match quantized {
                Some(quantized) if is_embedding => dense + if is_tied { quantized } else { 0 },
                Some(quantized) => quantized,
                None => dense,
            }
        });
        bytes.sum::<usize>() as u64
    }
}
