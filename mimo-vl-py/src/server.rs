//! `mimo_vl.Server`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mimo_vl_core::{CancelToken, Error, Result, ServeOptions};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::{OrRaise, exception, no_pickle};
use crate::model::Model;
use crate::prompt::unsigned;
use crate::text;
use crate::worker::{contain, lock, spawn, wait};

enum State {
    Bound(Box<mimo_vl_core::Server>),
    Running(Receiver<Result<()>>),
    Over,
}

/// How long stop() waits before it looks again whether the server has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A model behind HTTP, with the routes of OpenAI's chat completions: /v1/chat/completions, /v1/models, /metrics, /health.
///
/// The address is taken at once; run() serves until Ctrl-C or stop(), and a with block serves in the background.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Server {
    state: Mutex<State>,
    address: SocketAddr,
    cancel: CancelToken,
    /// Whether a thread serves.
    serving: Arc<AtomicBool>,
}

#[pymethods]
impl Server {
    /// `port` 0 takes one that is free. `name` is what clients call the model, `api_key` what they must send; `files` is the
    /// folder that file:// addresses may name, and `fetch` lets the server fetch pictures from other machines. `together`
    /// questions are answered at once and `queue` more may wait; the other limits are of one request. Times are in seconds.
    #[new]
    #[pyo3(signature = (
        model, *, host="127.0.0.1", port=8000, name=None, api_key=None, files=None, fetch=false, together=None, queue=None,
        connections=None, max_body=None, max_pixels=None, max_media=None, max_tokens=None, receive=None, answer=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        model: &Model,
        host: &str,
        port: u16,
        name: Option<String>,
        api_key: Option<String>,
        files: Option<&Bound<'_, PyAny>>,
        fetch: bool,
        together: Option<i64>,
        queue: Option<i64>,
        connections: Option<i64>,
        max_body: Option<i64>,
        max_pixels: Option<i64>,
        max_media: Option<i64>,
        max_tokens: Option<i64>,
        receive: Option<f64>,
        answer: Option<f64>,
    ) -> PyResult<Self> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut options = ServeOptions::new().address(format!("{host}:{port}")).fetch(fetch);
        options.name = name;
        options.api_key = api_key;
        options.files = files.map(text::path).transpose()?;
        options.max_pixels = unsigned(py, "max_pixels", max_pixels)?;
        for (option, value, field) in [
            ("together", together, &mut options.together),
            ("queue", queue, &mut options.queue),
            ("connections", connections, &mut options.connections),
            ("max_body", max_body, &mut options.max_body),
            ("max_media", max_media, &mut options.max_media),
            ("max_tokens", max_tokens, &mut options.max_tokens),
        ] {
            *field = unsigned(py, option, value)?.unwrap_or(*field);
        }
        for (option, value, field) in
            [("receive", receive, &mut options.receive), ("answer", answer, &mut options.answer)]
        {
            if let Some(seconds) = value {
                let refused = |error| exception(py, &Error::Option { option, reason: format!("{seconds}: {error}") });
                *field = Duration::try_from_secs_f64(seconds).map_err(refused)?;
            }
        }
        let model = model.core();
        let server = py.detach(move || mimo_vl_core::Server::bind(model, options)).or_raise(py)?;
        let address = server.address();
        Ok(Self {
            state: Mutex::new(State::Bound(Box::new(server))),
            address,
            cancel: CancelToken::new(),
            serving: Arc::default(),
        })
    }

    /// What clients take as their base address.
    #[getter]
    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port that it listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serve until Ctrl-C, which is a KeyboardInterrupt, or stop().
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let mut result = self.start(py)?;
        let ended = wait(py, None, &mut result);
        if ended.is_err() {
            self.cancel.cancel();
            self.wait_for_the_end(py)?;
        }
        ended?.or_raise(py)
    }

    /// Stop serving, from any thread, and wait until that is done.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.cancel.cancel();
        let before = std::mem::replace(&mut *lock(&self.state), State::Over);
        self.wait_for_the_end(py)?;
        match before {
            State::Running(mut result) => wait(py, None, &mut result)?.or_raise(py),
            State::Bound(_) | State::Over => Ok(()),
        }
    }

    fn __enter__(slf: PyRef<'_, Self>) -> PyResult<PyRef<'_, Self>> {
        let running = slf.start(slf.py())?;
        *lock(&slf.state) = State::Running(running);
        Ok(slf)
    }

    #[pyo3(signature = (exc_type, exc_value, traceback))]
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc_value: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc_value, traceback);
        self.stop(py)
    }

    fn __repr__(&self) -> String {
        format!("<mimo_vl.Server at {}>", self.url())
    }

    fn __reduce__(&self) -> PyResult<()> {
        no_pickle("Server", "send its url")
    }
}

impl Server {
    /// Wait until no thread serves; a signal may interrupt that.
    fn wait_for_the_end(&self, py: Python<'_>) -> PyResult<()> {
        while self.serving.load(Ordering::Acquire) {
            py.detach(|| thread::sleep(PAUSE));
            py.check_signals()?;
        }
        Ok(())
    }

    /// Serve on a thread of its own.
    fn start(&self, py: Python<'_>) -> PyResult<Receiver<Result<()>>> {
        match std::mem::replace(&mut *lock(&self.state), State::Over) {
            State::Bound(server) => {
                let (results, result) = mpsc::channel();
                let cancel = self.cancel.clone();
                let serving = Arc::clone(&self.serving);
                serving.store(true, Ordering::Release);
                spawn(py, move || {
                    let result = contain(|| server.run(&cancel)).flatten();
                    serving.store(false, Ordering::Release);
                    drop(results.send(result));
                })
                .inspect_err(|_| self.serving.store(false, Ordering::Release))?;
                Ok(result)
            }
            State::Running(result) => {
                *lock(&self.state) = State::Running(result);
                Err(PyRuntimeError::new_err("the server runs already"))
            }
            State::Over => Err(PyRuntimeError::new_err("the server was started before: make a new one")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
