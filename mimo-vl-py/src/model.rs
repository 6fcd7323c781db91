//! `mimo_vl.Model`.

use std::path::PathBuf;
use std::sync::mpsc;

use mimo_vl_core::error::Error;
use mimo_vl_core::session::{self, LoadOptions};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::answer;
use crate::error::{OrRaise, exception, no_pickle};
use crate::prompt::{generate, prompt, unsigned};
use crate::session::Session;
use crate::text;
use crate::worker;

/// A loaded checkpoint. Any number of sessions, on any threads, share its weights.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Model {
    model: session::Model,
}

#[pymethods]
impl Model {
    /// Load the checkpoint in the folder `path`: config.json, safetensors, tokenizer.json, ... Or the GGUF file `path`, with
    /// the vision tower's beside it.
    ///
    /// Without a path: mimo-vl-tiny, a small model that comes with the package. `device` is "cpu", "ndarray" or
    /// "cuda:0". `weights` is the type that weights have in memory: "native", the one in the files, "f32", "f16", "bf16",
    /// or, rounded, "int8" or "int4". `max_context` bounds the tokens of a conversation, and with them its memory.
    /// `kv_cache` is the type of keys and values of earlier tokens: "f32", "f16" or "int8". `threads` is the number of
    /// threads on the CPU. `progress` is called with the bytes that are done and those there are.
    #[staticmethod]
    #[pyo3(signature = (
        path=None, *, device="cpu", weights="native", max_context=None, kv_cache=None, threads=None, progress=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn load(
        py: Python<'_>,
        path: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = device_name)] device: &str,
        #[pyo3(from_py_with = weights_name)] weights: &str,
        max_context: Option<i64>,
        kv_cache: Option<&Bound<'_, PyAny>>,
        threads: Option<i64>,
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
        if let Some(kind) = kv_cache {
            let kind = name(kind, "kv_cache")?.parse().map_err(|error| exception(py, &error))?;
            options = options.kv_cache(kind);
        }
        if let Some(threads) = unsigned(py, "threads", threads)? {
            options = options.threads(threads);
        }
        let model = worker::watched(py, progress, move |watch| session::Model::load_watched(path, &options, watch))?;
        Ok(Self { model })
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
        let generate = generate(py, options)?;
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
