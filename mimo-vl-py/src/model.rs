//! `mimo_vl.Model`.

use std::path::PathBuf;
use std::sync::mpsc;

use mimo_vl_core::expert::preprocess_image;
use mimo_vl_core::{CancelToken, Error, HubOptions, LoadOptions, Prompt};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::answer;
use crate::error::{OrRaise, exception, no_pickle};
use crate::generate;
use crate::image::as_image;
use crate::processor::{Medium, Processor};
use crate::prompt::{generate_options, prompt, unsigned};
use crate::session::Session;
use crate::text;
use crate::worker::{self, followed, watched};

/// The options of an answer that choose its tokens.
const CHOOSING: [&str; 8] =
    ["max_tokens", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "seed"];

/// A loaded checkpoint. Any number of sessions, on any threads, share its weights.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Model {
    model: mimo_vl_core::Model,
}

#[pymethods]
impl Model {
    /// Load the checkpoint in the folder `path`: config.json, safetensors, tokenizer.json, ... Or the GGUF file `path`, with
    /// the vision tower's beside it.
    ///
    /// Or "owner/name" on the hub: what is missing is downloaded into the cache that huggingface_hub shares, at `revision`, with
    /// `token`, from `endpoint`, into the folder `cache`, unless `offline`; see docs/guide/hub.md.
    ///
    /// Without a path: mimo-vl-tiny, a small model that comes with the package. `device` is "cpu", "ndarray" or
    /// "cuda:0". `weights` is the type that weights have in memory: "native", the one in the files, "f32", "f16", "bf16",
    /// or, rounded, "int8" or "int4". `max_context` bounds the tokens of a conversation, and with them its memory.
    /// `kv_cache_dtype` is the type of keys and values of earlier tokens: "f32", "f16" or "int8". `threads` is the number of
    /// threads on the CPU. `feature_cache` bounds the bytes of pictures' features that are kept for all sessions.
    /// `thinking_style` is how the checkpoint is told to think: "slash", "tag" or "prefill". `progress` is called with the bytes that are done and those there are.
    #[staticmethod]
    #[pyo3(signature = (
        path=None, *, device="cpu", weights="native", max_context=None, kv_cache_dtype=None, threads=None, feature_cache=None,
        thinking_style=None, revision=None, token=None, endpoint=None, cache=None, offline=None, progress=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn load(
        py: Python<'_>,
        path: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = device_name)] device: &str,
        #[pyo3(from_py_with = weights_name)] weights: &str,
        max_context: Option<i64>,
        kv_cache_dtype: Option<&Bound<'_, PyAny>>,
        threads: Option<i64>,
        feature_cache: Option<i64>,
        thinking_style: Option<&Bound<'_, PyAny>>,
        revision: Option<String>,
        token: Option<String>,
        endpoint: Option<String>,
        cache: Option<&Bound<'_, PyAny>>,
        offline: Option<bool>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let path = match path {
            Some(path) => text::path(path)?,
            None => bundled(py)?,
        };
        let weights = weights.parse().map_err(|error| exception(py, &error))?;
        let mut options = LoadOptions::new().device(device).weights(weights);
        if let Some(tokens) = unsigned(py, "max_context", max_context)? {
            options = options.max_context(tokens);
        }
        if let Some(kind) = kv_cache_dtype {
            let kind = name(kind, "kv_cache_dtype")?.parse().map_err(|error| exception(py, &error))?;
            options = options.kv_cache_dtype(kind);
        }
        if let Some(threads) = unsigned(py, "threads", threads)? {
            options = options.threads(threads);
        }
        if let Some(bytes) = unsigned(py, "feature_cache", feature_cache)? {
            options = options.feature_cache(bytes);
        }
        if let Some(style) = thinking_style {
            let style = name(style, "thinking_style")?.parse().map_err(|error| exception(py, &error))?;
            options = options.thinking_style(style);
        }
        let mut hub = HubOptions::new();
        (hub.revision, hub.token, hub.endpoint, hub.offline) = (revision, token, endpoint, offline);
        hub.cache = cache.map(text::path).transpose()?;
        options = options.hub(hub);
        let model = watched(py, progress, move |watch| mimo_vl_core::Model::load_watched(path, &options, watch))?;
        Ok(Self { model })
    }

    /// What the vision tower makes of a picture: the numbers, as float32 row by row, and the numbers of rows and of columns. A
    /// row is for a token; numpy.frombuffer(values, "float32").reshape(rows, columns) makes an array of it.
    fn features<'py>(&self, image: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
        let py = image.py();
        let (image, model) = (as_image(image)?, self.model.clone());
        let features = watched(py, None, move |_| {
            let patches = preprocess_image(&image, model.preprocess_config())?;
            model.engine().encode(&patches, &CancelToken::new())
        })?;
        let bytes: Vec<u8> = features.values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let rows = features.values.len() / features.width.max(1);
        Ok((PyBytes::new(py, &bytes), rows, features.width))
    }

    /// Go on with a conversation that Session.save() wrote.
    fn load_session(&self, path: &Bound<'_, PyAny>) -> PyResult<Session> {
        let py = path.py();
        let (path, model) = (text::path(path)?, self.model.clone());
        Ok(Session::new(py.detach(move || model.load_session(path)).or_raise(py)?))
    }

    /// Ask several questions at once, each in a conversation of its own, up to `most` at a time; the answers are those that
    /// they would get alone, and come sooner together. Each prompt is what ask() takes as `parts`; options are for all.
    #[pyo3(signature = (prompts, *, most=8, system=None, thinking=None, **options))]
    fn batch<'py>(
        &self,
        py: Python<'py>,
        prompts: &Bound<'py, PyAny>,
        most: i64,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let generate = generate_options(py, options)?;
        let most: usize = unsigned(py, "most", Some(most))?.unwrap_or(1);
        let mut batch = self.model.batch(most);
        let prompts = prompts.try_iter()?.map(|parts| prompt(&parts?, system, thinking));
        let prompts = prompts.collect::<PyResult<Vec<_>>>()?;
        let cancel = batch.cancel();
        let (results, mut result) = mpsc::channel();
        worker::spawn(py, move || {
            let answers = worker::contain(move || {
                let numbers: Vec<usize> = prompts.iter().map(|prompt| batch.add(prompt, &generate)).collect();
                for (_, event) in batch.by_ref() {
                    event?;
                }
                let none = || Error::Internal { reason: "a batch without one of its answers".to_owned() };
                numbers.into_iter().map(|number| batch.answer(number).ok_or_else(none)).collect::<Result<Vec<_>, _>>()
            });
            drop(results.send(answers.flatten()));
        })?;
        let answers = worker::wait(py, None, &mut result).inspect_err(|_| cancel.cancel())?.or_raise(py)?;
        answers.iter().map(|answer| answer::answer(py, answer)).collect()
    }

    /// The tokenizer, the chat template, and how pictures become patches.
    #[getter]
    fn processor(&self) -> Processor {
        Processor::of(&self.model)
    }

    /// The tokens that end an answer.
    #[getter]
    fn eos_token_ids(&self) -> Vec<u32> {
        self.model.eos_token_ids().to_vec()
    }

    /// Continue prompts, each its token ids with one for each picture or video, and the patches of these; those of a video
    /// with the seconds between two steps in time. An answer goes up to a token in `ends`, which is part of it. `each` is
    /// called with the number of an answer and its next token. Of the options of ask() those that choose a token are taken.
    #[pyo3(signature = (prompts, *, ends, each=None, **options))]
    fn continue_ids(
        &self,
        py: Python<'_>,
        prompts: Vec<(Vec<u32>, Vec<Medium<'_>>)>,
        ends: Vec<u32>,
        each: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<Vec<u32>>> {
        for key in options.iter().flat_map(|options| options.keys()) {
            let key: String = key.extract()?;
            if !CHOOSING.contains(&key.as_str()) {
                return Err(PyTypeError::new_err(format!("argument '{key}': there is no such option")));
            }
        }
        let options = generate_options(py, options)?;
        let prompts = prompts.into_iter().map(|(ids, media)| {
            let media = media.into_iter().map(|(patches, seconds)| (patches.get().core(), seconds));
            generate::Prompt { ids, media: media.collect() }
        });
        let (prompts, model): (Vec<_>, _) = (prompts.collect(), self.model.clone());
        followed(py, each, move |cancel, each| generate::write(&model, &prompts, &options, &ends, cancel, &**each))
    }

    /// Open a conversation. It is a context manager that gives the memory back at its end.
    fn session(&self, py: Python<'_>) -> Session {
        py.detach(|| Session::new(self.model.session()))
    }

    /// The folder that it was loaded from.
    #[getter]
    fn path(&self) -> PathBuf {
        self.model.directory().to_path_buf()
    }

    /// Most tokens of a conversation with its answer.
    #[getter]
    fn max_context(&self) -> usize {
        self.model.max_context()
    }

    /// The device that it runs on.
    #[getter]
    fn device(&self) -> &str {
        self.model.device()
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.Model {:?} on {}>", self.model.directory(), self.device())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Model", "load it in each process; the weights are memory-mapped, so processes share them")
    }
}

