//! Requests to the hub: redirects, the token, what answers mean, and when to try again.

use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{HeaderValue, Method, Request, Uri, header};

use super::environment::Settings;
use super::response::Answer;
use super::url::{is_secure, joined, tag};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// Bytes that are read, written and hashed at a time; the caller can stop the work after each.
pub(super) const CHUNK: usize = 64 << 10;

/// Most bytes of an answer in JSON.
pub(super) const MOST_JSON: u64 = 32 << 20;

/// Redirects that are followed.
const HOPS: usize = 10;

/// How often something that may pass is tried again.
const TRIES: u32 = 5;

/// Why something could not be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be better the next time.
    Passing(Error),
    /// What came is not what was promised.
    Damaged(Error),
    /// Trying again is of no use.
    Final(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

impl Failure {
    /// The error behind it.
    pub(super) fn error(self) -> Error {
        match self {
            Self::Passing(error) | Self::Damaged(error) | Self::Final(error) => error,
        }
    }
}

/// How often something was tried again.
#[derive(Default)]
pub(super) struct Tries(u32);

/// What asks the hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    authorization: Option<HeaderValue>,
    patience: Duration,
    control: TaskControl,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Requests that nobody waits for any more end at once.
        self.agent.clone().shutdown();
    }
}

impl Client {
    pub(super) fn new(settings: &Settings, control: TaskControl) -> Result<Self> {
        let endpoint: Uri = settings.endpoint.parse().map_err(|error| Error::option("endpoint", format!("{error}")))?;
        let authorization = settings.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Error::option("token", "it has letters that no token has"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let patience = settings.patience;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, because each needs to be asked whether it may have the token.
            .max_redirects(0)
            // A proxy or server that packs what it sends would make lengths and ranges wrong.
            .accept_encoding("identity")
            .user_agent(concat!("mimo-vl/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .timeout_per_write(Some(patience));
        let config = if settings.proxies { config } else { config.proxy(None) };
        let agent = config.build().new_agent();
        Ok(Self { agent, endpoint, authorization: authorization.transpose()?, patience, control })
    }

    pub(super) fn control(&self) -> &TaskControl {
        &self.control
    }

    /// Pass unless a stop was asked for.
    pub(super) fn check(&self) -> Result<()> {
        self.control.check()
    }

    /// Read an answer in JSON; `patient` when it is worth trying again.
    pub(super) fn json<T: DeserializeOwned>(&self, url: &str, patient: bool) -> Result<T, Failure> {
        let mut tries = if patient { Tries::default() } else { Tries(TRIES) };
        let text = self.persist(&mut tries, || {
            let answer = self.accepted(self.follow(&Method::GET, url, 0, |_| false)?)?;
            let mut text = Vec::new();
            while let Some(bytes) = answer.next()? {
                text.extend(bytes);
                if text.len() as u64 > MOST_JSON {
                    return Err(Error::hub(url, "the answer is too long").into());
                }
            }
            Ok(text)
        })?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::hub(url, format!("not the answer of a hub: {error}")).into())
    }

    /// The tag and the size of a file.
    pub(super) fn describe(&self, url: &str) -> Result<(String, u64), Failure> {
        self.persist(&mut Tries::default(), || {
            let (mut etag, mut size) = (None, None);
            // Large files are elsewhere; what is to be known of them is said on the way there.
            let answer = self.follow(&Method::HEAD, url, 0, |answer| {
                etag = etag.take().or_else(|| answer.text("x-linked-etag").map(str::to_owned));
                size = size.or_else(|| answer.number("x-linked-size"));
                etag.is_some() && size.is_some()
            })?;
            if etag.is_none() || size.is_none() {
                let answer = self.accepted(answer)?;
                etag = etag.or_else(|| answer.text("etag").map(str::to_owned));
                size = size.or_else(|| answer.number("content-length"));
            }
            let etag = etag.as_deref().and_then(tag);
            let told = etag.zip(size);
            told.ok_or_else(|| Error::hub(url, "the server does not tell the file's size and a usable ETag").into())
        })
    }

    /// The contents of a file from a byte on: status 200 when the server sends all of it, 206 when it starts there, 416 when
    /// there is no such byte.
    pub(super) fn get(&self, url: &str, from: u64) -> Result<Answer, Failure> {
        self.accepted(self.follow(&Method::GET, url, from, |_| false)?)
    }

    /// Wait before the next try, longer each time; the error when there were enough.
    pub(super) fn wait(&self, tries: &mut Tries, error: Error) -> Result<(), Failure> {
        if tries.0 == TRIES {
            return Err(Failure::Passing(error));
        }
        let pause = self.patience / 60 * (1 << tries.0);
        tracing::warn!(%error, "trying again in {:.1} s", pause.as_secs_f64());
        tries.0 += 1;
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.check()?;
            thread::sleep(left.min(Duration::from_millis(20)));
        }
        Ok(())
    }

    fn persist<T>(&self, tries: &mut Tries, mut work: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        loop {
            match work() {
                Err(Failure::Passing(error)) => self.wait(tries, error)?,
                other => return other,
            }
        }
    }

    /// Ask, and go where the answer sends us, until it is no redirect or `enough` is known.
    fn follow(
        &self,
        method: &Method,
        url: &str,
        from: u64,
        mut enough: impl FnMut(&Answer) -> bool,
    ) -> Result<Answer, Failure> {
        let mut uri: Uri = url.parse().map_err(|error| Error::hub(url, format!("{error}")))?;
        for _ in 0..=HOPS {
            let answer = self.send(method, &uri, from)?;
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) || enough(&answer) {
                return Ok(answer);
            }
            let next = answer.text("location").and_then(|location| joined(&uri, location));
            uri = next.ok_or_else(|| Error::hub(url, "it is a redirect to nowhere, or from https to http"))?;
        }
        Err(Error::hub(url, "too many redirects").into())
    }

    fn send(&self, method: &Method, uri: &Uri, from: u64) -> Result<Answer, Failure> {
        let mut request = Request::builder().method(method).uri(uri);
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_home(uri)) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|error| Error::hub(uri.to_string(), error.to_string()))?;
        Answer::new(&self.agent, request, self.patience, &self.control)
    }

    /// Whether an address is at the endpoint: only that gets the token.
    fn is_home(&self, uri: &Uri) -> bool {
        let place = |uri: &Uri| {
            let secure = is_secure(uri);
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            (secure, uri.host().map(str::to_ascii_lowercase), port)
        };
        place(uri) == place(&self.endpoint)
    }

    /// The answer, unless it says no.
    fn accepted(&self, answer: Answer) -> Result<Answer, Failure> {
        let status = answer.status();
        let home = answer.url().parse().is_ok_and(|uri| self.is_home(&uri));
        let reason = match status {
            200 | 206 | 416 => return Ok(answer),
            401 if home && self.authorization.is_none() => {
                "the repository does not exist, or is private or gated and needs a token: set the option or HF_TOKEN"
            }
            401 if home => "the token is not valid, or the repository does not exist, or is private or gated",
            403 if home => {
                "the token may not read the repository, which is private or gated: ask for access on its page"
            }
            404 if home => "the repository or the revision does not exist",
            408 | 429 | 500..=599 => {
                let reason = format!("the server cannot answer now: status {status}");
                return Err(Failure::Passing(Error::hub(answer.url(), reason)));
            }
            _ => "the server refuses",
        };
        Err(Error::hub(answer.url(), format!("{reason} (status {status})")).into())
    }
}
