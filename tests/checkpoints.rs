//! The reference checkpoint of the tests, and copies of it to be changed.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use tempfile::TempDir;

/// Weights of a checkpoint that is not sharded.
pub const SINGLE: &str = "model.safetensors";
/// Map from tensor names to shards.
pub const INDEX: &str = "model.safetensors.index.json";
/// The two shards of the reference checkpoint.
pub const SHARDS: [&str; 2] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

/// A checkpoint directory with random weights, and the reference values of some conversations in `cases`.
pub fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/tiny")
}

/// A tensor of a file.
#[derive(Debug, Clone)]
pub struct StoredTensor {
    /// Name in the checkpoint.
    pub name: String,
    /// Type of the values.
    pub dtype: Dtype,
    /// Sizes, the outermost first.
    pub shape: Vec<usize>,
    /// Values, row by row.
    pub bytes: Vec<u8>,
}

impl StoredTensor {
    /// The values as f32.
    ///
    /// # Panics
    /// If they are not bf16.
    pub fn values(&self) -> Vec<f32> {
        assert_eq!(self.dtype, Dtype::BF16, "{}", self.name);
        let bits = self.bytes.as_chunks().0.iter().map(|&bytes| u16::from_le_bytes(bytes));
        bits.map(|bits| f32::from_bits(u32::from(bits) << 16)).collect()
    }
}

/// A copy of [`tiny`], to be changed. Dropping it removes the directory.
#[derive(Debug)]
pub struct CheckpointCopy {
    directory: TempDir,
}

impl CheckpointCopy {
    /// A copy without the cases.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&tiny(), directory.path());
        Self { directory }
    }

    /// A copy with the cases.
    pub fn with_cases() -> Self {
        let checkpoint = Self::new();
        for entry in fs::read_dir(tiny().join("cases")).unwrap() {
            let case = entry.unwrap();
            let folder = checkpoint.file("cases").join(case.file_name());
            fs::create_dir_all(&folder).unwrap();
            copy(&case.path(), &folder);
        }
        checkpoint
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A file of the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file, replacing any old one.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.file(name), content).unwrap();
    }

    /// Removes a file.
    pub fn remove(&self, name: &str) {
        fs::remove_file(self.file(name)).unwrap();
    }

    /// Changes a JSON file.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Value)) {
        let mut json = serde_json::from_slice(&fs::read(self.file(name)).unwrap()).unwrap();
        change(&mut json);
        self.write(name, json.to_string());
    }

    /// All tensors of both shards, sorted by name.
    pub fn tensors(&self) -> Vec<StoredTensor> {
        let read = |shard| {
            let bytes = fs::read(self.file(shard)).unwrap();
            let tensors = SafeTensors::deserialize(&bytes).unwrap();
            let stored = tensors.iter().map(|(name, tensor)| StoredTensor {
                name: name.to_owned(),
                dtype: tensor.dtype(),
                shape: tensor.shape().to_vec(),
                bytes: tensor.data().to_vec(),
            });
            stored.collect::<Vec<_>>()
        };
        let mut tensors: Vec<StoredTensor> = SHARDS.into_iter().flat_map(read).collect();
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        tensors
    }

    /// Writes one safetensors file.
    pub fn write_tensors(&self, name: &str, tensors: &[StoredTensor]) {
        let views = tensors.iter().map(|tensor| {
            (tensor.name.as_str(), TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes).unwrap())
        });
        safetensors::serialize_to_file(views, None, &self.file(name)).unwrap();
    }

    /// Replaces all weights by `tensors`, in one file without an index.
    pub fn replace_weights(&self, tensors: &[StoredTensor]) {
        SHARDS.into_iter().chain([INDEX]).for_each(|name| self.remove(name));
        self.write_tensors(SINGLE, tensors);
    }

    /// Changes one tensor. The weights become a single file.
    pub fn edit_tensor(&self, name: &str, change: impl FnOnce(&mut StoredTensor)) {
        let mut tensors = self.tensors();
        change(tensors.iter_mut().find(|tensor| tensor.name == name).unwrap());
        self.replace_weights(&tensors);
    }
}

impl Default for CheckpointCopy {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies the files of a folder, without its subfolders.
fn copy(source: &Path, destination: &Path) {
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), destination.join(entry.file_name())).unwrap();
        }
    }
}
