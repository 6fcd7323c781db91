//! A server that speaks OpenAI's chat completions over HTTP, with pictures and videos.
//!
//! | route | |
//! |---|---|
//! | `POST /v1/chat/completions` | a question, answered as a whole or as server-sent events |
//! | `GET /v1/models`, `/v1/models/{name}` | the one model that is served |
//! | `GET /metrics` | counters in Prometheus' text format |
//! | `GET /health` | whether it runs |
//!
//! Questions are answered together, token by token ([`Batch`](crate::session::Batch)); one that comes while others are
//! answered joins them. A client that goes away ends its question. Connections, bodies, pictures, answers, the queue and
//! time have limits: see [`ServeOptions`].

mod connection;
mod error;
mod media;
mod metrics;
mod options;
mod request;
mod response;
mod tool_call_filter;
mod worker;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use self::connection::{Shared, accept};
use self::metrics::Metrics;
use self::worker::Worker;
use crate::cancel::CancelToken;
use crate::error::{Error, Result};
use crate::session::Model;

pub use self::options::ServeOptions;

/// How long the last replies may take when the server ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// A server that is bound to its address, and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    model: Model,
    options: ServeOptions,
}

impl Server {
    /// Take the address; connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Option`] when the address cannot be had, the folder for files does not exist, or an option is out of its range.
    pub fn bind(model: Model, options: ServeOptions) -> Result<Self> {
        let options = options.checked()?;
        let taken = |error: std::io::Error| Error::option("address", format!("{}: {error}", options.address));
        let listener = TcpListener::bind(&options.address).map_err(taken)?;
        listener.set_nonblocking(true).map_err(taken)?;
        let address = listener.local_addr().map_err(taken)?;
        if !address.ip().is_loopback() && options.api_key.is_none() {
            tracing::warn!(%address, "other machines can reach the server, and it asks for no key");
        }
        Ok(Self { listener, address, model, options })
    }

    /// Where it listens; with port 0 in the options, this has the port that was free.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serve until `cancel` is raised. What is being answered then ends with an error.
    ///
    /// # Errors
    /// [`Error::Internal`] when the system gives no threads.
    pub fn run(self, cancel: &CancelToken) -> Result<()> {
        let Self { listener, model, options, .. } = self;
        let failed = |error: std::io::Error| Error::internal(format!("the server cannot start: {error}"));
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(failed)?;
        let metrics = Arc::new(Metrics::default());
        let worker = Worker::start(model.clone(), options.together, metrics.clone())?;
        let shared = Arc::new(Shared::new(model, options, worker.jobs(), metrics));
        let result = runtime.block_on(accept(listener, shared, cancel.clone())).map_err(failed);
        // First the answers, so that those who wait for them are told.
        worker.stop();
        runtime.shutdown_timeout(FAREWELL);
        result
    }
}
