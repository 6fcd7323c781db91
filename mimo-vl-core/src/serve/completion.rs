//! The transfer of answers: as one object, or as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, timeout, timeout_at};

use super::api::Api;
use super::error::ApiError;
use super::http_response::{ResponseBody, json_response};
use super::reply::Reply;
use super::request::ParsedRequest;
use super::request_log::RequestLog;
use super::server_state::ServerState;
use super::worker::{Job, WorkerEvent};
use crate::answer::Event;
use crate::cancel::CancelToken;
use crate::error::Error;
use crate::session::Answer;

/// Events of a stream that are buffered for a slow client.
const STREAM_BUFFER: usize = 32;

/// Time after which the headers of a stream are sent, whether it has an event or not. Before it, an error is a status.
const HEADER_DELAY: Duration = Duration::from_millis(250);

/// Interval of the comments that keep a stream open while it waits.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Answers a request of one of the APIs.
pub(super) async fn complete(
    state: &Arc<ServerState>,
    api: Api,
    body: Bytes,
    permit: OwnedSemaphorePermit,
    deadline: Instant,
    log: &mut Option<RequestLog>,
) -> Result<Response<ResponseBody>, ApiError> {
    let reader = state.clone();
    // The permit moves with the work, so that it stays taken until that ends, even if the client is gone.
    let parsed = tokio::task::spawn_blocking(move || {
        (ParsedRequest::parse(api, &body, &reader.model_name, &reader.options), permit)
    });
    let parsed = timeout_at(deadline, parsed).await.map_err(|_| timed_out())?;
    let (request, permit) = parsed.map_err(|_| ApiError::from(Error::internal("parsing the request panicked")))?;
    let ParsedRequest { prompt, options, n, stream, include_usage, max_calls, echo } = request?;
    let tokenizer = state.model.tokenizer().clone();
    let reply = api.reply(&state.model_name, options.seed, n, include_usage, max_calls, echo, tokenizer);
    let mut permits = vec![permit];
    for _ in 1..n {
        permits.push(state.request_permit()?);
    }
    let (sender, events) = unbounded_channel();
    let cancel = CancelToken::new();
    for choice in 0..n {
        let options = options.clone().seed(options.seed.wrapping_add(choice as u64)).cancel(&cancel);
        let job = Job { prompt: prompt.clone(), options, choice, events: sender.clone() };
        state.jobs.send(job).map_err(|_| ApiError::from(Error::internal("the worker thread has ended")))?;
    }
    drop(sender);
    let mut answers = AnswerReceiver { events, cancel, deadline, _permits: permits };
    if stream {
        // A request that fails at once gets an error status.
        let first = match timeout(HEADER_DELAY, answers.next()).await {
            Ok(first) => Some(first?),
            Err(_) => None,
        };
        let (sender, body) = Channel::new(STREAM_BUFFER);
        let stream = Stream { reply, answers, sender, n };
        tokio::spawn(stream.send(first, log.take()));
        let mut response = Response::new(body.boxed_unsync());
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        return Ok(response);
    }
    let mut done: Vec<Option<Answer>> = vec![None; n];
    while done.iter().any(Option::is_none) {
        if let (choice, AnswerItem::Done(answer)) = answers.next().await? {
            done[choice] = Some(*answer);
        }
    }
    let done: Vec<Answer> = done.into_iter().flatten().collect();
    if let Some(log) = log {
        log.count(&done);
    }
    Ok(json_response(StatusCode::OK, &reply.whole(&done)))
}

fn timed_out() -> ApiError {
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "the completion timed out")
}

/// Receives the items of the answers of one request. Dropping it cancels the request.
struct AnswerReceiver {
    events: UnboundedReceiver<(usize, WorkerEvent)>,
    cancel: CancelToken,
    deadline: Instant,
    _permits: Vec<OwnedSemaphorePermit>,
}

/// An item of an answer without error; `Done` is the last.
enum AnswerItem {
    Event(Box<Event>),
    Done(Box<Answer>),
}

impl AnswerReceiver {
    /// The next item, with the index of its answer.
    async fn next(&mut self) -> Result<(usize, AnswerItem), ApiError> {
        match timeout_at(self.deadline, self.events.recv()).await.map_err(|_| timed_out())? {
            Some((choice, WorkerEvent::Event(event))) => Ok((choice, AnswerItem::Event(Box::new(event)))),
            Some((choice, WorkerEvent::Done(answer))) => Ok((choice, AnswerItem::Done(answer))),
            Some((_, WorkerEvent::Failed(error))) => Err(error.into()),
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

/// A reply of server-sent events.
struct Stream {
    reply: Box<dyn Reply>,
    answers: AnswerReceiver,
    sender: Sender<Bytes>,
    /// Number of answers.
    n: usize,
}

/// The client is gone, or the time is over.
struct Disconnected;

impl Stream {
    /// Sends the answers until they end or the client is gone.
    async fn send(mut self, first: Option<(usize, AnswerItem)>, mut log: Option<RequestLog>) {
        let mut done = Vec::new();
        let result = self.send_answers(first, &mut done).await;
        if let Some(log) = &mut log {
            log.count(&done);
            match &result {
                Ok(None) => log.set_status(StatusCode::OK),
                Ok(Some(error)) => log.set_status(error.status),
                Err(Disconnected) => {}
            }
        }
        if let Ok(error) = result {
            let last = self.reply.end(&done, error.as_ref());
            // The client may leave before the end.
            let _ = self.write(last).await;
        }
    }

    /// Sends the answers, and puts them into `done`. Returns the error that ended them.
    async fn send_answers(
        &mut self,
        first: Option<(usize, AnswerItem)>,
        done: &mut Vec<Answer>,
    ) -> Result<Option<ApiError>, Disconnected> {
        let start = self.reply.start();
        self.write(start).await?;
        let mut next = first;
        while done.len() < self.n {
            let (choice, item) = match next.take() {
                Some(item) => item,
                None => match self.next().await? {
                    Ok(item) => item,
                    Err(error) => return Ok(Some(error)),
                },
            };
            let text = match item {
                AnswerItem::Event(event) => self.reply.event(choice, *event),
                AnswerItem::Done(answer) => {
                    let text = self.reply.done(choice, &answer);
                    done.push(*answer);
                    text
                }
            };
            self.write(text).await?;
        }
        Ok(None)
    }

    /// The next item; comments are sent while it is awaited.
    async fn next(&mut self) -> Result<Result<(usize, AnswerItem), ApiError>, Disconnected> {
        loop {
            match timeout(KEEP_ALIVE_INTERVAL, self.answers.next()).await {
                Ok(item) => return Ok(item),
                Err(_) => self.write(": waiting\n\n".to_owned()).await?,
            }
        }
    }

    async fn write(&mut self, text: String) -> Result<(), Disconnected> {
        if text.is_empty() {
            return Ok(());
        }
        match timeout_at(self.answers.deadline, self.sender.send_data(Bytes::from(text))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Disconnected),
        }
    }
}
