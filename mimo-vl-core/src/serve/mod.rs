//! HTTP server of the OpenAI chat completions API, with images and videos.
//!
//! | route | reply |
//! |---|---|
//! | `POST /v1/chat/completions` | the completion, as one JSON object or as server-sent events |
//! | `POST /v1/responses` | the same with the responses API, without stored state |
//! | `POST /v1/completions` | the continuation of a text, without the chat template |
//! | `GET /v1/models`, `/v1/models/{name}` | the one model that is served |
//! | `GET /metrics` | counters in the Prometheus text format |
//! | `GET /health` | `{"status": "ok"}` while the server runs |
//! | `GET /` | what this server is |
//!
//! Concurrent requests are decoded in one [`Batch`](crate::session::Batch); a new request joins those that are running.
//! A client that disconnects ends its request. [`ServeOptions`] limits connections, request bodies, media, answers, the
//! queue and time.

mod api;
mod chat_reply;
mod completion;
mod connection;
mod content;
mod error;
mod fields;
mod http_response;
mod media;
mod metrics;
mod options;
mod origin;
mod reply;
mod request;
mod request_log;
mod response_format;
mod responses_reply;
mod responses_request;
mod server_state;
mod text_reply;
mod tool_call_filter;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use self::connection::accept;
use self::metrics::Metrics;
use self::server_state::ServerState;
use self::worker::Worker;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::session::Model;

pub use self::options::ServeOptions;

/// Time that the last replies have to reach their clients when the server stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// An HTTP server that is bound to its address and starts with [`run`](Self::run).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    model: Model,
    options: ServeOptions,
}

impl Server {
    /// Binds the address; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Option`] when the address cannot be bound, `media_root` is not a folder, or an option is out of range.
    pub fn bind(model: Model, options: ServeOptions) -> Result<Self> {
        let mut options = options.checked()?;
        let limit = u32::try_from(model.preprocess_config().max_pixels).unwrap_or(u32::MAX);
        options.max_image_pixels = Some(options.max_image_pixels.map_or(limit, |pixels| pixels.min(limit)));
        let bind_error = |error: std::io::Error| Error::option("address", format!("{}: {error}", options.address));
        let listener = TcpListener::bind(&options.address).map_err(bind_error)?;
        listener.set_nonblocking(true).map_err(bind_error)?;
        let address = listener.local_addr().map_err(bind_error)?;
        if !address.ip().is_loopback() && options.api_key.is_none() {
            tracing::warn!(%address, "the server is reachable from other machines and requires no API key");
        }
        Ok(Self { listener, address, model, options })
    }

    /// The bound address; where the options have port 0, it has the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `cancel` is cancelled. Requests that are in progress then end with an error.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no threads.
    pub fn run(self, cancel: &CancelToken) -> Result<()> {
        let Self { listener, model, options, .. } = self;
        let failed = |error: std::io::Error| Error::internal(format!("the server cannot start: {error}"));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
        let metrics = Arc::new(Metrics::default());
        let worker = Worker::start(model.clone(), options.max_concurrent, metrics.clone())?;
        let state = Arc::new(ServerState::new(model, options, worker.jobs(), metrics));
        let result = runtime.block_on(accept(listener, state, cancel.clone())).map_err(failed);
        // The worker stops first, so that clients that wait get an error reply.
        worker.stop();
        runtime.shutdown_timeout(SHUTDOWN_GRACE);
        result
    }
}
