//! `mimo_vl.Model`.

use std::path::PathBuf;

use mimo_vl_core::expert::{TokenPrompt, generate_ids, preprocess_image};
use mimo_vl_core::{BatchOptions, CallOptions, Error, HubOptions, LoadOptions, Prompt};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::answer;
use crate::call::{CancelToken, call_options, child_token, run_call};
use crate::error::{OrRaise, exception, no_pickle};
use crate::image::as_image;
use crate::number::unsigned;
use crate::options::generate_options;
use crate::processor::{MediaItem, Processor};
use crate::prompt::prompt_of;
use crate::session::Session;
use crate::text;
use crate::worker::{Report, run};

/// The options of ask() that generate_ids() takes.
const SAMPLING_OPTIONS: [&str; 9] =
    ["max_tokens", "temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "seed", "timeout"];

/// A loaded checkpoint. Any number of sessions, on any threads, share its weights.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Model {
    model: mimo_vl_core::Model,
}

#[pymethods]
impl Model {
    /// Loads the checkpoint in the folder `path` (config.json, safetensors, tokenizer.json, ...), or the GGUF file
    /// `path` with the vision tower's file beside it.
    ///
    /// "owner/name" loads a repository of the hub: missing files are downloaded at `revision`, with the access `token`,
    /// from `endpoint`, into the folder `cache`, which huggingface_hub shares, unless `offline`; see docs/guide/hub.md.
    ///
    /// Without a path: mimo-vl-tiny, a small model in the package. `device` is "cpu", "ndarray" or "cuda:0". `weights`
    /// is the number format of the weights in memory: "native" (as stored), "f32", "f16", "bf16", or quantized, "int8"
    /// or "int4". `max_context` is the largest number of tokens of a conversation, which bounds its memory.
    /// `kv_cache_dtype` is the number format of the KV cache: "f32", "f16" or "int8". `threads` is the number of CPU
    /// threads. `feature_cache` is the largest number of bytes of image features that all sessions keep.
    /// `thinking_style` is how the checkpoint's thinking is controlled: "slash", "tag" or "prefill". `cancel` is a
    /// CancelToken, `timeout` the time limit in seconds. `progress` is called with the bytes that are done and their
    /// total.
    #[staticmethod]
    #[pyo3(signature = (
        path=None, *, device="cpu", weights="native", max_context=None, kv_cache_dtype=None, threads=None,
        feature_cache=None, thinking_style=None, revision=None, token=None, endpoint=None, cache=None, offline=None,
        cancel=None, timeout=None, progress=None
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
        cancel: Option<&Bound<'_, CancelToken>>,
        timeout: Option<f64>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let path = match path {
            Some(path) => text::path(path)?,
            None => bundled_model(py)?,
        };
        let weights = weights.parse().map_err(|error| exception(py, &error))?;
        let mut options = LoadOptions::new().device(device).weights(weights);
        if let Some(tokens) = unsigned(py, "max_context", max_context)? {
            options = options.max_context(tokens);
        }
        if let Some(dtype) = kv_cache_dtype {
            let dtype = name(dtype, "kv_cache_dtype")?.parse().map_err(|error| exception(py, &error))?;
            options = options.kv_cache_dtype(dtype);
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
        let model = run_call(py, call_options(py, cancel, timeout)?, progress, move |call| {
            options.call = call;
            mimo_vl_core::Model::load(path, &options)
        })?;
        Ok(Self { model })
    }

