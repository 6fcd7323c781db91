//! Tests of mimo-vl through its public interface: one file per subject beside this one.

pub mod actor;
pub mod checkpoints;
pub mod fixture;
pub mod source;
