//! URLs and ETags that come from a server.

use std::fmt::Write;

use ureq::http::Uri;

pub(super) fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// Resolves the `Location` of a redirect from `base`; `None` when it is invalid or leads from https to http.
pub(super) fn resolve_redirect(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let location = location.split('#').next()?;
    let text = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = text.parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    (is_http && (is_https(&uri) || !is_https(base))).then_some(uri)
}

/// Returns the text of an `ETag` header, which becomes a file name; `None` when it cannot be one.
pub(super) fn parse_etag(header: &str) -> Option<String> {
    let etag = header.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'=');
    let is_file_name = !etag.is_empty() && etag.len() <= 128 && etag.bytes().all(allowed) && !etag.starts_with('.');
    is_file_name.then(|| etag.to_owned())
}

/// Percent-encodes all bytes that RFC 3986 does not call unreserved.
pub(super) fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_resolved_against_their_base() {
        let base: Uri = "https://hub/a/b?c".parse().unwrap();
        let resolve = |location: &str| resolve_redirect(&base, location).map(|uri| uri.to_string());
        assert_eq!(resolve("/x?y=1#z").as_deref(), Some("https://hub/x?y=1"));
        assert_eq!(resolve("//cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(resolve("x").as_deref(), Some("https://hub/a/x"));
        assert_eq!(resolve("https://cdn:8/x?u=http://y").as_deref(), Some("https://cdn:8/x?u=http://y"));
        for refused in ["http://hub/x", "ftp://hub/x", "https://"] {
            assert_eq!(resolve(refused), None, "{refused}");
        }
    }

    #[test]
    fn etags_must_be_file_names_and_revisions_are_encoded() {
        assert_eq!(parse_etag("W/\"abc-1\"").as_deref(), Some("abc-1"));
        for refused in ["\"\"", "\"../x\"", "\"a/b\"", "..", "\"a\\b\"", "\"a:b\""] {
            assert_eq!(parse_etag(refused), None, "{refused}");
        }
        assert_eq!(percent_encode("refs/pr/1 ü"), "refs%2Fpr%2F1%20%C3%BC");
    }
}