impl Model {
    /// The core's model; its clones share the weights.
    pub(crate) fn core(&self) -> mimo_vl_core::Model {
        self.model.clone()
    }
}

/// Round the checkpoint in the folder `source` to `weights`, "int8" or "int4", once, and write it to the folder `target`,
/// from where it is loaded without rounding again. `questions` are texts: on each, the predictions of the rounded
/// model are compared with those of the model as stored. Gives the receipt, a JSON text with the error of every matrix.
/// `progress` is called with the bytes that are done and those there are.
#[pyfunction]
#[pyo3(signature = (source, target, *, weights="int4", questions=None, progress=None))]
pub(crate) fn quantize(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = weights_name)] weights: &str,
    questions: Option<Vec<String>>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let options = LoadOptions::new().weights(weights.parse().map_err(|error| exception(py, &error))?);
    let (source, target) = (text::path(source)?, text::path(target)?);
    let prompts: Vec<_> = questions.into_iter().flatten().map(|question| Prompt::user().text(question)).collect();
    let receipt =
        watched(py, progress, move |watch| mimo_vl_core::quantize(&source, &target, &options, &prompts, watch))?;
    let internal = |error: serde_json::Error| exception(py, &Error::Internal { reason: error.to_string() });
    serde_json::to_string(&receipt).map_err(internal)
}

fn device_name<'a>(device: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    name(device, "device")
}

fn weights_name<'a>(weights: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    name(weights, "weights")
}

/// An option that is a name.
fn name<'a>(value: &'a Bound<'_, PyAny>, option: &'static str) -> PyResult<&'a str> {
    text::utf8(value.cast::<PyString>()?, |reason| Error::Option { option, reason })
}

/// The folder of the model that comes with the package.
fn bundled(py: Python<'_>) -> PyResult<PathBuf> {
    let package: PathBuf = py.import("mimo_vl")?.getattr("__file__")?.extract()?;
    Ok(package.with_file_name("models").join("mimo-vl-tiny"))
}
