//! Tokenizer, chat template and preprocessing for `mimo_vl.compat`.

use std::path::PathBuf;
use std::sync::Arc;

use mimo_vl_core::expert::{
    self, ChatTemplate, Grid, PreprocessConfig, ProcessorAssets, Tokenizer, preprocess_image, preprocess_video,
};
use mimo_vl_core::{CallOptions, Error, HubOptions, LoadOptions, Model};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::call::run_call;
use crate::error::{OrRaise, no_pickle};
use crate::image::as_image;
use crate::number::unsigned;
use crate::text::{self, utf8};
use crate::video::Video;

/// The patches of one image or video.
#[pyclass(frozen, module = "mimo_vl._native")]
pub(crate) struct Patches {
    patches: Arc<expert::Patches>,
    config: PreprocessConfig,
}

/// An image or video, and for a video the seconds between two steps of its grid in time.
pub(crate) type MediaItem<'py> = (Bound<'py, Patches>, Option<f64>);

impl Patches {
    /// The core's patches, shared.
    pub(crate) fn core(&self) -> Arc<expert::Patches> {
        Arc::clone(&self.patches)
    }
}

#[pymethods]
impl Patches {
    /// Number of patches along time, height and width.
    #[getter]
    fn grid(&self) -> (usize, usize, usize) {
        let Grid { t, h, w } = self.patches.grid;
        (t, h, w)
    }

    /// Number of tokens in the language model.
    #[getter]
    fn tokens(&self) -> usize {
        self.patches.grid.tokens()
    }

    /// Returns the normalized values, [patches, 1176], as float32 in bytes, row by row.
    fn values<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let bytes = py.detach(|| {
            let values = self.patches.values(&self.config);
            values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>()
        });
        PyBytes::new(py, &bytes)
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Patches", "send the image, and preprocess it there")
    }
}

/// A checkpoint without its weights: the tokenizer, the chat template and the preprocessing of images and videos.
#[pyclass(frozen, module = "mimo_vl._native")]
pub(crate) struct Processor {
    path: PathBuf,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    config: PreprocessConfig,
}

impl Processor {
    /// The processor of a loaded model.
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
    /// Loads all but the weights of `path`, which is anything that Model.load() takes. A repository of the hub that is
    /// not in the cache is downloaded with its weights.
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
        let mut hub = HubOptions::new();
        (hub.revision, hub.token, hub.offline) = (revision, token, offline);
        hub.cache = cache.map(text::path).transpose()?;
        let mut options = LoadOptions::new().hub(hub);
        let assets = run_call(py, CallOptions::new(), None, move |call| {
            options.call = call;
            ProcessorAssets::load(path, &options)
        })?;
        let ProcessorAssets { directory, tokenizer, template, preprocess, .. } = assets;
        Ok(Self { path: directory, tokenizer, template, config: preprocess })
    }

    /// Folder of the checkpoint.
    #[getter]
    fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// Returns the token ids of a rendered text; names of special tokens are special tokens.
    fn encode(&self, text: &Bound<'_, PyString>) -> PyResult<Vec<u32>> {
        self.tokenizer.encode(unicode(text)?).or_raise(text.py())
    }

    /// Returns the text of token ids.
    fn decode(&self, ids: Vec<u32>, skip_special_tokens: bool) -> String {
        match skip_special_tokens {
            true => self.tokenizer.decode(&ids),
            false => self.tokenizer.decode_with_special_tokens(&ids),
        }
    }

    /// Returns the id of the token with the text `token`.
    fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_id(token)
    }

    /// Renders the chat template, or `template`, with the variables of a JSON object: messages, add_generation_prompt
    /// and others.
    #[pyo3(signature = (context, template=None))]
    fn render(&self, context: &Bound<'_, PyString>, template: Option<&str>) -> PyResult<String> {
        let template = template.map(ChatTemplate::from_source).transpose().or_raise(context.py())?;
        template.as_ref().unwrap_or(&self.template).render_json(unicode(context)?).or_raise(context.py())
    }

    /// Converts a video, or an image in any form that a prompt takes, to patches. The limits are for images; videos
    /// have their own.
    #[pyo3(signature = (media, *, min_pixels=None, max_pixels=None))]
    fn preprocess(
        &self,
        media: &Bound<'_, PyAny>,
        min_pixels: Option<i64>,
        max_pixels: Option<i64>,
    ) -> PyResult<Patches> {
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

    /// Converts the pixel values of another processor to patches: normalized, [patches, 1176], as a buffer of float32
    /// or of its bytes.
    fn patches_from_values(&self, values: &Bound<'_, PyAny>, grid: (usize, usize, usize)) -> PyResult<Patches> {
        let py = values.py();
        let view = PyMemoryView::from(values)?;
        if !matches!(view.getattr("format")?.extract::<String>()?.as_str(), "f" | "B") {
            return Err(PyTypeError::new_err("pixel values must be a buffer of float32, or of its bytes"));
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
