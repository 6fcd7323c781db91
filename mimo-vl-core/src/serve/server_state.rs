//! The state that all connections of a server share.

use std::sync::{Arc, mpsc};

use hyper::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use super::metrics::Metrics;
use super::options::ServeOptions;
use super::worker::Job;
use crate::session::Model;

/// State that all connections share.
pub(super) struct ServerState {
    pub(super) model: Model,
    pub(super) model_name: String,
    pub(super) options: ServeOptions,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) metrics: Arc<Metrics>,
    /// One permit for each request that may be queued or decoded.
    request_permits: Arc<Semaphore>,
}

impl ServerState {
    pub(super) fn new(model: Model, options: ServeOptions, jobs: mpsc::Sender<Job>, metrics: Arc<Metrics>) -> Self {
        let folder = || model.directory().file_name().map(|name| name.to_string_lossy().into_owned());
        let model_name = options.served_model_name.clone().or_else(folder).unwrap_or_else(|| "mimo-vl".into());
        let max_requests = options.max_concurrent.saturating_add(options.max_queued);
        let request_permits = Arc::new(Semaphore::new(max_requests.min(Semaphore::MAX_PERMITS)));
        Self { model, model_name, options, jobs, metrics, request_permits }
    }

    /// A place among the requests that may be queued or decoded.
    pub(super) fn request_permit(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let full = |_| ApiError::new(StatusCode::TOO_MANY_REQUESTS, "the request queue is full: try again later");
        self.request_permits.clone().try_acquire_owned().map_err(full)
    }
}
