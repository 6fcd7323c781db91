//! Connections, and what is asked over them.

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
use super::request::Chat;
use super::response::{Head, region};
use super::tool_call_filter::ContentFilter;
use super::worker::{Job, Told};
use crate::answer::Event;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::session::{Answer, Model};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long it may take to notice that the server is to end, and how long to wait when the system gives no connection.
const PAUSE: Duration = Duration::from_millis(50);
/// Parts of an answer that wait for a slow client before the thread that reads them does.
const BUFFERED: usize = 32;

/// What all connections share.
pub(super) struct Shared {
    model: Model,
    name: String,
    options: ServeOptions,
    jobs: mpsc::Sender<Job>,
    metrics: Arc<Metrics>,
    /// One for every question that may be there at once.
    places: Arc<Semaphore>,
}

impl Shared {
    pub(super) fn new(model: Model, options: ServeOptions, jobs: mpsc::Sender<Job>, metrics: Arc<Metrics>) -> Self {
        let folder = || model.directory().file_name().map(|name| name.to_string_lossy().into_owned());
        let name = options.name.clone().or_else(folder).unwrap_or_else(|| "mimo-vl".into());
        let places =
            Arc::new(Semaphore::new(options.together.saturating_add(options.queue).min(Semaphore::MAX_PERMITS)));
        Self { model, name, options, jobs, metrics, places }
    }
}

/// Take connections until `cancel` is raised.
pub(super) async fn accept(
    listener: std::net::TcpListener,
    shared: Arc<Shared>,
    cancel: CancelToken,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(shared.options.connections.min(Semaphore::MAX_PERMITS)));
    while !cancel.is_cancelled() {
        let next = async {
            let place = connections.clone().acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, stream) = tokio::select! {
            next = next => next,
            () = sleep(PAUSE) => continue,
        };
        // A client that gave up before it was accepted, or no file handle left: neither ends the server.
        let Ok((stream, _)) = stream else {
            sleep(PAUSE).await;
            continue;
        };
        // Each event of a stream is to go out at once.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let _place = place;
            let service = service_fn(|request| handle(shared.clone(), request));
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(shared.options.receive)
                // One request each, so that the time of a connection has a limit also where a client does not read.
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            let longest = 3 * shared.options.receive + shared.options.answer;
            match timeout(longest, connection).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection ended early"),
                Err(_) => tracing::debug!("a connection took too long"),
            }
        });
    }
    Ok(())
}

async fn handle(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let response = match route(&shared, request).await {
        Ok(response) => response,
        Err(refusal) => {
            let mut response = json_response(refusal.status, &refusal.json());
            if refusal.status == StatusCode::TOO_MANY_REQUESTS {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            response
        }
    };
    shared.metrics.replied(response.status().as_u16());
    Ok(response)
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/health" {
        return Ok(json_response(StatusCode::OK, &json!({"status": "ok"})));
    }
    check_key(shared, &request)?;
    let model = || json!({"id": shared.name, "object": "model", "created": 0, "owned_by": "mimo-vl"});
    match (&method, path.as_str()) {
        (&Method::GET, "/metrics") => {
            Ok(response(StatusCode::OK, "text/plain; version=0.0.4", Bytes::from(shared.metrics.text())))
        }
        (&Method::GET, "/v1/models") => {
            Ok(json_response(StatusCode::OK, &json!({"object": "list", "data": [model()]})))
        }
        (&Method::GET, path) if path.starts_with("/v1/models/") => {
            let name = path.trim_start_matches("/v1/models/");
            if name == shared.name {
                Ok(json_response(StatusCode::OK, &model()))
            } else {
                Err(ApiError::no_model(name, &shared.name))
            }
        }
        (&Method::POST, "/v1/chat/completions") => complete(shared, request).await,
        (_, "/metrics" | "/v1/models" | "/v1/chat/completions") => {
            Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{path} does not take {method}")))
        }
        _ => Err(ApiError::new(StatusCode::NOT_FOUND, format!("there is no {path}"))),
    }
}

