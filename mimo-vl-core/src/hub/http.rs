//! Requests to the hub: redirects, the token, statuses, and retries.

use std::thread;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use ureq::Agent;
use ureq::http::{HeaderValue, Method, Request, Uri, header};

use super::environment::Settings;
use super::failure::Failure;
use super::response::Response;
use super::url::{is_https, parse_etag, resolve_redirect};
use crate::cancel::TaskControl;
use crate::error::{Error, Result};

/// Bytes of a JSON response.
const MAX_JSON_BYTES: u64 = 32 << 20;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// Retries for transient failures.
const MAX_RETRIES: u32 = 5;

/// Interval at which a pause between retries checks for cancellation.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Number of retries so far.
#[derive(Default)]
pub(super) struct Retries(u32);

/// HTTP client of the hub.
pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    authorization: Option<HeaderValue>,
    stall_timeout: Duration,
    control: TaskControl,
}

impl Drop for Client {
    fn drop(&mut self) {
        // Ends abandoned requests at once.
        self.agent.clone().shutdown();
    }
}

impl Client {
    pub(super) fn new(settings: &Settings, control: TaskControl) -> Result<Self> {
        let endpoint: Uri = settings.endpoint.parse().map_err(|error| Error::option("endpoint", format!("{error}")))?;
        let authorization = settings.token.as_ref().map(|token| {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Error::option("token", "it has characters that an HTTP header must not have"))?;
            value.set_sensitive(true);
            Ok::<_, Error>(value)
        });
        let stall_timeout = settings.stall_timeout;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, because only the endpoint may get the token.
            .max_redirects(0)
            // Compression would change lengths and ranges.
            .accept_encoding("identity")
            .user_agent(concat!("mimo-vl/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(stall_timeout))
            .timeout_recv_response(Some(stall_timeout))
            .timeout_per_read(Some(stall_timeout))
            .timeout_per_write(Some(stall_timeout));
        let config = if settings.use_proxies { config } else { config.proxy(None) };
        let agent = config.build().new_agent();
        Ok(Self { agent, endpoint, authorization: authorization.transpose()?, stall_timeout, control })
    }

    pub(super) fn control(&self) -> &TaskControl {
        &self.control
    }

    /// Returns an error if the download was cancelled or its time is over.
    pub(super) fn check(&self) -> Result<()> {
        self.control.check()
    }

    /// Gets a JSON document, with retries if `retry` is set.
    pub(super) fn get_json<T: DeserializeOwned>(&self, url: &str, retry: bool) -> Result<T, Failure> {
        let mut retries = if retry { Retries::default() } else { Retries(MAX_RETRIES) };
        let text = self.with_retries(&mut retries, || {
            let response = self.check_status(self.follow_redirects(&Method::GET, url, 0, |_| false)?)?;
            let mut text = Vec::new();
            while let Some(bytes) = response.next_chunk()? {
                text.extend(bytes);
                if text.len() as u64 > MAX_JSON_BYTES {
                    return Err(Error::hub(url, "the response is too long").into());
                }
            }
            Ok(text)
        })?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::hub(url, format!("not the response of a hub: {error}")).into())
    }

    /// Returns the ETag and the size of a file.
    pub(super) fn file_metadata(&self, url: &str) -> Result<(String, u64), Failure> {
        self.with_retries(&mut Retries::default(), || {
            let (mut etag, mut size) = (None, None);
            // Files in large file storage are on another server; the redirect to it has their metadata.
            let response = self.follow_redirects(&Method::HEAD, url, 0, |response| {
                etag = etag.take().or_else(|| response.header("x-linked-etag").map(str::to_owned));
                size = size.or_else(|| response.header_number("x-linked-size"));
                etag.is_some() && size.is_some()
            })?;
            if etag.is_none() || size.is_none() {
                let response = self.check_status(response)?;
                etag = etag.or_else(|| response.header("etag").map(str::to_owned));
                size = size.or_else(|| response.header_number("content-length"));
            }
            let etag = etag.as_deref().and_then(parse_etag);
            let metadata = etag.zip(size);
            metadata.ok_or_else(|| Error::hub(url, "the server sends no file size or no usable ETag").into())
        })
    }

