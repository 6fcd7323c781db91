//! HTTP connections: routes, authorization, and the transfer of answers.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, RETRY_AFTER};
use hyper::http::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::api::Api;
use super::completion::complete;
use super::error::ApiError;
use super::http_response::{ResponseBody, json_response, response};
use super::origin::Origin;
use super::request_log::RequestLog;
use super::server_state::ServerState;
use crate::cancel::CancelToken;

/// Interval at which the end of the server is checked, and the delay after a failed `accept`.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Accepts connections until `cancel` is cancelled.
pub(super) async fn accept(
    listener: std::net::TcpListener,
    state: Arc<ServerState>,
    cancel: CancelToken,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let max_connections = state.options.max_connections.min(Semaphore::MAX_PERMITS);
    let connection_permits = Arc::new(Semaphore::new(max_connections));
    while !cancel.is_cancelled() {
        let next = async {
            let permit = connection_permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            next = next => next,
            () = sleep(POLL_INTERVAL) => continue,
        };
        // The client is gone, or no file descriptor is left: neither ends the server.
        let Ok((stream, _)) = stream else {
            sleep(POLL_INTERVAL).await;
            continue;
        };
        // Each event of a stream goes out at once.
        let _ = stream.set_nodelay(true);
        let state = state.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| handle(state.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(state.options.request_timeout)
                // One request per connection, so that its time is bounded also where a client does not read.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let max_time = 3 * state.options.request_timeout + state.options.completion_timeout;
            match timeout(max_time, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                Err(_) => tracing::debug!("a connection timed out"),
            }
        });
    }
    Ok(())
}

async fn handle(state: Arc<ServerState>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    let mut log = Some(RequestLog::new(request.method().clone(), request.uri().path().to_owned()));
    let (origin, result) = match Origin::check(request.headers(), &state.options.allowed_origins) {
        Ok(origin) if request.method() == Method::OPTIONS => {
            let response = preflight(&origin);
            (Some(origin), Ok(response))
        }
        Ok(origin) => (Some(origin), route(&state, request, &mut log).await),
        Err(error) => (None, Err(error)),
    };
    let mut response = result.unwrap_or_else(|error| {
        let mut response = json_response(error.status, &error.json());
        if error.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    });
    if let Some(origin) = origin {
        origin.add_headers(response.headers_mut());
    }
    state.metrics.count_reply(response.status().as_u16());
    if let Some(mut log) = log {
        log.set_status(response.status());
    }
    Ok(response)
}

/// The reply to a browser that asks whether a page may send a request.
fn preflight(origin: &Origin) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed_unsync());
    *response.status_mut() = StatusCode::NO_CONTENT;
    origin.add_preflight_headers(response.headers_mut());
    response
}

async fn route(
    state: &Arc<ServerState>,
    request: Request<Incoming>,
    log: &mut Option<RequestLog>,
) -> Result<Response<ResponseBody>, ApiError> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/health" {
        return Ok(json_response(StatusCode::OK, &json!({"status": "ok"})));
    }
    if path == "/" && method == Method::GET {
        return Ok(json_response(StatusCode::OK, &description()));
    }
    check_key(state, &request)?;
    let model = || json!({"id": state.model_name, "object": "model", "created": 0, "owned_by": "mimo-vl"});
    if let (&Method::POST, Some(api)) = (&method, api(&path)) {
        let deadline = Instant::now() + state.options.completion_timeout;
        let permit = state.request_permit()?;
        let body = read_body(state, request).await?;
        return complete(state, api, body, permit, deadline, log).await;
    }
    match (&method, path.as_str()) {
        (&Method::GET, "/metrics") => {
            Ok(response(StatusCode::OK, "text/plain; version=0.0.4", Bytes::from(state.metrics.text())))
        }
        (&Method::GET, "/v1/models") => {
            Ok(json_response(StatusCode::OK, &json!({"object": "list", "data": [model()]})))
        }
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            let name = path.trim_start_matches("/v1/models/");
            if name == state.model_name {
                Ok(json_response(StatusCode::OK, &model()))
            } else {
                Err(ApiError::model_not_found(name, &state.model_name))
            }
        }
        (_, known) if api(known).is_some() || matches!(known, "/metrics" | "/v1/models") => {
            Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not support {method}")))
        }
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, format!("there is no route {path}"))),
    }
}

/// The API of a route.
fn api(path: &str) -> Option<Api> {
    match path {
        "/v1/chat/completions" => Some(Api::Chat),
        "/v1/completions" => Some(Api::Text),
        "/v1/responses" => Some(Api::Responses),
        _ => None,
    }
}

/// A description of this server, for someone who opens its address.
fn description() -> Value {
    json!({
        "name": "mimo-vl",
        "version": env!("CARGO_PKG_VERSION"),
        "description": "MiMo-VL behind the OpenAI chat completions API",
        "routes": [
            "POST /v1/chat/completions", "POST /v1/responses", "POST /v1/completions", "GET /v1/models", "GET /metrics",
            "GET /health",
        ],
    })
}

fn check_key(state: &ServerState, request: &Request<Incoming>) -> Result<(), ApiError> {
    let Some(key) = &state.options.api_key else { return Ok(()) };
    let sent = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Every byte is compared, so that the time does not reveal how many are right.
    let matches = |sent: &[u8]| {
        sent.len() == key.len() && sent.iter().zip(key.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    };
    if sent.is_some_and(matches) {
        Ok(())
    } else {
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "missing or wrong API key: send Authorization: Bearer KEY"))
    }
}

async fn read_body(state: &ServerState, request: Request<Incoming>) -> Result<Bytes, ApiError> {
    let max_bytes = state.options.max_body_bytes;
    let slow = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time");
    let large =
        || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body has more than {max_bytes} bytes"));
    let deadline = Instant::now() + state.options.request_timeout;
    match timeout_at(deadline, Limited::new(request.into_body(), max_bytes).collect()).await.map_err(slow)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(large()),
        Err(error) => Err(ApiError::bad_request("body", format!("the request body is incomplete: {error}"))),
    }
}