fn check_key(shared: &Shared, request: &Request<Incoming>) -> Result<(), ApiError> {
    let Some(key) = &shared.options.api_key else { return Ok(()) };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Every byte is compared, so that the time does not tell how many are right.
    let same = |given: &[u8]| {
        given.len() == key.len() && given.iter().zip(key.as_bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    };
    if given.is_some_and(same) {
        Ok(())
    } else {
        Err(ApiError::new(StatusCode::UNAUTHORIZED, "the key is missing or wrong: send Authorization: Bearer KEY"))
    }
}

async fn complete(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, ApiError> {
    let deadline = Instant::now() + shared.options.answer;
    let full = || ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too many questions wait: try again later");
    let place = shared.places.clone().try_acquire_owned().map_err(|_| full())?;
    let body = receive(shared, request).await?;
    let reader = shared.clone();
    // The place is with the work: it is not free before that ends, also where nobody waits for it any more.
    let read = tokio::task::spawn_blocking(move || (Chat::read(&body, &reader.name, &reader.options), place));
    let read = timeout_at(deadline, read).await.map_err(|_| late())?;
    let (chat, place) = read.map_err(|_| ApiError::from(Error::internal("reading the request panicked")))?;
    let chat = chat?;
    let (listener, told) = unbounded_channel();
    let cancel = CancelToken::new();
    let job = Job { prompt: chat.prompt, generate: chat.generate.cancel(&cancel), listener };
    shared.jobs.send(job).map_err(|_| ApiError::from(Error::internal("the thread that answers is gone")))?;
    let tools = chat.tools;
    let mut telling = Telling { told, cancel, deadline, _place: place };
    // The status can only be told before the first part: a question that fails at once gets a proper one.
    let first = telling.next().await?;
    let head = Head::new(&shared.name);
    if chat.stream {
        let (sender, body) = Channel::new(BUFFERED);
        let form = Form { usage: chat.usage, tools };
        tokio::spawn(stream(shared.clone(), head, telling, first, sender, form));
        let mut response = Response::new(body.boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    let mut part = first;
    loop {
        match part {
            Part::Over(answer) => {
                return Ok(json_response(StatusCode::OK, &head.whole(&answer, shared.model.tokenizer(), tools)));
            }
            Part::Event(_) => part = telling.next().await?,
        }
    }
}

async fn receive(shared: &Shared, request: Request<Incoming>) -> Result<Bytes, ApiError> {
    let most = shared.options.max_body;
    let slow = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the request took too long to arrive");
    let large = || ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request has more than {most} bytes"));
    let until = Instant::now() + shared.options.receive;
    match timeout_at(until, Limited::new(request.into_body(), most).collect()).await.map_err(slow)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(large()),
        Err(error) => Err(ApiError::of("body", format!("the request did not arrive whole: {error}"))),
    }
}

fn late() -> ApiError {
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "the answer took too long")
}

/// What is told of one answer, in order. Dropping it ends the answer.
struct Telling {
    told: UnboundedReceiver<Told>,
    cancel: CancelToken,
    deadline: Instant,
    _place: OwnedSemaphorePermit,
}

/// What is told of an answer that goes well.
enum Part {
    Event(Box<Event>),
    Over(Box<Answer>),
}

impl Telling {
    async fn next(&mut self) -> Result<Part, ApiError> {
        match timeout_at(self.deadline, self.told.recv()).await.map_err(|_| late())? {
            Some(Told::Event(event)) => Ok(Part::Event(Box::new(event))),
            Some(Told::Over(answer)) => Ok(Part::Over(answer)),
            Some(Told::Failed(error)) => Err(error.into()),
            None => Err(Error::Cancelled.into()),
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.told.close();
        self.cancel.cancel();
    }
}

/// How an answer in parts is wanted.
struct Form {
    /// With a part at its end that counts tokens.
    usage: bool,
    /// Calls of functions at its end apart.
    tools: bool,
}

/// Send an answer part by part, until it is over or the client is gone.
async fn stream(
    shared: Arc<Shared>,
    head: Head,
    mut telling: Telling,
    first: Part,
    mut sender: Sender<Bytes>,
    Form { usage, tools }: Form,
) {
    let mut said = tools.then(ContentFilter::default);
    let mut next: Result<Part, ApiError> = Ok(first);
    let deadline = telling.deadline;
    let mut send = async |data: &(dyn Display + Sync)| {
        let sent = timeout_at(deadline, sender.send_data(Bytes::from(format!("data: {data}\n\n")))).await;
        sent.is_ok_and(|sent| sent.is_ok())
    };
    let mut open = send(&head.delta(json!({"role": "assistant", "content": ""}))).await;
    while open {
        match next {
            Ok(Part::Event(event)) => {
                let event = match (*event, &mut said) {
                    (Event::Text(text), Some(said)) => Event::Text(said.push(&text)),
                    (event, _) => event,
                };
                open = match delta(event) {
                    Some(delta) => send(&head.delta(delta)).await,
                    None => true,
                };
            }
            Ok(Part::Over(answer)) => {
                for part in head.end(&answer, shared.model.tokenizer(), said.as_ref()) {
                    open = open && send(&part).await;
                }
                open = open && (!usage || send(&head.count(&answer)).await);
                break;
            }
            Err(refusal) => {
                open = send(&refusal.json()).await;
                break;
            }
        }
        next = telling.next().await;
    }
    if open {
        send(&"[DONE]").await;
    }
}

fn delta(event: Event) -> Option<Value> {
    match event {
        Event::Text(text) if text.is_empty() => None,
        Event::Thinking(text) => Some(json!({"reasoning_content": text})),
        Event::Text(text) => Some(json!({"content": text})),
        Event::Region(found) => Some(json!({"regions": [region(&found)]})),
        Event::End(_) => None,
    }
}

fn json_response(status: StatusCode, json: &Value) -> Response<Body> {
    response(status, "application/json", Bytes::from(json.to_string()))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