    /// Returns the vision tower's features of an image: float32 values in bytes, row by row, the number of rows and the
    /// number of columns. A row is one token; numpy.frombuffer(values, "float32").reshape(rows, columns) makes an
    /// array.
    fn features<'py>(&self, image: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, usize, usize)> {
        let py = image.py();
        let (image, model) = (as_image(image)?, self.model.clone());
        let features = run_call(py, CallOptions::new(), None, move |call| {
            let patches = preprocess_image(&image, model.preprocess_config())?;
            model.engine().encode(&patches, &call.start())
        })?;
        let bytes: Vec<u8> = features.values.iter().flat_map(|value| value.to_ne_bytes()).collect();
        let rows = features.values.len() / features.width.max(1);
        Ok((PyBytes::new(py, &bytes), rows, features.width))
    }

    /// Continues a conversation that Session.save() wrote.
    fn load_session(&self, path: &Bound<'_, PyAny>) -> PyResult<Session> {
        let py = path.py();
        let (path, model) = (text::path(path)?, self.model.clone());
        Ok(Session::new(py.detach(move || model.load_session(path)).or_raise(py)?))
    }

    /// Answers several prompts at once, each in a conversation of its own and at most `max_concurrent` at a time. Each
    /// answer equals that of a separate session; together they take less time. A prompt is what ask() takes as `parts`;
    /// the options are those of ask() and apply to every prompt.
    #[pyo3(signature = (prompts, *, max_concurrent=8, system=None, thinking=None, cancel=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn batch<'py>(
        &self,
        py: Python<'py>,
        prompts: &Bound<'py, PyAny>,
        max_concurrent: i64,
        system: Option<&Bound<'py, PyString>>,
        thinking: Option<bool>,
        cancel: Option<&Bound<'py, CancelToken>>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let options = generate_options(py, options)?;
        let cancel = child_token(cancel);
        let mut batch_options = BatchOptions::new().cancel(&cancel);
        if let Some(prompts) = unsigned(py, "max_concurrent", Some(max_concurrent))? {
            batch_options = batch_options.max_concurrent(prompts);
        }
        let mut batch = self.model.batch(&batch_options);
        let prompts = prompts.try_iter()?.map(|parts| prompt_of(&parts?, system, thinking));
        let prompts = prompts.collect::<PyResult<Vec<_>>>()?;
        let answers = run(py, &cancel, None, move |_: &Report<()>| {
            let indices: Vec<usize> = prompts.iter().map(|prompt| batch.add(prompt, &options)).collect();
            for (_, event) in batch.by_ref() {
                event?;
            }
            let missing = || Error::Internal { reason: "a batch lacks one of its answers".to_owned() };
            indices.into_iter().map(|index| batch.answer(index).ok_or_else(missing)).collect::<Result<Vec<_>, _>>()
        })?;
        answers.iter().map(|answer| answer::answer(py, answer)).collect()
    }

    /// The tokenizer, the chat template and the preprocessing of images and videos.
    #[getter]
    fn processor(&self) -> Processor {
        Processor::of(&self.model)
    }

    /// The tokens that end an answer.
    #[getter]
    fn eos_token_ids(&self) -> Vec<u32> {
        self.model.eos_token_ids().to_vec()
    }

    /// Continues prompts of token ids. A prompt has one token for each media item, and the patches of these, with the
    /// seconds between two steps of the grid in time for a video. An answer ends with a token of `eos_token_ids`, which
    /// is part of it. `on_token` is called with the index of the prompt and its next token. Of the options of ask(),
    /// those of the sampler, `max_tokens` and `timeout` are accepted.
    #[pyo3(signature = (prompts, *, eos_token_ids, on_token=None, cancel=None, **options))]
    fn generate_ids(
        &self,
        py: Python<'_>,
        prompts: Vec<(Vec<u32>, Vec<MediaItem<'_>>)>,
        eos_token_ids: Vec<u32>,
        on_token: Option<&Bound<'_, PyAny>>,
        cancel: Option<&Bound<'_, CancelToken>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Vec<Vec<u32>>> {
        for key in options.iter().flat_map(|options| options.keys()) {
            let key: String = key.extract()?;
            if !SAMPLING_OPTIONS.contains(&key.as_str()) {
                return Err(PyTypeError::new_err(format!("argument '{key}': there is no such option")));
            }
        }
        let token = child_token(cancel);
        let options = generate_options(py, options)?.cancel(&token);
        let prompts = prompts.into_iter().map(|(ids, media)| {
            let media = media.into_iter().map(|(patches, seconds)| (patches.get().core(), seconds));
            TokenPrompt { ids, media: media.collect() }
        });
        let (prompts, model): (Vec<_>, _) = (prompts.collect(), self.model.clone());
        run(py, &token, on_token, move |report| {
            generate_ids(&model, &prompts, &options, &eos_token_ids, |index, id| report((index, id)))
        })
    }

    /// Opens a conversation. It is a context manager that frees its memory at the end.
    fn session(&self, py: Python<'_>) -> Session {
        py.detach(|| Session::new(self.model.session()))
    }

    /// Folder of the checkpoint.
    #[getter]
    fn path(&self) -> PathBuf {
        self.model.directory().to_path_buf()
    }

    /// Largest number of tokens of a conversation with its answer.
    #[getter]
    fn max_context(&self) -> usize {
        self.model.max_context()
    }

    /// Device of the weights.
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

/// Quantizes the checkpoint in the folder `source` to `weights`, "int8" or "int4", and writes it to the folder
/// `target`, which loads without quantizing again. On each text of `prompts`, the predictions of the quantized model
/// are compared with those of the model as stored. Returns the report, a JSON text with the error of every matrix.
/// `cancel` is a CancelToken, `timeout` the time limit in seconds; `progress` is called with the bytes that are done
/// and their total.
#[pyfunction]
#[pyo3(signature = (source, target, *, weights="int4", prompts=None, cancel=None, timeout=None, progress=None))]
#[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
pub(crate) fn quantize(
    py: Python<'_>,
    source: &Bound<'_, PyAny>,
    target: &Bound<'_, PyAny>,
    #[pyo3(from_py_with = weights_name)] weights: &str,
    prompts: Option<Vec<String>>,
    cancel: Option<&Bound<'_, CancelToken>>,
    timeout: Option<f64>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    let mut options = LoadOptions::new().weights(weights.parse().map_err(|error| exception(py, &error))?);
    let (source, target) = (text::path(source)?, text::path(target)?);
    let prompts: Vec<_> = prompts.into_iter().flatten().map(|text| Prompt::user().text(text)).collect();
    let report = run_call(py, call_options(py, cancel, timeout)?, progress, move |call| {
        options.call = call;
        mimo_vl_core::quantize(&source, &target, &options, &prompts)
    })?;
    let internal = |error: serde_json::Error| exception(py, &Error::Internal { reason: error.to_string() });
    serde_json::to_string(&report).map_err(internal)
}

fn device_name<'a>(device: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    name(device, "device")
}

fn weights_name<'a>(weights: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    name(weights, "weights")
}

/// The value of an option that is a name.
fn name<'a>(value: &'a Bound<'_, PyAny>, option: &'static str) -> PyResult<&'a str> {
    text::utf8(value.cast::<PyString>()?, |reason| Error::Option { option, reason })
}

/// The folder of the model in the package.
fn bundled_model(py: Python<'_>) -> PyResult<PathBuf> {
    let package: PathBuf = py.import("mimo_vl")?.getattr("__file__")?.extract()?;
    Ok(package.with_file_name("models").join("mimo-vl-tiny"))
}
