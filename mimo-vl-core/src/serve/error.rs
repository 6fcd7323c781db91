//! Error replies in the form of the OpenAI API.

use hyper::StatusCode;
use serde_json::json;

use crate::error::{Error, ErrorCode};

/// An HTTP status with the fields of an OpenAI error object.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    message: String,
    /// Path of the request field at fault, such as `messages[0].role`.
    param: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None }
    }

    /// Status 400 for the request field `param`.
    pub(super) fn bad_request(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), param: Some(param.into()) }
    }

    pub(super) fn model_not_found(requested: &str, served: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("the model {requested:?} does not exist: this server has {served:?}"),
            param: Some("model".into()),
        }
    }

    pub(super) fn media_too_large(param: String, max_bytes: usize) -> Self {
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            message: format!(
                "the decoded images and video frames up to here exceed {} MiB: send smaller ones",
                max_bytes >> 20
            ),
            param: Some(param),
        }
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.message, "type": kind, "param": self.param, "code": self.status.as_u16()});
        json!({ "error": error })
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.code() {
            ErrorCode::Image | ErrorCode::Prompt | ErrorCode::ContextTooLong | ErrorCode::Option | ErrorCode::Io => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Memory | ErrorCode::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}
