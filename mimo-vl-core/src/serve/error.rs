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
    /// OpenAI's code of the error, if it has one.
    code: Option<&'static str>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::UNAUTHORIZED => Some("invalid_api_key"),
            StatusCode::TOO_MANY_REQUESTS => Some("rate_limit_exceeded"),
            _ => None,
        };
        Self { status, message: message.into(), param: None, code }
    }

    /// Status 400 for the request field `param`.
    pub(super) fn bad_request(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    pub(super) fn model_not_found(requested: &str, served: &str) -> Self {
        let message = format!("the model {requested:?} does not exist: this server has {served:?}");
        let code = Some("model_not_found");
        Self { param: Some("model".into()), code, ..Self::new(StatusCode::NOT_FOUND, message) }
    }

    pub(super) fn media_too_large(param: String, max_bytes: usize) -> Self {
        let size = max_bytes >> 20;
        let message = format!("the decoded images and video frames up to here exceed {size} MiB: send smaller ones");
        Self { param: Some(param), ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, message) }
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let kind = match self.status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::NOT_FOUND => "not_found_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        let error = json!({"message": self.message, "type": kind, "param": self.param, "code": self.code});
        json!({ "error": error })
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let status = match error.code() {
            ErrorCode::Image | ErrorCode::Prompt | ErrorCode::ContextTooLong | ErrorCode::Option | ErrorCode::Io
            // A grammar that cannot be followed is the client's.
            | ErrorCode::Answer => {
                StatusCode::BAD_REQUEST
            }
            ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorCode::Memory | ErrorCode::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = matches!(error, Error::ContextTooLong { .. }).then_some("context_length_exceeded");
        let param = match &error {
            Error::Option { option, .. } => Some((*option).to_owned()),
            _ => None,
        };
        Self { code, param, ..Self::new(status, error.to_string()) }
    }
}
