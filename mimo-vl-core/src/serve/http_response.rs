//! HTTP replies.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::CONTENT_TYPE;
use hyper::http::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::Value;

pub(super) type ResponseBody = UnsyncBoxBody<Bytes, Infallible>;

pub(super) fn json_response(status: StatusCode, json: &Value) -> Response<ResponseBody> {
    response(status, "application/json", Bytes::from(json.to_string()))
}

pub(super) fn response(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<ResponseBody> {
    let mut response = Response::new(Full::new(body).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
