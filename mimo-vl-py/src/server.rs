//! `mimo_vl.Server`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mimo_vl_core::expert::contain;
use mimo_vl_core::{CancelToken, Error, Result, ServeOptions};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use crate::error::{OrRaise, exception, no_pickle};
use crate::model::Model;
use crate::number::unsigned;
use crate::text;
use crate::worker::{lock, spawn, wait};

enum State {
    Bound(Box<mimo_vl_core::Server>),
    Running(Receiver<Result<()>>),
    Stopped,
}

/// Interval at which stop() checks whether the server has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// HTTP server of the OpenAI chat completions API: /v1/chat/completions, /v1/models, /metrics, /health.
///
/// The address is bound at once; run() serves until Ctrl-C or stop(), and a with block serves in the background.
#[pyclass(frozen, module = "mimo_vl")]
pub(crate) struct Server {
    state: Mutex<State>,
    address: SocketAddr,
    cancel: CancelToken,
    /// True while a thread serves.
    serving: Arc<AtomicBool>,
}

#[pymethods]
impl Server {
    /// `port` 0 takes a free one. `served_model_name` is the model name that clients send, `api_key` the key that they
    /// must send. Web pages of this machine may call the server, and those of the `allowed_origins`, such as
    /// "https://example.com"; "*" allows all. `media_root` is the folder whose files file:// URLs may name;
    /// `allow_remote_media` lets the server download media from http:// and https:// URLs. `max_concurrent` requests
    /// are decoded at once, `max_queued` more may wait, and `max_connections` may be open. `max_body_bytes`,
    /// `max_image_pixels`, `max_media_items`, `max_choices` and `max_tokens` limit one request. `request_timeout` is
    /// the time for a request to arrive, `completion_timeout` the time from its arrival to the end of its answer, both
    /// in seconds. None takes the default.
    #[new]
    #[pyo3(signature = (
        model, *, host="127.0.0.1", port=8000, served_model_name=None, api_key=None, allowed_origins=None,
        media_root=None, allow_remote_media=false, max_concurrent=None, max_queued=None, max_connections=None,
        max_body_bytes=None, max_image_pixels=None, max_media_items=None, max_choices=None, max_tokens=None,
        request_timeout=None, completion_timeout=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        model: &Model,
        host: &str,
        port: u16,
        served_model_name: Option<String>,
        api_key: Option<String>,
        allowed_origins: Option<Vec<String>>,
        media_root: Option<&Bound<'_, PyAny>>,
        allow_remote_media: bool,
        max_concurrent: Option<i64>,
        max_queued: Option<i64>,
        max_connections: Option<i64>,
        max_body_bytes: Option<i64>,
        max_image_pixels: Option<i64>,
        max_media_items: Option<i64>,
        max_choices: Option<i64>,
        max_tokens: Option<i64>,
        request_timeout: Option<f64>,
        completion_timeout: Option<f64>,
    ) -> PyResult<Self> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let mut options = ServeOptions::new().address(format!("{host}:{port}")).allow_remote_media(allow_remote_media);
        options.served_model_name = served_model_name;
        options.api_key = api_key;
        options.allowed_origins = allowed_origins.unwrap_or_default();
        options.media_root = media_root.map(text::path).transpose()?;
        options.max_image_pixels = unsigned(py, "max_image_pixels", max_image_pixels)?;
        for (option, value, field) in [
            ("max_concurrent", max_concurrent, &mut options.max_concurrent),
            ("max_queued", max_queued, &mut options.max_queued),
            ("max_connections", max_connections, &mut options.max_connections),
            ("max_body_bytes", max_body_bytes, &mut options.max_body_bytes),
            ("max_media_items", max_media_items, &mut options.max_media_items),
            ("max_choices", max_choices, &mut options.max_choices),
            ("max_tokens", max_tokens, &mut options.max_tokens),
        ] {
            *field = unsigned(py, option, value)?.unwrap_or(*field);
        }
        for (option, value, field) in [
            ("request_timeout", request_timeout, &mut options.request_timeout),
            ("completion_timeout", completion_timeout, &mut options.completion_timeout),
        ] {
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

    /// Base URL for clients.
    #[getter]
    fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The port that the server listens on.
    #[getter]
    fn port(&self) -> u16 {
        self.address.port()
    }

    /// Serves until stop(), or until Ctrl-C, which raises KeyboardInterrupt.
    fn run(&self, py: Python<'_>) -> PyResult<()> {
        let mut result = self.start(py)?;
        let ended = wait(py, &mut result);
        if ended.is_err() {
            self.cancel.cancel();
            self.wait_until_stopped(py)?;
        }
        ended?.or_raise(py)
    }

    /// Stops the server, from any thread, and waits until it has ended.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.cancel.cancel();
        let before = std::mem::replace(&mut *lock(&self.state), State::Stopped);
        self.wait_until_stopped(py)?;
        match before {
            State::Running(mut result) => wait(py, &mut result)?.or_raise(py),
            State::Bound(_) | State::Stopped => Ok(()),
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
    /// Waits until no thread serves; a signal may interrupt the wait.
    fn wait_until_stopped(&self, py: Python<'_>) -> PyResult<()> {
        while self.serving.load(Ordering::Acquire) {
            py.detach(|| thread::sleep(POLL_INTERVAL));
            py.check_signals()?;
        }
        Ok(())
    }

    /// Starts the thread that serves.
    fn start(&self, py: Python<'_>) -> PyResult<Receiver<Result<()>>> {
        match std::mem::replace(&mut *lock(&self.state), State::Stopped) {
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
                Err(PyRuntimeError::new_err("the server is already running"))
            }
            State::Stopped => Err(PyRuntimeError::new_err("the server was started before: create a new one")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}
