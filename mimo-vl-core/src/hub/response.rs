//! One request, run on a thread of its own, so that waiting for the network can be stopped at any time.

use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Request, StatusCode};

use super::http::{CHUNK, Failure};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// How often a wait looks whether it is to be stopped.
const LOOK: Duration = Duration::from_millis(20);

/// Chunks that may wait to be written.
const AHEAD: usize = 16;

/// What the thread of a request says. It says nothing more after an error or the end.
enum Part {
    Head(StatusCode, HeaderMap),
    Bytes(Vec<u8>),
    End,
    Failed(String),
}

/// What a server answers.
pub(super) struct Answer {
    url: String,
    status: StatusCode,
    headers: HeaderMap,
    parts: Parts,
}

struct Parts {
    receiver: Receiver<Part>,
    patience: Duration,
    control: TaskControl,
}

impl Answer {
    /// Run a request, and wait for the head of the answer.
    pub(super) fn new(
        agent: &Agent,
        request: Request<()>,
        patience: Duration,
        control: &TaskControl,
    ) -> Result<Self, Failure> {
        // What follows the path may be a signature, which must not get into errors and logs.
        let url = request.uri().to_string().split('?').next().unwrap_or_default().to_owned();
        let agent = agent.clone();
        let (sender, receiver) = sync_channel(AHEAD);
        let run = move || {
            // Nobody hears it when the answer was dropped.
            let _ = sender.send(run(&agent, request, &sender));
        };
        let thread = thread::Builder::new().name("hub".to_owned()).spawn(run);
        thread.map_err(|error| Error::internal(format!("no thread for a download: {error}")))?;
        let parts = Parts { receiver, patience, control: control.clone() };
        match parts.next(&url)? {
            Part::Head(status, headers) => Ok(Self { url, status, headers, parts }),
            _ => Err(Error::internal("an answer without a head").into()),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// The value of a header.
    pub(super) fn text(&self, header: &str) -> Option<&str> {
        self.headers.get(header)?.to_str().ok()
    }

    /// The value of a header that is a number.
    pub(super) fn number(&self, header: &str) -> Option<u64> {
        self.text(header)?.trim().parse().ok()
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) fn next(&self) -> Result<Option<Vec<u8>>, Failure> {
        match self.parts.next(&self.url)? {
            Part::Bytes(bytes) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }
}

impl Parts {
    fn next(&self, url: &str) -> Result<Part, Failure> {
        let passing = |reason: &str| Err(Failure::Passing(Error::hub(url, reason)));
        let start = Instant::now();
        loop {
            self.control.check()?;
            match self.receiver.recv_timeout(LOOK) {
                Ok(Part::Failed(reason)) => return passing(&reason),
                Ok(part) => return Ok(part),
                Err(RecvTimeoutError::Disconnected) => return passing("the transfer broke off"),
                Err(RecvTimeoutError::Timeout) if start.elapsed() >= self.patience => {
                    return passing(&format!("nothing came for {:.1} s", self.patience.as_secs_f64()));
                }
                Err(RecvTimeoutError::Timeout) => (),
            }
        }
    }
}

/// Say all of an answer but its last part, which is the result.
fn run(agent: &Agent, request: Request<()>, sender: &SyncSender<Part>) -> Part {
    let (head, body) = match agent.run(request) {
        Ok(answer) => answer.into_parts(),
        Err(error) => return Part::Failed(error.to_string()),
    };
    if sender.send(Part::Head(head.status, head.headers)).is_err() {
        return Part::End;
    }
    let mut reader = body.into_reader();
    loop {
        let mut bytes = vec![0; CHUNK];
        match reader.read(&mut bytes) {
            Ok(0) => return Part::End,
            Ok(count) => bytes.truncate(count),
            Err(error) => return Part::Failed(error.to_string()),
        }
        if sender.send(Part::Bytes(bytes)).is_err() {
            return Part::End;
        }
    }
}
