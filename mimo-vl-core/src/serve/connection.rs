//! HTTP connections: routes, authorization, and the transfer of answers.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use hyper::http::HeaderValue;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::ApiError;
use super::metrics::Metrics;
use super::options::ServeOptions;
use super::request::ParsedRequest;
use super::response::{ResponseFormatter, region};
use super::tool_call_filter::ContentFilter;
use super::worker::{Job, WorkerEvent};
use crate::answer::Event;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::session::{Answer, Model};

type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

/// Interval at which the end of the server is checked, and the delay after a failed `accept`.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Events of a stream that are buffered for a slow client.
const STREAM_BUFFER: usize = 32;

/// State that all connections share.
pub(super) struct ServerState {
    model: Model,
    model_name: String,
    options: ServeOptions,
    jobs: mpsc::Sender<Job>,
    metrics: Arc<Metrics>,
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
}

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
    let response = match route(&state, request).await {
        Ok(response) => response,
        Err(error) => {
            let mut response = json_response(error.status, &error.json());
            if error.status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    };
    state.metrics.count_reply(response.status().as_u16());
    Ok(response)
}

async fn route(state: &Arc<ServerState>, request: Request<Incoming>) -> Result<Response<ResponseBody>, ApiError> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/health" {
        return Ok(json_response(StatusCode::OK, &json!({"status": "ok"})));
    }
    check_key(state, &request)?;
    let model = || json!({"id": state.model_name, "object": "model", "created": 0, "owned_by": "mimo-vl"});
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
        (&Method::POST, "/v1/chat/completions") => complete(state, request).await,
        (_, "/metrics" | "/v1/models" | "/v1/chat/completions") => {
            Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not support {method}")))
        }
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, format!("there is no route {path}"))),
    }
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

async fn complete(state: &Arc<ServerState>, request: Request<Incoming>) -> Result<Response<ResponseBody>, ApiError> {
    let deadline = Instant::now() + state.options.completion_timeout;
    let full = || ApiError::new(StatusCode::TOO_MANY_REQUESTS, "the request queue is full: try again later");
    let permit = state.request_permits.clone().try_acquire_owned().map_err(|_| full())?;
    let body = read_body(state, request).await?;
    let reader = state.clone();
    // The permit moves with the work, so that it stays taken until that ends, even if the client is gone.
    let parsed =
        tokio::task::spawn_blocking(move || (ParsedRequest::parse(&body, &reader.model_name, &reader.options), permit));
    let parsed = timeout_at(deadline, parsed).await.map_err(|_| timed_out())?;
    let (request, permit) = parsed.map_err(|_| ApiError::from(Error::internal("parsing the request panicked")))?;
    let ParsedRequest { prompt, options, stream, include_usage, tools } = request?;
    let (sender, events) = unbounded_channel();
    let cancel = CancelToken::new();
    let job = Job { prompt, options: options.cancel(&cancel), events: sender };
    state.jobs.send(job).map_err(|_| ApiError::from(Error::internal("the worker thread has ended")))?;
    let mut answer = AnswerReceiver { events, cancel, deadline, _permit: permit };
    // The status goes out before the first event: a request that fails at once gets an error status.
    let first = answer.next().await?;
    let formatter = ResponseFormatter::new(&state.model_name);
    if stream {
        let (sender, body) = Channel::new(STREAM_BUFFER);
        let format = StreamFormat { include_usage, tools };
        tokio::spawn(send_stream(state.clone(), formatter, answer, first, sender, format));
        let mut response = Response::new(body.boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    let mut item = first;
    loop {
        match item {
            AnswerItem::Done(answer) => {
                let completion = formatter.completion(&answer, state.model.tokenizer(), tools);
                return Ok(json_response(StatusCode::OK, &completion));
            }
            AnswerItem::Event(_) => item = answer.next().await?,
        }
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

fn timed_out() -> ApiError {
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "the completion timed out")
}

/// Receives the items of one answer in order. Dropping it cancels the request.
struct AnswerReceiver {
    events: UnboundedReceiver<WorkerEvent>,
    cancel: CancelToken,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

/// An item of an answer without error; `Done` is the last.
enum AnswerItem {
    Event(Box<Event>),
    Done(Box<Answer>),
}

impl AnswerReceiver {
    async fn next(&mut self) -> Result<AnswerItem, ApiError> {
        match timeout_at(self.deadline, self.events.recv()).await.map_err(|_| timed_out())? {
            Some(WorkerEvent::Event(event)) => Ok(AnswerItem::Event(Box::new(event))),
            Some(WorkerEvent::Done(answer)) => Ok(AnswerItem::Done(answer)),
            Some(WorkerEvent::Failed(error)) => Err(error.into()),
            None => Err(Error::Cancelled.into()),
        }
    }
}

impl Drop for AnswerReceiver {
    fn drop(&mut self) {
        self.events.close();
        self.cancel.cancel();
    }
}

/// Format of a streamed answer.
struct StreamFormat {
    /// Last event with the token counts.
    include_usage: bool,
    /// Tool calls in an event of their own.
    tools: bool,
}

/// Sends an answer as server-sent events until it ends or the client is gone.
async fn send_stream(
    state: Arc<ServerState>,
    formatter: ResponseFormatter,
    mut answer: AnswerReceiver,
    first: AnswerItem,
    mut sender: Sender<Bytes>,
    StreamFormat { include_usage, tools }: StreamFormat,
) {
    let mut filter = tools.then(ContentFilter::default);
    let mut next: Result<AnswerItem, ApiError> = Ok(first);
    let deadline = answer.deadline;
    let mut send = async |data: &(dyn Display + Sync)| {
        let sent = timeout_at(deadline, sender.send_data(Bytes::from(format!("data: {data}\n\n")))).await;
        sent.is_ok_and(|sent| sent.is_ok())
    };
    let mut open = send(&formatter.chunk(json!({"role": "assistant", "content": ""}))).await;
    while open {
        match next {
            Ok(AnswerItem::Event(event)) => {
                let event = match (*event, &mut filter) {
                    (Event::Text(text), Some(filter)) => Event::Text(filter.push(&text)),
                    (event, _) => event,
                };
                open = match delta(event) {
                    Some(delta) => send(&formatter.chunk(delta)).await,
                    None => true,
                };
            }
            Ok(AnswerItem::Done(answer)) => {
                for chunk in formatter.final_chunks(&answer, state.model.tokenizer(), filter.as_ref()) {
                    open = open && send(&chunk).await;
                }
                open = open && (!include_usage || send(&formatter.usage_chunk(&answer)).await);
                break;
            }
            Err(error) => {
                open = send(&error.json()).await;
                break;
            }
        }
        next = answer.next().await;
    }
    if open {
        send(&"[DONE]").await;
    }
}

/// The `delta` of a chunk; `None` for an event that has none.
fn delta(event: Event) -> Option<Value> {
    match event {
        Event::Text(text) if text.is_empty() => None,
        Event::Thinking(text) => Some(json!({"reasoning_content": text})),
        Event::Text(text) => Some(json!({"content": text})),
        Event::Region(found) => Some(json!({"regions": [region(&found)]})),
        Event::End(_) => None,
    }
}

fn json_response(status: StatusCode, json: &Value) -> Response<ResponseBody> {
    response(status, "application/json", Bytes::from(json.to_string()))
}

fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
