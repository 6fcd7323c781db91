//! The values that the reference computes for a case.

use std::fmt;
use std::path::{Path, PathBuf};

use mimo_vl_core::expert::{Features, Grid};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A file of a case that cannot be used, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseError {
    path: PathBuf,
    reason: String,
}

impl CaseError {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_path_buf(), reason: reason.into() }
    }
}

impl fmt::Display for CaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for CaseError {}

/// The expected values of one case.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The conversation after the chat template.
    pub prompt: String,
    /// The text of the greedy answer.
    pub text: String,
    /// Next position minus number of prompt tokens (`rope_deltas` in transformers).
    pub rope_delta: i64,
    /// Smallest difference between the two largest logits along the greedy answer.
    pub min_margin: f64,
    /// Token ids of the prompt, with one placeholder token per feature row.
    pub ids: Vec<u32>,
    /// Temporal, height and width position of each token: `[tokens, 3]`.
    pub positions: Vec<[u32; 3]>,
    /// Images and videos in the order of the conversation.
    pub media: Vec<ExpectedMediaItem>,
    /// Logits of the prompt: `[tokens, vocab]`.
    pub logits: Vec<f32>,
    /// Token ids of the greedy answer, end-of-text token included.
    pub greedy_ids: Vec<u32>,
    /// Logits from which each token of the greedy answer was taken: `[greedy_ids, vocab]`.
    pub greedy_logits: Vec<f32>,
    /// Vocabulary size.
    pub vocab: usize,
}

/// The expected values of one image or video.
#[derive(Debug, Clone)]
pub struct ExpectedMediaItem {
    /// Number of patches along time, height and width.
    pub grid: Grid,
    /// Pixels of the patches, 0 to 255: `[patches, 1176]`.
    pub patches: Vec<u8>,
    /// Output of the projector: `[tokens, width]`.
    pub features: Features,
}

#[derive(Deserialize)]
struct ExpectedJson {
    prompt: String,
    text: String,
    rope_delta: i64,
    min_margin: f64,
}

impl Expected {
    /// Reads `expected.json` and `expected.safetensors` of a case. `videos` is true for each media item that is a
    /// video.
    pub(super) fn load(folder: &Path, videos: &[bool]) -> Result<Self, CaseError> {
        let json: ExpectedJson = read_json(&folder.join("expected.json"))?;
        let path = folder.join("expected.safetensors");
        let bytes = std::fs::read(&path).map_err(|error| CaseError::new(&path, error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| CaseError::new(&path, error.to_string()))?;
        Tensors { tensors: &tensors }.expected(json, videos).map_err(|reason| CaseError::new(&path, reason))
    }
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, CaseError> {
    let text = std::fs::read_to_string(path).map_err(|error| CaseError::new(path, error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| CaseError::new(path, error.to_string()))
}

struct Tensors<'a> {
    tensors: &'a SafeTensors<'a>,
}

impl Tensors<'_> {
    fn expected(&self, json: ExpectedJson, videos: &[bool]) -> Result<Expected, String> {
        let ids: Vec<u32> = self.integers("input_ids")?;
        let axes: Vec<u32> = self.integers("position_ids")?;
        if ids.is_empty() || axes.len() != 3 * ids.len() {
            return Err(format!("{} positions for {} tokens", axes.len(), ids.len()));
        }
        let greedy_ids: Vec<u32> = self.integers("greedy_ids")?;
        let (logits, greedy_logits) = (self.floats("logits")?, self.floats("greedy_logits")?);
        let vocab = logits.len() / ids.len();
        if vocab == 0 || logits.len() != ids.len() * vocab || greedy_logits.len() != greedy_ids.len() * vocab {
            return Err("logits and tokens do not match".to_owned());
        }
        let tokens = ids.len();
        Ok(Expected {
            prompt: json.prompt,
            text: json.text,
            rope_delta: json.rope_delta,
            min_margin: json.min_margin,
            positions: (0..tokens).map(|token| [0, 1, 2].map(|axis| axes[axis * tokens + token])).collect(),
            media: self.media(videos)?,
            ids,
            logits,
            greedy_ids,
            greedy_logits,
            vocab,
        })
    }

    /// Restores the order of the conversation: the tensors hold all images before all videos.
    fn media(&self, videos: &[bool]) -> Result<Vec<ExpectedMediaItem>, String> {
        if videos.is_empty() {
            return Ok(Vec::new());
        }
        let sizes: Vec<usize> = self.integers("grid_thw")?;
        let grids: Vec<Grid> = sizes.chunks_exact(3).map(|size| Grid { t: size[0], h: size[1], w: size[2] }).collect();
        let (patches, features) = (self.bytes("patches", Dtype::U8)?, self.floats("vision_embeds")?);
        let rows: usize = grids.iter().map(Grid::patches).sum();
        let tokens: usize = grids.iter().map(Grid::tokens).sum();
        if grids.len() != videos.len()
            || rows == 0
            || !patches.len().is_multiple_of(rows)
            || !features.len().is_multiple_of(tokens)
        {
            return Err("grid_thw, patches, vision_embeds and the messages do not match".to_owned());
        }
        let (values, width) = (patches.len() / rows, features.len() / tokens);
        let (mut row, mut token) = (0, 0);
        let mut stored = grids.into_iter().map(|grid| {
            let item = ExpectedMediaItem {
                grid,
                patches: patches[row * values..(row + grid.patches()) * values].to_vec(),
                features: Features { values: features[token * width..(token + grid.tokens()) * width].to_vec(), width },
            };
            row += grid.patches();
            token += grid.tokens();
            item
        });
        let images = videos.iter().filter(|&&video| !video).count();
        let mut images = stored.by_ref().take(images).collect::<Vec<_>>().into_iter();
        let mut clips = stored.collect::<Vec<_>>().into_iter();
        Ok(videos.iter().filter_map(|&video| if video { clips.next() } else { images.next() }).collect())
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<&[u8], String> {
        let tensor = self.tensors.tensor(name).map_err(|error| format!("{name}: {error}"))?;
        if tensor.dtype() != dtype {
            return Err(format!("{name} has type {:?}, not {dtype:?}", tensor.dtype()));
        }
        Ok(tensor.data())
    }

    fn floats(&self, name: &str) -> Result<Vec<f32>, String> {
        Ok(self.bytes(name, Dtype::F32)?.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    fn integers<T: TryFrom<i64>>(&self, name: &str) -> Result<Vec<T>, String> {
        let values = self.bytes(name, Dtype::I64)?.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
        values.map(|value| T::try_from(value).map_err(|_| format!("{name} holds {value}"))).collect()
    }
}
