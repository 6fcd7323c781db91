//! Runs one HTTP request on a thread of its own, so that a wait for the network can be cancelled at any time.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Request, StatusCode};

use super::failure::Failure;
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// Bytes that are read, written and hashed at a time; cancellation is checked after each chunk.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

/// Interval at which a wait checks for cancellation.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Chunks that may wait to be written.
const QUEUED_CHUNKS: usize = 16;

/// Message of the request's thread. `End` and `Failed` are the last.
enum Message {
    Head(StatusCode, HeaderMap),
    Chunk(Vec<u8>),
    End,
    Failed(String),
}

/// Response of a server: the head, and a body that arrives in chunks.
pub(super) struct Response {
    url: String,
    status: StatusCode,
    headers: HeaderMap,
    messages: Messages,
}

struct Messages {
    receiver: Receiver<Message>,
    stall_timeout: Duration,
    control: TaskControl,
}

impl Response {
    /// Sends a request, and waits for the head of the response.
    pub(super) fn receive(
        agent: &Agent,
        request: Request<()>,
        stall_timeout: Duration,
        control: &TaskControl,
    ) -> Result<Self, Failure> {
        // The query may be a signature, which must not get into errors and logs.
        let url = request.uri().to_string().split('?').next().unwrap_or_default().to_owned();
        let agent = agent.clone();
        let (sender, receiver) = sync_channel(QUEUED_CHUNKS);
        let run = move || {
            // The send fails when the response was dropped.
            let _ = sender.send(run(&agent, request, &sender));
        };
        let thread = thread::Builder::new().name("hub".to_owned()).spawn(run);
        thread.map_err(|error| Error::internal(format!("no thread for a download: {error}")))?;
        let messages = Messages { receiver, stall_timeout, control: control.clone() };
        match messages.next(&url)? {
            Message::Head(status, headers) => Ok(Self { url, status, headers, messages }),
            _ => Err(Error::internal("a response without a head").into()),
        }
    }

    /// The URL without its query.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value of a header that is an integer.
    pub(super) fn header_number(&self, name: &str) -> Option<u64> {
        self.header(name)?.trim().parse().ok()
    }

    /// Returns the next bytes of the body; `None` at its end.
    pub(super) fn next_chunk(&self) -> Result<Option<Vec<u8>>, Failure> {
        match self.messages.next(&self.url)? {
            Message::Chunk(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

impl Messages {
    fn next(&self, url: &str) -> Result<Message, Failure> {
        let transient = |reason: &str| Err(Failure::Transient(Error::hub(url, reason)));
        let start = Instant::now();
        loop {
            self.control.check()?;
            match self.receiver.recv_timeout(POLL_INTERVAL) {
                Ok(Message::Failed(reason)) => return transient(&reason),
                Ok(message) => return Ok(message),
                Err(RecvTimeoutError::Disconnected) => return transient("the transfer broke off"),
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= self.stall_timeout => {
                    let seconds = self.stall_timeout.as_secs_f64();
                    return transient(&format!("the transfer stalled: no data for {seconds:.1} s"));
                }
                Err(RecvTimeoutError::Timeout) => (),
            }
        }
    }
}

/// Sends all messages of a response but the last, and returns that.
fn run(agent: &Agent, request: Request<()>, sender: &SyncSender<Message>) -> Message {
    let (head, body) = match agent.run(request) {
        Ok(response) => response.into_parts(),
        Err(error) => return Message::Failed(error.to_string()),
    };
    if sender.send(Message::Head(head.status, head.headers)).is_err() {
        return Message::End;
    }
    let mut reader = body.into_reader();
    loop {
        let mut bytes = vec![0; CHUNK_BYTES];
        match reader.read(&mut bytes) {
            Ok(0) => return Message::End,
            Ok(count) => bytes.truncate(count),
            Err(error) => return Message::Failed(error.to_string()),
        }
        if sender.send(Message::Chunk(bytes)).is_err() {
            return Message::End;
        }
    }
}