    /// Gets the contents of a file from byte `start` on: status 200 when the server sends all of it, 206 when it starts
    /// there, 416 when there is no such byte.
    pub(super) fn get_range(&self, url: &str, start: u64) -> Result<Response, Failure> {
        self.check_status(self.follow_redirects(&Method::GET, url, start, |_| false)?)
    }

    /// Sleeps before the next retry, twice as long each time; returns `error` once there were [`MAX_RETRIES`].
    pub(super) fn back_off(&self, retries: &mut Retries, error: Error) -> Result<(), Failure> {
        if retries.0 == MAX_RETRIES {
            return Err(Failure::Transient(error));
        }
        let pause = self.stall_timeout / 60 * (1 << retries.0);
        tracing::warn!(%error, "retrying in {:.1} s", pause.as_secs_f64());
        retries.0 += 1;
        let end = Instant::now() + pause;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            self.check()?;
            thread::sleep(left.min(POLL_INTERVAL));
        }
        Ok(())
    }

    fn with_retries<T>(
        &self,
        retries: &mut Retries,
        mut work: impl FnMut() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        loop {
            match work() {
                Err(Failure::Transient(error)) => self.back_off(retries, error)?,
                other => return other,
            }
        }
    }

    /// Sends a request, and follows redirects until the response is none or `done` returns true for it.
    fn follow_redirects(
        &self,
        method: &Method,
        url: &str,
        start: u64,
        mut done: impl FnMut(&Response) -> bool,
    ) -> Result<Response, Failure> {
        let mut uri: Uri = url.parse().map_err(|error| Error::hub(url, format!("{error}")))?;
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send(method, &uri, start)?;
            if !matches!(response.status(), 301 | 302 | 303 | 307 | 308) || done(&response) {
                return Ok(response);
            }
            let target = response.header("location").and_then(|location| resolve_redirect(&uri, location));
            uri = target.ok_or_else(|| Error::hub(url, "invalid redirect, or one from https to http"))?;
        }
        Err(Error::hub(url, "too many redirects").into())
    }

    fn send(&self, method: &Method, uri: &Uri, start: u64) -> Result<Response, Failure> {
        let mut request = Request::builder().method(method).uri(uri);
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        if let Some(authorization) = self.authorization.as_ref().filter(|_| self.is_endpoint(uri)) {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(()).map_err(|error| Error::hub(uri.to_string(), error.to_string()))?;
        Response::receive(&self.agent, request, self.stall_timeout, &self.control)
    }

    /// Returns true for a URI with the endpoint's origin, which alone gets the token.
    fn is_endpoint(&self, uri: &Uri) -> bool {
        let origin = |uri: &Uri| {
            let https = is_https(uri);
            let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
            (https, uri.host().map(str::to_ascii_lowercase), port)
        };
        origin(uri) == origin(&self.endpoint)
    }

    /// Returns the response, or the error of its status.
    fn check_status(&self, response: Response) -> Result<Response, Failure> {
        let status = response.status();
        let at_endpoint = response.url().parse().is_ok_and(|uri| self.is_endpoint(&uri));
        let reason = match status {
            200 | 206 | 416 => return Ok(response),
            401 if at_endpoint && self.authorization.is_none() => {
                "the repository does not exist, or is private or gated and needs a token: set the option or HF_TOKEN"
            }
            401 if at_endpoint => "the token is not valid, or the repository does not exist, or is private or gated",
            403 if at_endpoint => {
                "the token may not read the repository, which is private or gated: ask for access on its page"
            }
            404 if at_endpoint => "the repository or the revision does not exist",
            408 | 429 | 500..=599 => {
                let reason = format!("the server is unavailable or busy: status {status}");
                return Err(Failure::Transient(Error::hub(response.url(), reason)));
            }
            _ => "the server refuses the request",
        };
        Err(Error::hub(response.url(), format!("{reason} (status {status})")).into())
    }
}
