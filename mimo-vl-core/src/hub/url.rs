//! Addresses, and names that come from a server.

use std::fmt::Write;

use ureq::http::Uri;

pub(super) fn is_secure(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// The address that a redirect means; `None` when it is none, or less secure than the one it comes from.
pub(super) fn joined(from: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (from.scheme_str()?, from.authority()?);
    let location = location.split('#').next()?;
    let text = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let uri: Uri = text.parse().ok()?;
    let known = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    (known && (is_secure(&uri) || !is_secure(from))).then_some(uri)
}

/// The text of an `ETag`, which becomes the name of a file; `None` when it cannot be one.
pub(super) fn tag(etag: &str) -> Option<String> {
    let etag = etag.trim();
    let etag = etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"');
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+' | b'=');
    let fits = !etag.is_empty() && etag.len() <= 128 && etag.bytes().all(known) && !etag.starts_with('.');
    fits.then(|| etag.to_owned())
}

/// Text as part of an address.
pub(super) fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined() {
        let from: Uri = "https://hub/a/b?c".parse().unwrap();
        let to = |location: &str| joined(&from, location).map(|uri| uri.to_string());
        assert_eq!(to("/x?y=1#z").as_deref(), Some("https://hub/x?y=1"));
        assert_eq!(to("//cdn/x").as_deref(), Some("https://cdn/x"));
        assert_eq!(to("x").as_deref(), Some("https://hub/a/x"));
        assert_eq!(to("https://cdn:8/x?u=http://y").as_deref(), Some("https://cdn:8/x?u=http://y"));
        for refused in ["http://hub/x", "ftp://hub/x", "https://"] {
            assert_eq!(to(refused), None, "{refused}");
        }
    }

    #[test]
    fn tags_and_addresses() {
        assert_eq!(tag("W/\"abc-1\"").as_deref(), Some("abc-1"));
        for refused in ["\"\"", "\"../x\"", "\"a/b\"", "..", "\"a\\b\"", "\"a:b\""] {
            assert_eq!(tag(refused), None, "{refused}");
        }
        assert_eq!(encoded("refs/pr/1 ü"), "refs%2Fpr%2F1%20%C3%BC");
    }
}
