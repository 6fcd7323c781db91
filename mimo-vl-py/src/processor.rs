//! What `mimo_vl.compat` needs beside a model: text to token ids and back, templates, and pictures to patches.

use std::path::PathBuf;
use std::sync::Arc;

use mimo_vl_core::expert::{
    self, ChatTemplate, Checkpoint, CheckpointFiles, Grid, PreprocessConfig, Tokenizer, is_repo_id, preprocess_image,
    preprocess_video,
};
use mimo_vl_core::{Error, HubOptions, Model, snapshot_download};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::error::{OrRaise, no_pickle};
use crate::image::as_image;
use crate::prompt::unsigned;
use crate::text::{self, utf8};
use crate::video::Video;
use crate::worker::watched;

/// The patches of one picture or video.
#[pyclass(frozen, module = "mimo_vl._native")]
pub(crate) struct Patches {
    patches: Arc<expert::Patches>,
    config: PreprocessConfig,
}

/// A picture or video for a model, and for a video the seconds between two steps in time.
pub(crate) type Medium<'py> = (Bound<'py, Patches>, Option<f64>);

impl Patches {
    /// The core's patches, shared.
    pub(crate) fn core(&self) -> Arc<expert::Patches> {
        Arc::clone(&self.patches)
    }
}

#[pymethods]
impl Patches {
    /// How many there are along time, height and width.
    #[getter]
    fn grid(&self) -> (usize, usize, usize) {
        let Grid { t, h, w } = self.patches.grid;
        (t, h, w)
    }

    /// How many tokens the language model sees.
    #[getter]
    fn tokens(&self) -> usize {
        self.patches.grid.tokens()
    }

    /// The normalised values, [patches, 1176], as float32 row by row.
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| {
            let values = self.patches.values(&self.config);
            values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>()
        });
        PyBytes::new(py, &bytes)
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Patches", "send the picture, and cut it there")
    }
}

/// A checkpoint without its weights: the tokenizer, the chat template, and how pictures become patches.
#[pyclass(frozen, module = "mimo_vl._native")]
pub(crate) struct Processor {
    path: PathBuf,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    config: PreprocessConfig,
}

impl Processor {
    /// That of a loaded model.
    pub(crate) fn of(model: &Model) -> Self {
        Self {
            path: model.directory().to_path_buf(),
            tokenizer: model.tokenizer().clone(),
            template: model.template().clone(),
            config: model.preprocess_config().clone(),
        }
    }

    fn patches(&self, patches: expert::Patches) -> Patches {
        Patches { patches: Arc::new(patches), config: self.config.clone() }
    }
}

#[pymethods]
impl Processor {
    /// Read what lies beside the weights at `path`, which is anything that Model.load() takes. Of a repository on the hub that
    /// is not in the cache the weights are downloaded, too.
    #[staticmethod]
    #[pyo3(signature = (path, *, revision=None, token=None, cache=None, offline=None))]
    fn load(
        path: &Bound<'_, PyAny>,
        revision: Option<String>,
        token: Option<String>,
        cache: Option<&Bound<'_, PyAny>>,
        offline: Option<bool>,
    ) -> PyResult<Self> {
        let py = path.py();
        let path = text::path(path)?;
        let mut options = HubOptions::new();
        (options.revision, options.token, options.offline) = (revision, token, offline);
        options.cache = cache.map(text::path).transpose()?;
        watched(py, None, move |watch| {
            let id = path.to_str().filter(|id| !path.exists() && is_repo_id(id));
            let fetched = id.map(|id| snapshot_download(id, &options, watch)).transpose()?;
            let path = fetched.unwrap_or(path);
            let gguf = Checkpoint::open_gguf(&path)?;
            let path = gguf.as_ref().map_or(path, |gguf| gguf.directory().to_path_buf());
            let texts =
                CheckpointFiles::new(&path, gguf.map(|gguf| gguf.metadata_files().to_vec()).unwrap_or_default());
            Ok(Self {
                path,
                tokenizer: Tokenizer::load(texts.clone())?,
                template: ChatTemplate::load(texts.clone())?,
                config: PreprocessConfig::load(texts)?,
            })
        })
    }

    /// The folder of the checkpoint.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// The ids of a rendered text, in which the names of special tokens stand for these.
    fn encode(&self, text: &Bound<'_, PyString>) -> PyResult<Vec<u32>> {
        self.tokenizer.encode(unicode(text)?).or_raise(text.py())
    }

    /// The text of token ids.
    fn decode(&self, ids: Vec<u32>, skip_special_tokens: bool) -> String {
        match skip_special_tokens {
            true => self.tokenizer.decode(&ids),
            false => self.tokenizer.decode_with_special_tokens(&ids),
        }
    }

    /// The id of the token that is written `token`.
    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_id(token)
    }

    /// Render the chat template, or another one, with a JSON object: messages, add_generation_prompt and whatever it reads.
    #[pyo3(signature = (context, template=None))]
    fn render(&self, context: &Bound<'_, PyString>, template: Option<&str>) -> PyResult<String> {
        let other = template.map(ChatTemplate::from_source).transpose().or_raise(context.py())?;
        other.as_ref().unwrap_or(&self.template).render_json(unicode(context)?).or_raise(context.py())
    }

    /// Cut a video, or an image in any form that a prompt takes. The limits are for images; videos have their own.
    #[pyo3(signature = (media, *, min_pixels=None, max_pixels=None), name = "patches")]
    fn cut(&self, media: &Bound<'_, PyAny>, min_pixels: Option<i64>, max_pixels: Option<i64>) -> PyResult<Patches> {
        let py = media.py();
        if let Ok(video) = media.cast::<Video>() {
            let video = video.get().core();
            return Ok(self.patches(py.detach(|| preprocess_video(&video, &self.config)).or_raise(py)?));
        }
        let mut image = as_image(media)?;
        if let Some(pixels) = unsigned(py, "min_pixels", min_pixels)? {
            image = image.min_pixels(pixels);
        }
        if let Some(pixels) = unsigned(py, "max_pixels", max_pixels)? {
            image = image.max_pixels(pixels);
        }
        Ok(self.patches(py.detach(|| preprocess_image(&image, &self.config)).or_raise(py)?))
    }

    /// Patches that others have cut: their normalised values, [patches, 1176], as a buffer of float32 or of its bytes.
    fn patches_of(&self, values: &Bound<'_, PyAny>, grid: (usize, usize, usize)) -> PyResult<Patches> {
        let py = values.py();
        let view = PyMemoryView::from(values)?;
        if !matches!(view.getattr("format")?.extract::<String>()?.as_str(), "f" | "B") {
            return Err(PyTypeError::new_err("pixel values are a buffer of float32, or of its bytes"));
        }
        let bytes = view.call_method0("tobytes")?.cast_into::<PyBytes>()?;
        let bytes = bytes.as_bytes();
        let patches = py.detach(|| {
            let values: Vec<f32> = bytes.as_chunks().0.iter().copied().map(f32::from_ne_bytes).collect();
            let (t, h, w) = grid;
            expert::Patches::from_values(&values, Grid { t, h, w }, &self.config)
        });
        Ok(self.patches(patches.or_raise(py)?))
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl._native.Processor {:?}>", self.path)
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Processor", "load it in each process")
    }
}

fn unicode<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    utf8(text, |reason| Error::Prompt { reason })
}
