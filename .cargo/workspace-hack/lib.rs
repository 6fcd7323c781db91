//! Empty: the features in `Cargo.toml` are what counts.
