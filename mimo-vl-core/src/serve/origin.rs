//! Web pages of other origins: which may call the server, and the headers that tell browsers (CORS).

use std::net::IpAddr;

use hyper::StatusCode;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, HOST, HeaderMap, ORIGIN, VARY,
};
use hyper::http::{HeaderValue, Uri};

use super::error::ApiError;

/// The origin of a request that a page of a browser sends.
pub(super) struct Origin {
    origin: Option<HeaderValue>,
    requested_headers: Option<HeaderValue>,
}

impl Origin {
    /// Checks the origin of a request. Programs that are no browsers send none.
    ///
    /// Headers alone are not enough: a browser sends the request, and only keeps the reply from the page.
    pub(super) fn check(headers: &HeaderMap, allowed: &[String]) -> Result<Self, ApiError> {
        let requested_headers = headers.get(ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let Some(origin) = headers.get(ORIGIN) else { return Ok(Self { origin: None, requested_headers }) };
        let text = origin.to_str().unwrap_or_default();
        let is_own = is_address(text)
            && headers.get(HOST).is_some_and(|host| text.split_once("://").is_some_and(|(_, name)| host == name));
        if is_own || is_local(text) || allowed.iter().any(|known| known == "*" || known == text) {
            return Ok(Self { origin: Some(origin.clone()), requested_headers });
        }
        let reason = format!("pages of {text} may not call this server: start it with `allowed_origins`");
        Err(ApiError::new(StatusCode::FORBIDDEN, reason))
    }

    /// Adds the headers that let the page read the reply.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        let Some(origin) = &self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("Origin"));
    }

    /// Adds the headers of the reply to `OPTIONS`.
    pub(super) fn add_preflight_headers(&self, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, OPTIONS"));
        let requested = self.requested_headers.clone();
        let default = HeaderValue::from_static("Authorization, Content-Type");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, requested.unwrap_or(default));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
}

/// Returns `true` for an origin with an IP address. A name of another site may be made to lead to this machine (DNS
/// rebinding).
fn is_address(origin: &str) -> bool {
    let uri: Option<Uri> = origin.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Returns `true` for an origin of this machine, with any port.
fn is_local(origin: &str) -> bool {
    let uri: Option<Uri> = origin.parse().ok();
    uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && matches!(uri.host(), Some("localhost" | "127.0.0.1" | "[::1]"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_this_machine_and_allowed_ones_may_call() {
        let check = |origin: &'static str, host: &'static str, allowed: &[String]| {
            let mut headers = HeaderMap::new();
            headers.insert(ORIGIN, HeaderValue::from_static(origin));
            headers.insert(HOST, HeaderValue::from_static(host));
            Origin::check(&headers, allowed).is_ok()
        };
        let known = ["https://a.example".to_owned()];
        for (origin, expected) in [
            ("http://localhost:3000", true),
            ("http://127.0.0.1", true),
            ("https://[::1]:8443", true),
            ("http://10.0.0.5:8000", true),
            ("https://a.example", true),
            ("https://b.example", false),
            ("http://localhost.b.example", false),
            ("http://localhost@b.example", false),
            ("null", false),
            ("file://", false),
        ] {
            assert_eq!(check(origin, "10.0.0.5:8000", &known), expected, "{origin}");
            assert!(check(origin, "x", &["*".to_owned()]));
        }
        assert!(!check("http://evil.example:8000", "evil.example:8000", &[]), "DNS rebinding");
        assert!(Origin::check(&HeaderMap::new(), &[]).is_ok());
    }
}
